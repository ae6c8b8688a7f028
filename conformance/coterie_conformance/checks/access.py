"""No function does anything for who has no session, no device, or a token that does not hold."""

import base64
import json

from coterie_conformance.api import Device
from coterie_conformance.catalog import check, require
from coterie_conformance.service import Answer, Json
from coterie_conformance.world import World

FUNCTIONS = (
    "commit_pause",
    "device_register",
    "device_revoke",
    "devices_list",
    "get_messages",
    "group_create",
    "group_info_get",
    "group_join",
    "group_leave",
    "groups_list",
    "invite_cancel",
    "invite_claim",
    "invite_complete",
    "invite_create",
    "invite_decide",
    "invite_info",
    "invite_join",
    "invite_pending",
    "invite_poll",
    "invite_revoke",
    "invites_list",
    "key_packages_claim",
    "key_packages_count",
    "key_packages_publish",
    "send_commit",
    "send_message",
    "welcomes_list",
)
"""Of docs/protocol.md; `deliver` is a socket and has its own checks."""


async def _ask(world: World, function: str, token: str | None) -> Answer | None:
    """The answer to an empty body; None where there is no such function yet."""
    answer = await world.place.post_json(f"{world.place.functions}/{function}", {}, token)
    return None if answer.code == "unknown_function" else answer


def _forged(token: str) -> dict[str, str]:
    """Tokens that look like a good one."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return {
        "not a JWT": "hello",
        "alg none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "another payload": f"{header}.{part({**claims, 'sub': 'somebody else'})}.{signature}",
        "another signature": f"{header}.{payload}.{'A' * len(signature)}",
        "no signature": f"{header}.{payload}.",
    }


@check("Nothing is done without a session that holds.", "RFC 9750 §8 (D9); RFC 8725; protocol, no_session")
async def every_function_asks_for_a_session(world: World) -> None:
    alice = await world.guest()
    tokens: dict[str, str | None] = {"no header": None, **_forged(alice.token)}
    asked = 0
    for function in FUNCTIONS:
        for name, token in tokens.items():
            answer = await _ask(world, function, token)
            if answer is not None:
                require(answer.outcome == (401, "no_session"), f"{function} with {name}: {answer.outcome}")
                answer.refused(401, "no_session")
                asked += 1
    require(asked, "there is no function")
    world.note(f"{asked} requests, 0 accepted")


@check(
    "A session without a device may register one and nothing else.",
    "design §4 (device binding); protocol, device_not_registered",
)
async def every_function_asks_for_a_device(world: World) -> None:
    guest, member = Device(world.place), await world.guest()
    await guest.sign_in()
    group = await member.create_group()
    of_group = {"group_id": group.group_id}
    bodies: dict[str, Json] = {
        "get_messages": {**of_group, "after": 0},
        "group_info_get": of_group,
        "group_join": of_group,
        "groups_list": {},
        "invite_info": {"invite_id": (await member.invite(group)).hex()},
        "invite_pending": {},
        "send_commit": member.commit_body(group),
        "send_message": member.message(group),
    }
    for function, body in bodies.items():
        (await guest.call(function, **body)).refused(403, "device_not_registered")
