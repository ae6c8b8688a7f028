"""What is not a request: the documented error in the documented shape, and nothing done."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import jsonschema_rs
import pytest

from edge_functions.app import FUNCTIONS
from edge_functions.errors import ServiceError
from edge_functions.fields import Field
from tests.support.bodies import BODIES
from tests.support.caller import Device
from tests.support.server import Service
from tests.support.socket_client import open_socket
from tests.support.world import World

ID = "01234567-89ab-cdef-0123-456789abcdef"
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 500, 501, 2**53 - 1, 2**53, 10**30, 0.5, 1.5, 1e300, "", " ", "zz", "00", "0",
    "0" * 32, "AB" * 16, "0" * 64, "0" * 128, "g" * 32, "00 ", "0" * 9000, "application", "person",
    "2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z", ID, ID.upper(),
    f"{ID}\n", "0123456789abcdef0123456789abcdef", "x" * 64, "x" * 65, "x" * 300, "a#b",
    "\x00", "a\x00b", "\u202e", [], [1], [None], [[]], {}, {"a": 1}, [ID] * 2,
    [ID], ["00"], ["0"], ["user"], ["a#b"],
    [{"device_id": ID, "welcome": "00"}],
    [{"device_id": ID, "welcome": ""}],
    [{"device_id": ID, "welcome": "00", "x": 1}],
    [{"device_id": "x", "welcome": "00"}],
    [{"join_id": ID, "welcome_tag": "0" * 64}],
]  # fmt: skip
"""Of every type, and at the edges of what fields take."""

BEYOND_THE_SCHEMA = {
    ("name", " "),  # white space is cut off
    ("name", "\x00"),
    ("name", "a\x00b"),
    ("name", "\u202e"),
}
"""What a schema cannot say and the reader refuses (the schema's description says it)."""

DECLARED = [
    pytest.param(name, field_name, field, id=f"{name}-{field_name}")
    for name, function in FUNCTIONS.items()
    for field_name, field in function.takes.items()
]


@pytest.mark.parametrize(("function", "name", "field"), DECLARED)
def test_what_reads_a_field_and_what_describes_it_agree(function: str, name: str, field: Field) -> None:
    """They come from one declaration; this is whether it says the same thing twice."""
    schema = jsonschema_rs.validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", **field.schema},
                                         validate_formats=True)  # fmt: skip
    for value in VALUES:
        beyond = isinstance(value, str) and (name, value) in BEYOND_THE_SCHEMA
        assert reads(field, name, value) == (schema.is_valid(value) and not beyond), value


def reads(field: Field, name: str, value: Any) -> bool:
    """Whether a request may have this value there."""
    try:
        field.read(value, name)
    except ServiceError:
        return False
    return True


@pytest.fixture
async def world(service: Service) -> AsyncIterator[World]:
    """A member with everything that bodies name."""
    db = await asyncpg.connect(service._environment["DATABASE_URL"])
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS here
            yield await World.make(client, db)
    finally:
        await db.close()


async def post(
    device: Device, function: str, content: bytes, content_type: str = "application/json"
) -> httpx.Response:
    """A body as it is."""
    headers = {"authorization": f"Bearer {device.token}", "content-type": content_type}
    return await device.http.post(f"/functions/v1/{function}", content=content, headers=headers)


def refused(answer: httpx.Response, *statuses: int) -> bool:
    """A documented error, in the documented shape, that any page may read."""
    body = answer.json()
    return (
        answer.status_code in statuses
        and body["code"]
        in {400: ["bad_request"], 413: ["too_large"], 415: ["unsupported_media_type"]}[answer.status_code]
        and body["error"] == body["message"]
        and answer.headers["access-control-allow-origin"] == "*"
    )


CALLABLE = sorted(FUNCTIONS.keys() - {"deliver"})
WRONG: list[Any] = [{}, [1], "zz\x00", 1.5, -1, 2**60, "\ud800", "\x00" * 36, {"a": {"b": []}}]
"""Wrong for every field there is."""


async def test_unknown_missing_and_wrong_fields_are_refused(world: World) -> None:
    member, wrong, asked = world.people["member"], [], 0
    for function in CALLABLE:
        body = BODIES[function](world, world.things, member)
        takes = FUNCTIONS[function].takes
        cases = [{**body, "user_id": member.user_id}]
        cases += [
            {key: value for key, value in body.items() if key != name}
            for name in takes
            if takes[name].required
        ]
        cases += [{**body, name: value} for name in takes for value in WRONG]
        for case in cases:
            asked += 1
            answer = await post(member, function, json.dumps(case).encode())
            if not refused(answer, 400):
                wrong.append(f"{function} {str(case)[:200]}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []
    assert asked > 500


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'"text"', "application/json", 400),
        (b"{} {}", "application/json", 400),
        (b"{'group_id': 1}", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"\xff": 1}', "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),  # a byte order mark (RFC 8259 section 8.1)
        ("{}".encode("utf-16"), "application/json", 400),
        ("{}".encode("utf-32"), "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"a": -Infinity}', "application/json", 400),
        (b'{"a": 1e999}', "application/json", 400),
        (b'{"group_id": 1, "group_id": 2}', "application/json", 400),
        (b'{"a": {"b": 1, "b": 2}}', "application/json", 400),
        (b'{"a": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"a": "\\ud800"}', "application/json", 400),
        (b'{"a": "\\u0000"}', "application/json", 400),
        (b'{"\\u0000": 1}', "application/json", 400),
        (b'{"\\ud800": 1}', "application/json", 400),
        (b'{"a": "\x01"}', "application/json", 400),
        (b"[" * 90_000, "application/json", 400),
        (b'{"a":' * 90_000, "application/json", 400),
        (b"[" * 200_000, "application/json", 413),
        (b"\x1f\x8b\x08\x00", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "application/jsonp", 415),
        (b"{}", "multipart/form-data; boundary=x", 415),
    ],
)  # fmt: skip
async def test_bodies_that_are_no_json_object(
    service: Service, content: bytes, content_type: str, status: int
) -> None:
    member = await Device.guest(service.url)
    answer = await post(member, "get_messages", content, content_type)
    assert refused(answer, status), (answer.status_code, answer.text)
    answer = await member.http.post("/auth/v1/token?grant_type=refresh_token", content=content,
                                   headers={"content-type": content_type})  # fmt: skip
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error_code"] in ("bad_json", "validation_failed", "too_large")


async def test_queries_that_are_no_request(service: Service) -> None:
    member = await Device.guest(service.url)
    group = (await member.create_group()).group_id
    headers = {"authorization": f"Bearer {member.token}"}
    for query in (
        f"group_id={group}&after=0&after=1",
        f"group_id={group}&after=0&x=1",
        f"group_id={group}&after=-1",
        f"group_id={group}&after=0&limit=501",
        f"group_id={group}&after=99999999999999999999",
        f"group_id={group}&after=%00",
        f"group_id={group}&after=%ff",
        f"group_id={group}",
        "group_id=%ud800&after=0",
        "",
    ):
        answer = await member.http.get(f"/functions/v1/get_messages?{query}", headers=headers)
        assert refused(answer, 400), (query, answer.text)


async def test_a_session_is_asked_for_before_the_body_is_read(service: Service) -> None:
    """Nobody makes the service parse anything: the body is not even waited for."""
    for header in (
        "",
        "Bearer",
        "Basic abc",
        "Bearer x y",
        f"Token {'x' * 100}",
        "Bearer \xff\xfe",
        "Bearer a.\xe9.c",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        head = f"POST /functions/v1/send_message HTTP/1.1\r\nhost: x\r\nauthorization: {header}\r\n"
        writer.write(f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n".encode("latin-1"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 401"), header
        writer.close()
        await writer.wait_closed()


async def test_the_frames_of_a_socket_too(service: Service) -> None:
    """docs/protocol.md: `bad_request`, and the socket closes."""
    alice = await Device.guest(service.url)
    hello = {"type": "hello", "token": alice.token}
    frames = [
        "",
        "{",
        "[]",
        "null",
        '{"type": "hello"}',
        '{"type": "hello", "token": 1, "cursors": {}}',
        "[" * 90_000,
    ]
    cursors: list[Any] = [{"x": 1}, {"\x00": 0}, [], None]
    frames += [json.dumps({**hello, "cursors": one}) for one in cursors]
    for frame in frames:
        async with open_socket(service.url) as socket:
            await socket.websocket.send(frame)
            assert (await socket.ended())["code"] == "bad_request", frame
