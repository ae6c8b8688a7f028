"""What every transport owes to `coterie.ports.Transport`, against `odd_service.py`.

Needs nothing but a way to make a transport: `test_transport.py` runs it on CPython, tests/pyodide/storage
inside Chromium and Firefox.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from coterie.errors import LocalError, Unreachable
from coterie.ports import Answer, Socket, Transport

TOKEN = "a-made-up-token"
Make = Callable[..., Transport]
"""`make()`, or `make(request_seconds=...)`: a transport to the odd service."""
Case = Callable[[Make], Awaitable[None]]


async def unreachable(call: Awaitable[object], *codes: str) -> Unreachable:
    """The call raises `Unreachable` with one of these codes and a sentence."""
    raised: Unreachable | None = None
    result: object = None
    try:
        async with asyncio.timeout(30):
            result = await call
    except Unreachable as error:
        raised = error
    assert raised is not None, f"expected Unreachable, but got {result!r:.200}"
    assert raised.code in codes, (raised.code, codes)
    assert raised.sentence.endswith("."), raised.sentence
    return raised


async def call(transport: Transport, name: str, body: dict[str, Any] | None = None) -> Answer:
    return await transport.request("POST", f"/functions/v1/{name}", body or {}, TOKEN)


async def case_a_request_arrives_as_it_was_given(make: Make) -> None:
    transport = make()
    body = {"text": "Grüße ‖ 🎈 \x00", "list": [1, None, True, 2**53 - 1], "empty": {}}
    answer = await transport.request("POST", "/functions/v1/echo", body, TOKEN)
    assert answer.status == 200
    assert answer.body["json"] == body
    assert answer.body["method"] == "POST"
    assert answer.body["authorization"] == f"Bearer {TOKEN}"
    assert answer.body["content_type"].split(";")[0] == "application/json"


async def case_get_with_a_query_and_no_body(make: Make) -> None:
    answer = await make().request("GET", "/functions/v1/echo?after=3&limit=5", None, TOKEN)
    assert (answer.body["method"], answer.body["json"]) == ("GET", None)
    assert answer.body["query"] == {"after": "3", "limit": "5"}


async def case_no_cookie_is_kept(make: Make) -> None:
    transport = make()
    assert (await call(transport, "echo")).body["cookie"] is None
    assert (await call(transport, "echo")).body["cookie"] is None


async def case_a_big_body_goes_both_ways(make: Make) -> None:
    body = {"hex": "ab" * (4 << 20)}
    assert (await call(make(), "echo", body)).body["json"] == body


async def case_a_refusal_is_an_answer_with_all_its_fields(make: Make) -> None:
    transport = make()
    for status in (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503):
        answer = await call(transport, f"refuse?status={status}")
        assert answer.status == status
        assert answer.body["code"] == "some_code"
        assert answer.body["epoch"] == 7


async def case_no_content_is_an_empty_answer(make: Make) -> None:
    answer = await call(make(), "no_content")
    assert answer.status in (200, 204)
    assert answer.body == {}


async def case_an_array_stands_in_items(make: Make) -> None:
    assert (await call(make(), "array")).body == {"items": [{"n": 1}, {"n": 2}]}


async def case_what_is_not_from_the_service_is_no_answer(make: Make) -> None:
    transport = make()
    for status in (200, 403, 404, 413, 500, 502, 503):
        await unreachable(call(transport, f"page?status={status}"), "bad_answer")
    await unreachable(call(transport, "not_an_object"), "bad_answer")
    assert (await call(transport, "echo")).status == 200


async def case_a_redirect_is_not_followed(make: Make) -> None:
    transport = make()
    await unreachable(call(transport, "elsewhere"), "bad_answer", "unreachable")
    assert (await call(transport, "trapped")).body == {"trapped": 0}


async def case_silence_ends_and_hangs_up(make: Make) -> None:
    impatient, patient = make(request_seconds=1), make()
    before = (await call(patient, "hung_up")).body["hung_up"]
    await unreachable(call(impatient, "hang"), "timed_out")
    await _until(lambda: _counted(patient, "hung_up", before + 1))


async def case_an_answer_that_never_ends_is_given_up(make: Make) -> None:
    await unreachable(call(make(request_seconds=0.5), "drip"), "timed_out")


async def case_a_cancelled_request_hangs_up(make: Make) -> None:
    transport = make()
    before = (await call(transport, "hung_up")).body
    waiting = asyncio.ensure_future(call(transport, "hang"))
    await _until(lambda: _counted(transport, "hanging", before["hanging"] + 1))
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
    await _until(lambda: _counted(transport, "hung_up", before["hung_up"] + 1))


async def _counted(transport: Transport, what: str, count: int) -> bool:
    found: bool = (await call(transport, "hung_up")).body[what] >= count
    return found


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so; the test's own time limit ends it otherwise."""
    async with asyncio.timeout(20):
        while not await reached():  # noqa: ASYNC110  it is a question to the service
            await asyncio.sleep(0)


async def case_requests_run_beside_each_other(make: Make) -> None:
    transport = make()
    answers = await asyncio.gather(*(call(transport, "echo", {"n": n}) for n in range(20)))
    assert [answer.body["json"]["n"] for answer in answers] == list(range(20))


async def case_after_closing_nothing_goes_out(make: Make) -> None:
    transport = make()
    await call(transport, "echo")
    await transport.close()
    await transport.close()
    await unreachable(call(transport, "echo"), "unreachable")


# --------------------------------------------------------------------------------------------- the socket


async def _next(frames: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        return await anext(frames)


async def _rest(frames: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return [frame async for frame in frames]


TOO_DEEP = ("[" * 100_000, '{"a":' * 100_000, '{"a": "[{", "b":' + "[" * 101 + "]" * 101 + "}")
FLAT = {"type": "flat", "text": 'quote " and [' * 200, "list": [{"n": n, "text": "]\\"} for n in range(300)]}


async def case_many_brackets_are_not_depth(make: Make) -> None:
    socket = await _open(make)
    await socket.send(FLAT)
    assert await _next(socket.frames()) == FLAT
    await socket.close()
    assert (await call(make(), "echo", FLAT)).body["json"] == FLAT


async def case_an_answer_nested_too_deep_is_no_answer(make: Make) -> None:
    for text in TOO_DEEP:
        await unreachable(call(make(), "verbatim", {"text": text}), "bad_answer")


async def _open(make: Make) -> Socket:
    return await make().connect()


async def case_frames_go_both_ways(make: Make) -> None:
    socket = await _open(make)
    frames = socket.frames()
    hello = {"v": 1, "type": "hello", "token": TOKEN, "cursors": {"g": 3}, "text": "Grüße 🎈"}
    await socket.send(hello)
    assert await _next(frames) == hello
    await socket.send({"type": "ping"})
    assert await _next(frames) == {"type": "ping"}
    await socket.close()


async def case_frames_keep_their_order(make: Make) -> None:
    socket = await _open(make)
    await socket.send({"type": "many", "count": 1000})
    frames = socket.frames()
    assert [(await _next(frames))["n"] for _ in range(1000)] == list(range(1000))
    await socket.close()


async def case_a_frame_may_be_as_big_as_a_welcome(make: Make) -> None:
    socket = await _open(make)
    await socket.send({"type": "big", "kib": 17 << 10})
    assert len((await _next(socket.frames()))["hex"]) == 17 << 20
    await socket.close()


async def case_an_orderly_close_ends_the_frames(make: Make) -> None:
    for code in (1000, 1001):
        socket = await _open(make)
        await socket.send({"type": "last"})
        await socket.send({"type": "close", "code": code})
        assert await _rest(socket.frames()) == [{"type": "last"}]
        await unreachable(socket.send({"type": "ping"}), "socket_closed")
        await socket.close()


async def case_any_other_close_is_unreachable(make: Make) -> None:
    socket = await _open(make)
    await socket.send({"type": "close", "code": 1011})
    await unreachable(_rest(socket.frames()), "socket_closed")
    await unreachable(socket.send({"type": "ping"}), "socket_closed")


async def case_frames_that_are_no_objects_are_unreachable(make: Make) -> None:
    texts = ("", "{", "[1]", "null", "\x00", *TOO_DEEP)
    rubbish = [{"type": "rubbish", "text": text} for text in texts]
    for asked in [{"type": "binary"}, *rubbish]:
        socket = await _open(make)
        await socket.send(asked)
        await unreachable(_next(socket.frames()), "bad_answer")
        await socket.close()


async def case_own_close_ends_the_frames(make: Make) -> None:
    socket = await _open(make)
    reading = asyncio.ensure_future(_rest(socket.frames()))
    await socket.send({"type": "ping"})
    await socket.close()
    await socket.close()
    assert await reading in ([], [{"type": "ping"}])
    await unreachable(socket.send({"type": "ping"}), "socket_closed")


CASES: dict[str, Case] = {
    name.removeprefix("case_"): case for name, case in globals().items() if name.startswith("case_")
}

WRONG_ADDRESSES = (
    "",
    "host",
    "ftp://host",
    "http://",
    "https://host?x=1",
    "https://host#x",
    "http://host:port",
)


def refuses_wrong_addresses(make_at: Callable[[str], Transport]) -> None:
    for address in WRONG_ADDRESSES:
        code = None
        try:
            make_at(address)
        except LocalError as error:
            code = error.code
        assert code == "bad_service_url", address
