"""What holds for every function: shapes of errors, CORS, methods, media types."""

from typing import Any

import httpx

from coterie_conformance.catalog import check, require, same
from coterie_conformance.service import Answer
from coterie_conformance.world import World


async def _raw(world: World, method: str, function: str, token: str | None, **options: Any) -> httpx.Response:
    return await world.place.request(method, f"{world.place.functions}/{function}", token, **options)


@check(
    "Every refusal has the documented shape: status, code, one sentence twice, CORS.",
    "protocol, errors of every function",
)
async def errors_have_one_shape(world: World) -> None:
    alice = await world.guest()
    json_type = {"content-type": "application/json"}
    not_utf8 = {"content": b'{"a":"\xff"}', "headers": json_type}
    deep = {"content": b"[" * 100_000, "headers": json_type}
    requests: dict[str, tuple[str, str, dict[str, Any], tuple[int, str]]] = {
        "an unknown function": ("POST", "no_such_function", {"json": {}}, (404, "unknown_function")),
        "DELETE": ("DELETE", "groups_list", {}, (405, "method_not_allowed")),
        "GET where POST is due": ("GET", "groups_list", {}, (405, "method_not_allowed")),
        "a form": ("POST", "groups_list", {"data": {"a": "b"}}, (415, "unsupported_media_type")),
        "no JSON": ("POST", "groups_list", {"content": b"{", "headers": json_type}, (400, "bad_request")),
        "a list": ("POST", "groups_list", {"json": []}, (400, "bad_request")),
        "invalid UTF-8": ("POST", "groups_list", not_utf8, (400, "bad_request")),
        "deep nesting": ("POST", "groups_list", deep, (400, "bad_request")),
        "an unknown field": ("POST", "groups_list", {"json": {"user_id": "x"}}, (400, "bad_request")),
        "a missing field": ("POST", "group_info_get", {"json": {}}, (400, "bad_request")),
        "no UUID": ("POST", "group_info_get", {"json": {"group_id": "x"}}, (400, "bad_request")),
        "NUL in a text": ("POST", "device_register", {"json": {
            "signature_key": "00" * 32, "name": "a\0b", "proof": "00" * 64}}, (400, "bad_request")),
    }  # fmt: skip
    for name, (method, function, options, outcome) in requests.items():
        found = await _raw(world, method, function, alice.token, **options)
        answer = Answer.of(found.status_code, found.headers, found.content)
        require(answer.outcome == outcome, f"{name} was answered with {answer.outcome}, not {outcome}")
        answer.refused(*outcome)
        require(answer.body["error"], f"{name} has no sentence")
    world.note(f"{len(requests)} bad requests")


@check(
    "A page of any origin may call: preflight, answers and errors say so.",
    "Fetch §3.2; protocol, conventions",
)
async def any_origin_may_call(world: World) -> None:
    alice = await world.guest()
    asked = {
        "origin": "https://elsewhere.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    preflight = await _raw(world, "OPTIONS", "send_message", None, headers=asked)
    require(preflight.status_code in (200, 204), f"preflight was answered with {preflight.status_code}")
    allowed = preflight.headers.get("access-control-allow-headers", "").lower()
    for name in ("authorization", "content-type", "apikey", "x-client-info"):
        require(name in allowed, f"the header {name} is not allowed")
    answer = await alice.call("groups_list")
    same(answer.headers.get("access-control-allow-origin"), "*", "CORS of an answer")
    same(answer.headers.get("access-control-allow-credentials"), None, "credentials")


@check("The service says that it is well.", "protocol, /health")
async def health_is_told(world: World) -> None:
    url = world.place.functions.removesuffix("/functions/v1") + "/health"
    answer = await world.place.request("GET", url)
    same((answer.status_code, answer.json().get("ok")), (200, True), "/health")
