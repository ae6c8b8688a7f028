"""device_register: a session is bound to a device by a proof of its key."""

import asyncio

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.caller import Device
from tests.support.server import Service


async def test_the_same_key_gets_the_same_device(service: Service) -> None:
    alice = await Device.guest(service.url)
    again = (await alice.register(name="Renamed")).ok()
    assert again == {"device_id": alice.device_id, "user_id": alice.user_id}
    answers = await asyncio.gather(*(alice.register() for _ in range(8)))
    assert {answer.ok()["device_id"] for answer in answers} == {alice.device_id}


async def test_simultaneous_first_calls_make_one_device(service: Service) -> None:
    alice = Device(service.url)
    await alice.sign_in()
    answers = await asyncio.gather(*(alice.register() for _ in range(8)))
    assert len({answer.ok()["device_id"] for answer in answers}) == 1


async def test_a_new_key_is_a_new_device_and_the_session_acts_as_it(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    alice.key = Ed25519PrivateKey.generate()
    assert (await alice.register()).ok()["device_id"] != alice.device_id
    (await alice.send(group)).refused(403, "not_a_member")


async def test_a_key_belongs_to_one_user_for_ever(service: Service) -> None:
    alice, eve = await Device.guest(service.url), Device(service.url)
    await eve.sign_in()
    eve.key = alice.key
    (await eve.register()).refused(409, "key_in_use")


async def test_the_proof_binds_user_session_and_key(service: Service) -> None:
    alice, eve = await Device.guest(service.url), Device(service.url)
    await eve.sign_in()
    eve.key = Ed25519PrivateKey.generate()
    for proof in (
        "00" * 64,
        eve.proof(sub=alice.user_id),
        eve.proof(session_id=alice.session_id),
        alice.proof(sub=eve.user_id, session_id=eve.session_id),
    ):
        (await eve.register(proof=proof)).refused(403, "bad_proof")
    # a replay of somebody's own proof
    (await eve.register(proof=alice.proof(), signature_key=alice.public_key.hex())).refused(403, "bad_proof")
    (await eve.register()).ok()


async def test_names_and_kinds_are_checked(service: Service) -> None:
    alice = await Device.guest(service.url)
    (await alice.register(name="Ω" * 64, kind="service")).ok()
    far_too_long = "Ada" + " " * 16 * 64  # refused before it is normalised and stripped
    for name in ("", "x" * 65, "a\0b", "a\nb", "\u202egnp", "\ud800", far_too_long, 5, None):
        (await alice.register(name=name)).refused(400, "bad_request")
    (await alice.register(kind="admin")).refused(400, "bad_request")
    (await alice.register(signature_key="00" * 31)).refused(400, "bad_request")
    (await alice.register(signature_key=alice.public_key.hex().upper())).refused(400, "bad_request")
    (await alice.register(user_id=alice.user_id)).refused(400, "bad_request")


async def test_a_device_belongs_to_its_session_not_to_what_a_body_says(service: Service) -> None:
    """Fault: a server that trusts ids from the body."""
    alice, eve = await Device.guest(service.url), await Device.guest(service.url)
    group = await alice.create_group()
    for name in ("user_id", "device_id", "sub", "sender_device"):
        (await eve.send(group, **{name: alice.device_id})).refused(400, "bad_request")
    (await alice.send(group)).ok()
    await alice.add(group, eve)
    (await eve.send(group)).ok()
    senders = [one["sender_device"] for one in (await alice.messages(group))["envelopes"]]
    assert senders == [alice.device_id, alice.device_id, eve.device_id]
