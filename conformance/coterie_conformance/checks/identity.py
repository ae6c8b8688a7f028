"""Sessions and devices."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coterie_conformance.api import Device
from coterie_conformance.catalog import NotAsked, check, require, same
from coterie_conformance.service import Json
from coterie_conformance.sockets import listening
from coterie_conformance.world import World


async def _refresh(world: World, token: str) -> tuple[int, Json]:
    answer = await world.place.request(
        "POST", f"{world.place.auth}/token?grant_type=refresh_token", json={"refresh_token": token}
    )
    return answer.status_code, answer.json()


@check("A guest's session is renewed, and is the same user's.", "protocol, identity")
async def sessions_are_renewed(world: World) -> None:
    alice = await world.guest()
    group = await alice.create_group()
    status, session = await _refresh(world, alice.session["refresh_token"])
    same(status, 200, "the status of a refresh")
    same(session["user"]["id"], alice.user_id, "the user")
    alice.session = session
    (await alice.send(group)).ok()
    status, _ = await _refresh(world, "not a token")
    same(status, 400, "the status of an unknown refresh token")


@check("After sign-out the access token is refused at once.", "protocol, identity (logout)")
async def sign_out_is_immediate(world: World) -> None:
    alice = await world.guest()
    answer = await world.place.request("POST", f"{world.place.auth}/logout", alice.token)
    same(answer.status_code, 204, "the status of sign-out")
    refused = await alice.call("groups_list")
    if refused.status == 200:
        raise NotAsked("tokens of another issuer hold until they end; this one cannot withdraw them")
    refused.refused(401, "no_session")


@check("The keys that sign tokens are published, the private parts are not.", "RFC 7517; protocol, jwks.json")
async def keys_are_published(world: World) -> None:
    answer = await world.place.request("GET", f"{world.place.auth}/.well-known/jwks.json")
    same(answer.status_code, 200, "the status")
    keys = answer.json()["keys"]
    require(keys, "there is no key")
    for key in keys:
        same({"d", "k", "p", "q"} & key.keys(), set(), "private parts of a key")


@check(
    "A device shows that it holds its key, for this user and this session.",
    "RFC 9750 §5.1, RFC 9420 §5.3.1; protocol, device_register",
)
async def a_device_proves_its_key(world: World) -> None:
    alice, bob = Device(world.place), Device(world.place)
    await alice.sign_in()
    await bob.sign_in()
    stranger = Ed25519PrivateKey.generate()
    (await alice.register(proof=alice.proof(stranger))).refused(403, "bad_proof")
    (await alice.register(proof=alice.proof(session_id="another"))).refused(403, "bad_proof")
    bob.key = alice.key
    (await alice.register(proof=bob.proof())).refused(403, "bad_proof")
    (await alice.call("groups_list")).refused(403, "device_not_registered")
    first = (await alice.register()).ok()
    same((await alice.register(name="Another name")).ok(), first, "the device of the same key")
    (await bob.register()).refused(409, "key_in_use")


@check(
    "A session acts as the device that was registered last on it, and others' sessions are not touched.",
    "protocol, device_register",
)
async def a_session_is_bound_to_one_device(world: World) -> None:
    alice, other = await world.guest(), await world.guest()
    group = await alice.create_group()
    before, alice.key = alice.key, Ed25519PrivateKey.generate()
    second = (await alice.register()).ok()["device_id"]
    require(second != alice.device_id, "two keys are one device")
    (await alice.send(group)).refused(403, "not_a_member")
    alice.key = before
    same((await alice.register()).ok()["device_id"], alice.device_id, "the device of the first key")
    (await alice.send(group)).ok()
    same((await other.call("groups_list")).ok()["groups"], [], "another guest's groups")


@check(
    "A revoked device is refused everywhere at once, its sockets close, and its packages and joins are gone.",
    "RFC 9750 §8; protocol, device_revoke",
)
async def revoked_devices_are_cut_off(world: World) -> None:
    alice, bob, group = await world.couple()
    if (await bob.call("devices_list")).code == "unknown_function":
        raise NotAsked("this service has no devices_list and device_revoke")
    async with listening(bob) as socket:
        await socket.caught_up(group)
        (await bob.call("device_revoke", device_id=bob.device_id)).ok()
        same((await socket.ended())["code"], "device_revoked", "how the open socket ended")
    (await bob.send(group)).refused(403, "device_revoked")
    (await bob.call("groups_list")).refused(403, "device_revoked")
    (await alice.call("device_revoke", device_id=bob.device_id)).refused(404, "unknown_device")
    (await alice.send(group)).ok()
