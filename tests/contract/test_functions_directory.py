"""Key packages: published, counted, each given once, and to nobody who should not have it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import coterie_mls
from tests.support import mls
from tests.support.caller import Answer, Device, new_id
from tests.support.server import Service, execute
from tests.support.socket_client import listening

EMPTY: dict[str, Any] = {"key_packages": [], "missing": []}


@pytest.fixture(scope="module")
def database_url(make_database: Callable[[], str]) -> str:
    """The service's database, in which a test lets time pass."""
    return make_database()


@pytest.fixture(scope="module")
def service(make_service: Callable[..., Service], database_url: str) -> Service:
    """A running service."""
    return make_service(DATABASE_URL=database_url)


async def friends(service: Service, count: int = 2) -> list[Device]:
    """Devices of different users in one group."""
    devices = [await Device.guest(service.url) for _ in range(count)]
    await devices[0].add(await devices[0].create_group(), *devices[1:])
    return devices


def given(*answers: Answer) -> list[str]:
    """The packages of claims, in hex."""
    return [one["key_package"] for answer in answers for one in answer.ok()["key_packages"]]


async def stock(device: Device) -> tuple[int, bool]:
    """What is left: the number, and whether there is a last resort."""
    answer = (await device.call("key_packages_count")).ok()
    assert answer.keys() == {"available", "last_resort", "refill_below"}
    return answer["available"], answer["last_resort"]


# ---- publishing


async def test_what_was_published_is_counted_and_publishing_it_again_changes_nothing(
    service: Service,
) -> None:
    alice = await Device.guest(service.url)
    assert await stock(alice) == (0, False)
    packages = [alice.key_package().hex() for _ in range(100)]
    last = alice.key_package(last_resort=True).hex()
    body = {"key_packages": packages, "last_resort": last}
    answers = await asyncio.gather(*(alice.call("key_packages_publish", **body) for _ in range(4)))
    expected = {"available": 100, "last_resort": True, "refill_below": 25}
    assert [answer.ok() for answer in answers] == [expected] * 4
    assert (await alice.call("key_packages_publish", key_packages=packages[:1] * 2)).ok() == expected
    assert await stock(alice) == (100, True)


async def test_key_packages_of_the_real_crate_are_taken(service: Service) -> None:
    alice = Device(service.url)
    await alice.sign_in()
    backend = coterie_mls.Backend.create(alice.user_id)
    proof = backend.sign_device_proof(alice.user_id, alice.session_id).hex()
    registered = await alice.register(signature_key=backend.signature_key.hex(), proof=proof)
    backend.bind_device(registered.ok()["device_id"])
    packages = [backend.create_key_package(suite=suite).bytes.hex() for suite in (1, 3)]
    last = backend.create_key_package(last_resort=True).bytes.hex()
    answer = await alice.call("key_packages_publish", key_packages=packages, last_resort=last)
    assert answer.ok() == {"available": 2, "last_resort": True, "refill_below": 25}


async def test_one_that_is_refused_refuses_all(service: Service) -> None:
    alice, eve = await Device.guest(service.url), await Device.guest(service.url)
    later = int(time.time()) + 3600
    others_identity = f"{eve.user_id}#{alice.device_id}".encode()
    faulty = [
        ("malformed", mls.key_package()),
        ("malformed", alice.key_package() + b"\0"),
        ("unsupported_suite", alice.key_package(suite=2)),
        ("wrong_device", eve.key_package()),
        ("wrong_device", alice.key_package(identity=others_identity)),
        ("wrong_device", alice.key_package(signature_key=eve.public_key)),
        ("wrong_lifetime", alice.key_package(hours=84 * 24 + 1)),
        ("wrong_lifetime", alice.key_package(not_before=0, not_after=2**64 - 1)),
        ("wrong_lifetime", alice.key_package(not_before=later, not_after=later)),
        ("not_yet_valid", alice.key_package(not_before=later, not_after=later + 3600)),
        ("expired", alice.key_package(hours=-0.5)),
        ("wrong_last_resort", alice.key_package(last_resort=True)),
    ]
    packages = [alice.key_package(), *(package for _, package in faulty)]
    answer = await alice.call(
        "key_packages_publish",
        key_packages=[one.hex() for one in packages],
        last_resort=alice.key_package().hex(),
    )
    refused = answer.refused(422, "bad_key_packages")["refused"]
    reasons = [{"index": index, "reason": reason} for index, (reason, _) in enumerate(faulty, start=1)]
    assert refused == [*reasons, {"index": None, "reason": "wrong_last_resort"}]
    assert await stock(alice) == (0, False)


async def test_shapes_and_sizes_of_what_is_published(service: Service) -> None:
    alice = await Device.guest(service.url)
    one = alice.key_package().hex()
    for packages in (None, "00", [one.upper()], [""], [5], [one] * 101):
        (await alice.call("key_packages_publish", key_packages=packages)).refused(400, "bad_request")
    (await alice.call("key_packages_publish")).refused(400, "bad_request")
    too_large = ["00" * (8 * 1024 + 1)]
    (await alice.call("key_packages_publish", key_packages=too_large)).refused(413, "too_large")


async def test_a_device_keeps_200_at_most(service: Service) -> None:
    alice = await Device.guest(service.url)
    await alice.publish(100)
    await alice.publish(100, last_resort=alice.key_package(last_resort=True))
    answer = await alice.call("key_packages_publish", key_packages=[alice.key_package().hex()])
    assert answer.refused(409, "key_packages_full")["available"] == 200
    assert await stock(alice) == (200, True)


async def test_a_new_last_resort_takes_the_place_of_the_old_one_for_good(service: Service) -> None:
    alice, bob = await friends(service)
    old, new = bob.key_package(last_resort=True), bob.key_package(last_resort=True)
    for last in (old, new, old):  # the third is a request that was under way for long
        await bob.publish(0, last_resort=last)
    claim = await alice.claim(bob)
    assert (given(claim), claim.ok()["missing"]) == ([new.hex()], [])


# ---- claiming


async def test_each_is_given_once_and_then_the_last_resort(service: Service) -> None:
    alice, bob = await friends(service)
    last = bob.key_package(last_resort=True).hex()
    packages = await bob.publish(3, last_resort=bytes.fromhex(last))
    claims = [(await alice.claim(bob)).ok() for _ in range(5)]
    assert {name for claim in claims for name in claim["key_packages"][0]} == {
        "device_id", "user_id", "key_package", "last_resort",
    }  # fmt: skip
    taken = [(claim["key_packages"][0]["key_package"], claim["missing"]) for claim in claims]
    assert sorted(taken[:3]) == sorted((one, []) for one in packages)
    assert taken[3:] == [(last, []), (last, [])]
    flags = [claim["key_packages"][0]["last_resort"] for claim in claims]
    assert flags == [False, False, False, True, True]
    assert await stock(bob) == (0, True)


async def test_without_a_last_resort_the_device_is_missing(service: Service) -> None:
    alice, bob = await friends(service)
    missing = [{"device_id": bob.device_id, "user_id": bob.user_id}]
    assert (await alice.claim(bob)).ok() == {"key_packages": [], "missing": missing}


async def test_a_hundred_race_for_the_last_one(service: Service) -> None:
    *racers, bob = await friends(service, 11)
    for last_resort in (None, bob.key_package(last_resort=True)):
        [one] = await bob.publish(1, last_resort=last_resort)
        answers = await asyncio.gather(*(racers[n % 10].claim(bob) for n in range(100)))
        others = [package for package in given(*answers) if package != one]
        assert given(*answers).count(one) == 1
        if last_resort is None:
            assert others == []
            assert sum(len(answer.ok()["missing"]) for answer in answers) == 99
        else:
            assert others == [last_resort.hex()] * 99


async def test_two_who_claim_at_once_never_get_the_same(service: Service) -> None:
    alice, bob, carol = await friends(service, 3)
    packages = await carol.publish(60)
    answers = await asyncio.gather(*((alice, bob)[n % 2].claim(carol) for n in range(60)))
    assert sorted(given(*answers)) == sorted(packages)


async def test_a_claim_that_is_asked_again_gets_the_same_and_takes_nothing(service: Service) -> None:
    alice, bob, carol = await friends(service, 3)
    await bob.publish(5)
    claim = {"claim_id": new_id()}
    answers = await asyncio.gather(*(alice.claim(bob, carol, **claim) for _ in range(8)))
    answers.append(await alice.claim(carol, bob, **claim))
    first = answers[0].ok()
    assert [one["device_id"] for one in first["key_packages"] + first["missing"]] == [
        bob.device_id,
        carol.device_id,
    ]
    assert all(answer.ok() == first for answer in answers)
    assert await stock(bob) == (4, False)
    (await alice.claim(bob, **claim)).refused(409, "claim_id_reused")
    (await alice.claim(bob, carol, **claim, suite=3)).refused(409, "claim_id_reused")
    assert given(await carol.claim(bob, **claim)) != given(answers[0])  # ids of others are others


async def test_what_was_given_is_not_published_again(service: Service) -> None:
    """The device asks again, because it never got the answer; meanwhile somebody claimed."""
    alice, bob = await friends(service)
    packages = await bob.publish(1)
    assert given(await alice.claim(bob)) == packages
    (await bob.call("key_packages_publish", key_packages=packages)).ok()
    assert await stock(bob) == (0, False)
    assert given(await alice.claim(bob)) == []


async def test_what_has_expired_is_neither_given_nor_counted(service: Service, database_url: str) -> None:
    alice, bob = await friends(service)
    await bob.publish(3, last_resort=bob.key_package(last_resort=True))
    past = f"update coterie.key_packages set not_after = now() where device_id = '{bob.device_id}'"
    execute(database_url, past)
    assert await stock(bob) == (0, False)
    assert given(await alice.claim(bob)) == []
    fresh = await bob.publish(1)
    assert given(await alice.claim(bob)) == fresh


async def test_the_one_that_ends_first_goes_first(service: Service) -> None:
    alice, bob = await friends(service)
    late, soon = bob.key_package(hours=100).hex(), bob.key_package(hours=1).hex()
    (await bob.call("key_packages_publish", key_packages=[late, soon])).ok()
    assert [given(await alice.claim(bob)) for _ in range(2)] == [[soon], [late]]


async def test_a_suite_is_asked_for(service: Service) -> None:
    alice, bob = await friends(service)
    first, third = bob.key_package().hex(), bob.key_package(suite=3).hex()
    (await bob.call("key_packages_publish", key_packages=[third, first])).ok()
    assert given(await alice.claim(bob, suite=3)) == [third]
    assert given(await alice.claim(bob, suite=3)) == []
    assert given(await alice.claim(bob)) == [first]
    for suite in (0, 2, "1", True, None):
        (await alice.claim(bob, suite=suite)).refused(400, "bad_request")


async def test_drained_and_refilled(service: Service) -> None:
    alice, bob = await friends(service)
    await bob.publish(30, last_resort=bob.key_package(last_resort=True))
    async with listening(service.url, bob) as socket:
        await socket.settle()
        assert [frame["type"] for frame in socket.frames if frame["type"] == "key_packages_low"] == []
        for left in range(29, 24, -1):
            (await alice.claim(bob)).ok()
            assert (await stock(bob))[0] == left
        (await alice.claim(bob)).ok()
        low = await socket.until("key_packages_low")
        assert low == {"v": 1, "type": "key_packages_low", "available": 24, "refill_below": 25}
        await asyncio.gather(*(alice.claim(bob) for _ in range(25)))
        await socket.until("key_packages_low", lambda frame: frame["available"] == 0)
        assert await stock(bob) == (0, True)
        await bob.publish(100)
        assert await stock(bob) == (100, True)
    async with listening(service.url, bob) as socket:
        await socket.settle()
        assert [frame["type"] for frame in socket.frames].count("key_packages_low") == 0


async def test_a_socket_that_opens_hears_that_few_are_left(service: Service) -> None:
    alice = await Device.guest(service.url)
    async with listening(service.url, alice) as socket:
        assert (await socket.until("key_packages_low"))["available"] == 0


# ---- who may claim from whom


async def test_of_strangers_and_of_nobody_the_answer_says_the_same(service: Service) -> None:
    alice, eve = await Device.guest(service.url), await Device.guest(service.url)
    await alice.publish(2, last_resort=alice.key_package(last_resort=True))
    for users in ([alice.user_id], [new_id()], ["nobody"], [eve.user_id], []):
        assert (await eve.call("key_packages_claim", claim_id=new_id(), user_ids=users)).ok() == EMPTY
    assert await stock(alice) == (2, True)


async def test_who_has_left_or_was_removed_claims_no_more_and_is_not_claimed_from(service: Service) -> None:
    alice, bob, carol = [await Device.guest(service.url) for _ in range(3)]
    group = await alice.create_group()
    await alice.add(group, bob, carol)
    for one in (alice, bob, carol):
        await one.publish(3)
    (await bob.call("group_leave", group_id=group.group_id)).ok()
    (await alice.commit(group, remove=[carol.device_id])).ok()
    for claimer, other in ((alice, bob), (alice, carol), (bob, alice), (carol, alice), (bob, carol)):
        assert (await claimer.claim(other)).ok() == EMPTY


async def test_adding_somebody_against_their_will_gives_no_right_to_their_packages(service: Service) -> None:
    alice, eve = await Device.guest(service.url), await Device.guest(service.url)
    for one in (alice, eve):
        await one.publish(1)
    group = await eve.create_group()
    (await eve.commit(group, add=[alice.device_id])).ok()  # alice has not entered
    assert (await eve.claim(alice)).ok() == EMPTY
    assert (await alice.claim(eve)).ok() == EMPTY
    (await alice.call("group_join", group_id=group.group_id)).ok()
    assert len(given(await eve.claim(alice))) == 1


async def test_all_devices_of_a_user_and_never_the_claimer_itself(service: Service) -> None:
    alice, bob = await friends(service)
    phone = await bob.another()  # in no group at all
    old = await bob.another()
    (await bob.call("device_revoke", device_id=old.device_id)).ok()
    for one in (bob, phone):
        await one.publish(1)
    claim = (await alice.claim(bob)).ok()
    assert {one["device_id"] for one in claim["key_packages"]} == {bob.device_id, phone.device_id}
    assert claim["missing"] == []
    assert (await phone.claim(bob)).ok() == {
        "key_packages": [],
        "missing": [{"device_id": bob.device_id, "user_id": bob.user_id}],
    }
    assert (await phone.claim(alice)).ok() == EMPTY  # this device is in no group with her


async def test_of_a_user_with_very_many_devices_those_that_were_seen_last(
    service: Service, database_url: str
) -> None:
    alice, bob = await friends(service)
    execute(
        database_url,
        f"""insert into coterie.devices (user_id, signature_key, name, kind, last_seen)
            select '{bob.user_id}', sha256(convert_to('{bob.user_id}' || n, 'UTF8')), 'Old', 'person',
              now() - n * interval '1 day' from generate_series(1, 60) n""",
    )
    missing = [one["device_id"] for one in (await alice.claim(bob)).ok()["missing"]]
    assert len(missing) == 50
    devices = (await bob.call("devices_list")).ok()["devices"]
    seen = sorted(devices, key=lambda one: str(one["last_seen"]), reverse=True)
    assert sorted(missing) == sorted(one["device_id"] for one in seen[:50])


async def test_shapes_of_a_claim(service: Service) -> None:
    alice = await Device.guest(service.url)
    for users in (
        None,
        "alice",
        [1],
        [""],
        ["a#b"],
        ["x" * 201],
        ["a\0b"],
        ["\ud800"],
        ["a", "a"],
        ["x"] * 51,
    ):
        (await alice.call("key_packages_claim", claim_id=new_id(), user_ids=users)).refused(
            400, "bad_request"
        )
    fifty = [new_id() for _ in range(50)]
    assert (await alice.call("key_packages_claim", claim_id=new_id(), user_ids=fifty)).ok() == EMPTY
    (await alice.call("key_packages_claim", claim_id="1", user_ids=[])).refused(400, "bad_request")
    (await alice.call("key_packages_claim", user_ids=[])).refused(400, "bad_request")
