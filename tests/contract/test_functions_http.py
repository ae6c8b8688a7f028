"""What holds for every function: session, method, body, sizes, shape of errors, CORS, headers."""

import asyncio
import json
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge_functions.app import FUNCTIONS
from tests.support import mls
from tests.support.caller import Device, new_id
from tests.support.server import Service

WRONG_VALUES: list[Any] = [None, {}, [1], "zz", "", 1.5, -1, 2**60, "\ud800", "A" * 36]
CALLABLE = sorted(FUNCTIONS.keys() - {"deliver"})


async def post(service: Service, path: str, **options: Any) -> httpx.Response:
    """A POST without a session."""
    async with httpx.AsyncClient(base_url=service.url, verify=False) as client:  # noqa: S501 - no TLS here
        return await client.post(path, **options)


@pytest.mark.parametrize("function", CALLABLE)
async def test_without_a_session_nothing_is_done(service: Service, function: str) -> None:
    answer = await post(service, f"/functions/v1/{function}", json={})
    assert answer.status_code == 401
    assert answer.json()["code"] == "no_session"
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("function", [name for name in CALLABLE if name != "device_register"])
async def test_a_session_without_device_is_told_so(service: Service, function: str) -> None:
    guest, registered = Device(service.url), await Device.guest(service.url)
    await guest.sign_in()
    body = await good_body(registered, function)
    (await guest.call(function, **body)).refused(403, "device_not_registered")


@pytest.mark.parametrize(
    "function", [name for name in CALLABLE if name not in ("device_register", "invite_pending")]
)
async def test_a_stranger_gets_nothing_and_learns_nothing(service: Service, function: str) -> None:
    """Every function that names a group, join or invite, asked by a device that has nothing to do with it."""
    alice, eve = await Device.guest(service.url), await Device.guest(service.url)
    body = await good_body(alice, function)
    answer = await eve.call(function, **body)
    allowed = {
        "group_create": (409, "group_exists"),
        "groups_list": (200, None),
        "invite_create": (403, "not_a_member"),
        "invite_info": (200, None),  # whoever holds the link may see the sealed preview
        "invite_join": (409, "join_id_reused"),
        "invite_poll": (404, "unknown_join"),
        "invite_cancel": (404, "unknown_join"),
        "invite_decide": (404, "unknown_join"),
    }
    assert (answer.status, answer.code) == allowed.get(function, (403, "not_a_member"))
    if function == "groups_list":
        assert answer.body == {"groups": []}


async def good_body(alice: Device, function: str) -> dict[str, Any]:
    """A body with which the function would succeed for a member."""
    group = await alice.create_group()
    invite = await alice.invite(group)
    bob = await Device.guest(alice.http.url)
    join = await bob.ask(invite)
    commit = alice.commit_body(group, add=[bob.device_id], invites=[invite])
    with_join = {**commit, "joins": [{"join_id": join.join_id, "welcome_tag": "00" * 32}]}
    of_group = {"group_id": group.group_id}
    of_invite, of_join = {"invite_id": invite.hex()}, {"join_id": join.join_id}
    bodies: dict[str, dict[str, Any]] = {
        "commit_pause": of_group,
        "get_messages": {**of_group, "after": 0},
        "group_create": {**of_group, "group_info": commit_info(alice, group), "message_id": new_id()},
        "group_info_get": of_group,
        "group_join": of_group,
        "group_leave": of_group,
        "groups_list": {},
        "invite_cancel": of_join,
        "invite_claim": of_join,
        "invite_complete": with_join,
        "invite_create": {**of_invite, **of_group, "preview": "00", "expires_at": "2027-01-01T00:00:00Z", "max_uses": 1,
                          "approval": False},
        "invite_decide": {**of_join, "approve": True},
        "invite_info": of_invite,
        "invite_join": join.request,
        "invite_pending": {},
        "invite_poll": of_join,
        "invite_revoke": of_invite,
        "invites_list": of_group,
        "send_commit": commit,
        "send_message": alice.message(group),
    }  # fmt: skip
    if function == "invite_create":
        bodies[function]["invite_id"] = "ab" * 16
    return bodies[function]


def commit_info(_alice: Device, group: Any) -> str:
    """A GroupInfo of epoch 0."""
    return mls.group_info(group.mls_id, 0).hex()


@pytest.mark.parametrize("function", [name for name in CALLABLE if name != "device_register"])
async def test_unknown_missing_and_wrong_fields_are_refused(service: Service, function: str) -> None:
    alice = await Device.guest(service.url)
    body = await good_body(alice, function)
    (await alice.call(function, **body, user_id=alice.user_id)).refused(400, "bad_request")
    for name in body:
        if name == "joins" and function == "send_commit":
            continue
        (await alice.call(function, **{key: value for key, value in body.items() if key != name})).refused(
            400, "bad_request"
        )
        for wrong in WRONG_VALUES:
            answer = await alice.call(function, **{**body, name: wrong})
            assert (answer.status, answer.code) == (400, "bad_request"), (name, wrong, answer.body)


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_request"),
        (b"[]", "application/json", 400, "bad_request"),
        (b"\xff\xfe", "application/json", 400, "bad_request"),
        (b'{"group_id": NaN}', "application/json", 400, "bad_request"),
        (b"[" * 100_000, "application/json", 400, "bad_request"),
        (b'{"after": ' + b"1" * 5000 + b"}", "application/json", 400, "bad_request"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
async def test_bodies_that_are_no_json_object(
    service: Service, content: bytes, content_type: str, status: int, code: str
) -> None:
    alice = await Device.guest(service.url)
    headers = {"authorization": f"Bearer {alice.token}", "content-type": content_type}
    answer = await post(service, "/functions/v1/get_messages", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


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
    async with httpx.AsyncClient(base_url=service.url, verify=False) as client:  # noqa: S501 - no TLS here
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
        async with httpx.AsyncClient(base_url=service.url, verify=False) as client:  # noqa: S501 - no TLS here
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


class Forger:
    """Tokens that almost hold."""

    def __init__(self, alice: Device) -> None:
        self.good = alice.token
        self.claims = jwt.decode(alice.token, options={"verify_signature": False})
        self.header = jwt.get_unverified_header(alice.token)

    def signed_by_another(self) -> str:
        """The right kid, somebody else's key."""
        return jwt.encode(
            self.claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": self.header["kid"]}
        )

    def with_payload(self, **changes: Any) -> str:
        """The old signature on another payload."""
        head, _, signature = self.good.split(".")
        return f"{head}.{encoded({**self.claims, **changes})}.{signature}"

    def with_header(self, **changes: Any) -> str:
        """The old signature under another header."""
        _, payload, signature = self.good.split(".")
        return f"{encoded({**self.header, **changes})}.{payload}.{signature}"


def encoded(value: dict[str, Any]) -> str:
    """A part of a JWT."""
    return jwt.utils.base64url_encode(json.dumps(value).encode()).decode()


async def test_forged_tokens_are_refused(service: Service) -> None:
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    forger = Forger(alice)
    none = f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(forger.claims)}."
    jwks = (await alice.http.get("/auth/v1/.well-known/jwks.json")).json()
    secret = jwks["keys"][0]["x"].encode()
    forged = [
        "x", "a.b.c", forger.good[:-4], forger.good + "x", none, forger.signed_by_another(),
        forger.with_payload(sub=bob.user_id), forger.with_payload(exp=2**40),
        forger.with_payload(session_id=bob.session_id),
        forger.with_header(alg="none"), forger.with_header(alg="HS256"), forger.with_header(kid="other"),
        forger.with_header(kid=None), forger.with_header(kid=1), forger.with_header(jwk=jwks["keys"][0]),
        jwt.encode(forger.claims, secret, "HS256", headers={"kid": forger.header["kid"]}),
        jwt.encode(forger.claims, forger.header["kid"].encode() * 2, "HS256"),
    ]  # fmt: skip
    for token in forged:
        answer = await post(
            service, "/functions/v1/groups_list", headers={"authorization": f"Bearer {token}"}
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "no_session"), token
    for header in ("", "Bearer", "Basic abc", f"Token {alice.token}", alice.token):
        answer = await post(service, "/functions/v1/groups_list", headers={"authorization": header})
        assert answer.status_code == 401, header
