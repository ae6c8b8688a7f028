"""For every function a body with which it succeeds, for those who may; by its row in docs/authorization.md."""

from collections.abc import Callable
from typing import Any

from tests.support import mls
from tests.support.caller import Device, invite_body, join_body, new_id
from tests.support.world import Things, World

Body = Callable[[World, Things, Device], dict[str, Any]]


def _of_group(_world: World, things: Things, _caller: Device) -> dict[str, Any]:
    return {"group_id": things.group.group_id}


def _of_invite(_world: World, things: Things, _caller: Device) -> dict[str, Any]:
    return {"invite_id": things.invite.hex()}


def _of_join(_world: World, things: Things, _caller: Device) -> dict[str, Any]:
    return {"join_id": things.join.join_id}


def _nothing(_world: World, _things: Things, _caller: Device) -> dict[str, Any]:
    return {}


def _new_group(group_id: str) -> dict[str, Any]:
    return {
        "group_id": group_id,
        "group_info": mls.group_info(b"m" * 16, 0).hex(),
        "message_id": new_id(),
    }


def _registration(_world: World, _things: Things, caller: Device) -> dict[str, Any]:
    return {"signature_key": caller.public_key.hex(), "name": "Laptop", "proof": caller.proof()}


def _another_registration(world: World, things: Things, caller: Device) -> dict[str, Any]:
    """In the same session, by a key that nobody knows yet."""
    other = Device(caller.http.url)
    other.session = caller.session
    return _registration(world, things, other)


def _completion(world: World, things: Things, caller: Device) -> dict[str, Any]:
    joiner = world.people["joiner"].device_id
    body = caller.commit_body(things.group, add=[joiner], invites=[things.invite], counter=9)
    return {**body, "joins": [{"join_id": things.join.join_id, "welcome_tag": "00" * 32}]}


BODIES: dict[str, Body] = {
    "commit_pause": _of_group,
    "deliver": _nothing,
    "device_register": _registration,
    "device_register of another key": _another_registration,
    "device_revoke": lambda _world, things, _caller: {"device_id": things.device_id},
    "devices_list": _nothing,
    "get_messages": lambda _world, things, _caller: {"group_id": things.group.group_id, "after": 0},
    "group_create": lambda _world, _things, _caller: _new_group(new_id()),
    "group_create of a taken id": lambda _world, things, _caller: _new_group(things.group.group_id),
    "group_info_get": _of_group,
    "group_join": _of_group,
    "group_leave": _of_group,
    "groups_list": _nothing,
    "invite_cancel": _of_join,
    "invite_claim": _of_join,
    "invite_complete": _completion,
    "invite_create": lambda _world, things, _caller: invite_body(things.group),
    "invite_decide": lambda _world, things, _caller: {"join_id": things.join.join_id, "approve": True},
    "invite_info": _of_invite,
    "invite_join": lambda _world, things, _caller: join_body(things.invite),
    "invite_pending": _nothing,
    "invite_poll": _of_join,
    "invite_revoke": _of_invite,
    "invites_list": _of_group,
    "key_packages_claim": lambda _world, things, _caller: {
        "claim_id": new_id(),
        "user_ids": [things.user_id],
    },
    "key_packages_count": _nothing,
    "key_packages_publish": lambda _world, _things, _caller: {"key_packages": []},
    "send_commit": lambda _world, things, caller: caller.commit_body(things.group, counter=9),
    "send_message": lambda _world, things, caller: caller.message(things.group, counter=9),
    "welcomes_list": _nothing,
}

AUTH_BODIES: dict[str, dict[str, Any]] = {
    "/signup": {},
    "/token": {"refresh_token": "x" * 43},
    "/passkeys/registration/options": {},
    "/passkeys/registration/verify": {"challenge_id": new_id(), "credential": {"id": "x"}},
    "/passkeys/authentication/options": {},
    "/passkeys/authentication/verify": {"challenge_id": new_id(), "credential": {"id": "x"}},
    "/passkeys/{passkey_id}": {"friendly_name": "Key"},
}
"""By route: what has a body. Refresh token and challenges are those of nobody."""
