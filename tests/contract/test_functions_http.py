"""What holds for every function: method, sizes, CORS, headers. Who may ask is in test_authorization.py, and what is no
request in test_bad_input.py.
"""

import asyncio
from typing import Any

import httpx
import pytest

from edge_functions.app import FUNCTIONS
from tests.support.caller import Device
from tests.support.server import Service

CALLABLE = sorted(FUNCTIONS.keys() - {"deliver"})


async def post(service: Service, path: str, **options: Any) -> httpx.Response:
    """A POST without a session."""
    async with httpx.AsyncClient(base_url=service.url, verify=False, timeout=30) as client:  # noqa: S501 - no TLS here
        return await client.post(path, **options)


async def test_an_empty_body_is_an_empty_object(service: Service) -> None:
    alice = await Device.guest(service.url)
    answer = await post(
        service, "/functions/v1/groups_list", headers={"authorization": f"Bearer {alice.token}"}
    )
    assert answer.json() == {"groups": []}


async def test_a_body_is_cut_off_while_it_streams(service: Service) -> None:
    """No content-length, and more than fits: refused before the end, which never comes."""
    alice = await Device.guest(service.url)
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 65536

    headers = {"authorization": f"Bearer {alice.token}", "content-type": "application/json"}
    try:
        answer = await post(service, "/functions/v1/send_message", content=endless(), headers=headers)
    except httpx.TransportError:
        pass  # the service closed first: as good
    else:
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert sent < 1000


async def test_a_body_that_announces_too_much_is_refused_before_it_comes(service: Service) -> None:
    alice = await Device.guest(service.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    head = f"POST /functions/v1/send_message HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {alice.token}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {10**12}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("size", [2**20 + 1])
async def test_a_message_over_one_mebibyte_is_too_large(service: Service, size: int) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    (await alice.send(group, mls_bytes="00" * size)).refused(413, "too_large")


async def test_unknown_function_and_method(service: Service) -> None:
    alice = await Device.guest(service.url)
    (await alice.call("drop_tables")).refused(404, "unknown_function")
    answer = await alice.http.get(
        "/functions/v1/send_message", headers={"authorization": f"Bearer {alice.token}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("function", [*CALLABLE, "deliver"])
async def test_a_preflight_needs_no_session(service: Service, function: str) -> None:
    headers = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    async with httpx.AsyncClient(base_url=service.url, verify=False, timeout=30) as client:  # noqa: S501 - no TLS here
        answer = await client.options(f"/functions/v1/{function}", headers=headers)
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"authorization", "apikey", "x-client-info", "content-type"} <= {
        one.strip() for one in answer.headers["access-control-allow-headers"].split(",")
    }


async def test_every_answer_carries_the_security_headers(service: Service) -> None:
    for path in (
        "/",
        "/nowhere",
        "/functions/v1/groups_list",
        "/functions/v1/nothing",
        "/auth/v1/user",
        "/auth/v1/x",
    ):
        async with httpx.AsyncClient(base_url=service.url, verify=False, timeout=30) as client:  # noqa: S501 - no TLS here
            headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "require-trusted-types-for 'script'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_get_messages_by_get(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    for _ in range(3):
        (await alice.send(group)).ok()
    headers = {"authorization": f"Bearer {alice.token}"}
    query = {"group_id": group.group_id, "after": "1", "limit": "1"}
    answer = await alice.http.get("/functions/v1/get_messages", params=query, headers=headers)
    assert answer.json() == await alice.messages(group, 1, limit=1)
    answer = await alice.http.get(
        "/functions/v1/get_messages", params={**query, "after": "x"}, headers=headers
    )
    assert answer.json()["code"] == "bad_request"
