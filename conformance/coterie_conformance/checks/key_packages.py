"""The directory: each key package once, the last resort only when there is none else, none that has expired."""

import asyncio
import time

from coterie_conformance import framing
from coterie_conformance.api import Device, new_id
from coterie_conformance.catalog import NotAsked, check, require, same
from coterie_conformance.service import Json
from coterie_conformance.world import World


def _identity(device: Device) -> str:
    return f"{device.user_id}#{device.device_id}"


async def publish(
    device: Device, count: int, *, last_resort: bool = False, not_after: int | None = None
) -> tuple[list[str], str | None]:
    """Publish new packages; them and the last resort in hex. Raises `NotAsked` where there is no directory."""
    packages = [
        framing.key_package(device.key, _identity(device), not_after=not_after).hex() for _ in range(count)
    ]
    body: Json = {"key_packages": packages}
    last = None
    if last_resort:
        last = body["last_resort"] = framing.key_package(
            device.key, _identity(device), last_resort=True
        ).hex()
    answer = await device.call("key_packages_publish", **body)
    if answer.code == "unknown_function":
        raise NotAsked("this service has no key_packages_publish")
    answer.ok()
    return packages, last


async def claim(device: Device, *users: str, claim_id: str | None = None) -> Json:
    """`key_packages_claim`."""
    body = {"claim_id": claim_id or new_id(), "user_ids": list(users)}
    return (await device.call("key_packages_claim", **body)).ok()


def served(answer: Json, holder: Device) -> str | None:
    """The package of that device in a claim's answer; None when it is among the missing."""
    found = [one for one in answer["key_packages"] if one["device_id"] == holder.device_id]
    if not found:
        missing = [{"device_id": holder.device_id, "user_id": holder.user_id}]
        same(answer["missing"], missing, "the devices without a package")
        return None
    same(len(found), 1, "packages of one device")
    return str(found[0]["key_package"])


@check(
    "Each key package is given once; when none is left the last resort is, again and again.",
    "RFC 9420 §16.8, RFC 9750 §5.1; D5; protocol, key_packages_claim",
)
async def key_packages_are_given_once(world: World) -> None:
    alice, bob, _ = await world.couple()
    packages, last = await publish(bob, 3, last_resort=True)
    given = [served(await claim(alice, bob.user_id), bob) for _ in range(5)]
    same(sorted(map(str, given[:3])), sorted(packages), "the packages that were given")
    same(given[3:], [last, last], "what is given when they are used up")


@check(
    "Without a last resort an empty stock is told as missing, and the owner is told how many are left.",
    "D5, D6; protocol, key_packages_count",
)
async def an_empty_stock_is_told(world: World) -> None:
    alice, bob, _ = await world.couple()
    await publish(bob, 1)
    count = (await bob.call("key_packages_count")).ok()
    same((count["available"], count["last_resort"]), (1, False), "what the owner is told")
    require(count["refill_below"] >= 1, "refill_below is not above 0")
    require(served(await claim(alice, bob.user_id), bob), "the package was not given")
    same(served(await claim(alice, bob.user_id), bob), None, "what is given of an empty stock")
    same((await bob.call("key_packages_count")).ok()["available"], 0, "what is left")


@check(
    "A claim that is made again gets the same packages, also many times at once.", "design §4 (retries); D5"
)
async def a_claim_retry_gets_the_same_packages(world: World) -> None:
    alice, bob, _ = await world.couple()
    await publish(bob, 5)
    number = new_id()
    answers = await asyncio.gather(*(claim(alice, bob.user_id, claim_id=number) for _ in range(10)))
    same({str(one) for one in answers}, {str(answers[0])}, "the answers")
    same((await bob.call("key_packages_count")).ok()["available"], 4, "what is left")


@check("A key package whose lifetime has ended is never given.", "RFC 9420 §7.2, §10; D6")
async def expired_key_packages_are_not_given(world: World) -> None:
    alice, bob, _ = await world.couple()
    ends = int(time.time()) + 2
    await publish(bob, 2, not_after=ends)
    await world.wait_for(ends + 1.1 - time.time(), "the lifetime of a key package")
    same(served(await claim(alice, bob.user_id), bob), None, "what is given after its end")
    fresh, _ = await publish(bob, 1)
    same(served(await claim(alice, bob.user_id), bob), fresh[0], "what is given of a new one")


@check(
    "A device publishes key packages of its own alone: its key, its identity, a lifetime of at most 84 days.",
    "RFC 9420 §10.1; RFC 9750 §5.1; protocol, key_packages_publish",
)
async def key_packages_are_the_devices_own(world: World) -> None:
    alice, bob, _ = await world.couple()
    await publish(bob, 1)
    now, mine = int(time.time()), _identity(bob)
    good = framing.key_package(bob.key, mine)
    wrong = {
        "another device's key": framing.key_package(alice.key, mine),
        "another identity": framing.key_package(bob.key, _identity(alice)),
        "a lifetime of 50 years": framing.key_package(bob.key, mine, not_after=now + 50 * 365 * framing.DAY),
        "a lifetime that has ended": framing.key_package(bob.key, mine, not_after=now - 1),
        "a byte too many": good + b"\0",
        "a byte too few": good[:-1],
        "a Welcome": framing.welcome(),
    }
    for name, package in wrong.items():
        answer = await bob.call("key_packages_publish", key_packages=[good.hex(), package.hex()])
        require(answer.outcome == (422, "bad_key_packages"), f"{name} was answered with {answer.outcome}")
        same(answer.body["refused"][0]["index"], 1, f"which one is refused with {name}")
        count = (await bob.call("key_packages_count")).ok()["available"]
        same(count, 1, f"the stock after {name}")


@check(
    "Packages are given to people who share a group, and to others nothing, as for a user who does not exist.",
    "RFC 9750 §5.1 and §8; D8, D9; protocol, key_packages_claim",
)
async def key_packages_are_for_acquaintances(world: World) -> None:
    _, bob, _ = await world.couple()
    eve = await world.guest()
    await publish(bob, 1)
    found = await claim(eve, bob.user_id)
    same(found, await claim(eve, new_id()), "the answers for a stranger and for nobody")
    same(found["key_packages"], [], "what a stranger gets")
    same((await bob.call("key_packages_count")).ok()["available"], 1, "what is left")


@check(
    "A Welcome for a device that has not asked waits for it until it says yes or no.",
    "RFC 9750 §5.2 (Welcome Messages); protocol, welcomes_list",
)
async def welcomes_wait_for_their_device(world: World) -> None:
    alice, bob, _ = await world.couple()
    if (await bob.call("welcomes_list")).code == "unknown_function":
        raise NotAsked("this service has no welcomes_list")
    accepted, declined = await alice.create_group(), await alice.create_group()
    bodies = {}
    for group in (accepted, declined):
        bodies[group.group_id] = alice.commit_body(group, add=[bob.device_id])
        (await alice.call("send_commit", **bodies[group.group_id])).ok()
    waiting = (await bob.call("welcomes_list")).ok()["welcomes"]
    found = {one["group_id"]: one["welcome"] for one in waiting}
    expected = {group: body["welcomes"][0]["welcome"] for group, body in bodies.items()}
    same(found, expected, "the Welcomes that wait")
    same((await alice.call("welcomes_list")).ok()["welcomes"], [], "another device's Welcomes")
    (await bob.call("group_join", group_id=accepted.group_id)).ok()
    (await bob.call("group_leave", group_id=declined.group_id)).ok()
    same((await bob.call("welcomes_list")).ok()["welcomes"], [], "what waits afterwards")
