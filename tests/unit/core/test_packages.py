"""Own key packages: enough of them at the service, made in slices, posted with the same bytes, gone when they end."""

from typing import Any

import pytest

import coterie_mls
from coterie.core import packages as packages_module
from coterie.core.engine import Engine
from coterie.core.packages import FULL, LOOK_EVERY, RENEW_BEFORE, SLICE
from coterie.core.records import Package
from tests.support.device import Crash, Device
from tests.support.directory import REFILL_BELOW, no
from tests.support.friends import friends
from tests.support.post_office import PostOffice


def packages(device: Device) -> list[Package]:
    """The rows of a device's own key packages, from the disk."""
    return [Package.decode(value) for value in device.rows["packages"].values()]


def private_rows(device: Device) -> int:
    """How many rows with private keys of key packages lie on the disk."""
    return sum(key.startswith(b"k") for key in device.rows["mls"])


def drain(office: PostOffice, device: Device, down_to: int) -> None:
    """Others claim until only `down_to` are left."""
    held = office.enrolled[device.device_id].packages
    while len(held) > down_to:
        held.pop(next(iter(held)))


def test_a_device_publishes_a_hundred_and_a_last_resort(office: PostOffice) -> None:
    alice = office.device("Alice")
    before = private_rows(alice)
    alice.publish()
    assert office.stock(alice.device_id) == {"available": FULL, "last_resort": True, "refill_below": 25}
    assert len(packages(alice)) == FULL + 1 == private_rows(alice) - before
    assert all(one.published and not one.package for one in packages(alice))
    assert len(office.calls("key_packages_publish")) == 1
    assert alice.outbox() == []


def test_no_turn_makes_more_than_a_slice(office: PostOffice) -> None:
    alice = office.device("Alice")
    first = len(alice.writes)
    alice.publish()
    made = [
        sum(table == "packages" and step.changes[table, key] is not None for table, key in step.changes)
        for step in alice.writes[first:]
    ]
    assert max(made[:-2]) <= SLICE + 1, "the last ones only mark what was posted and taken"


def test_it_refills_when_few_are_left_and_not_before(office: PostOffice) -> None:
    alice = office.device("Alice")
    alice.publish()
    drain(office, alice, REFILL_BELOW)
    office.pump()
    alice.run(alice.engine.stock_told(office.stock(alice.device_id), office.now))
    office.pump()
    assert office.stock(alice.device_id)["available"] == REFILL_BELOW
    drain(office, alice, REFILL_BELOW - 1)
    office.pump()
    assert office.stock(alice.device_id)["available"] == FULL
    assert len(office.enrolled[alice.device_id].seen) == 2 * FULL - REFILL_BELOW + 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_leaves_a_full_stock_in_the_end(office: PostOffice, when: str) -> None:
    """Whatever was saved is posted, with private keys for every package that the service has."""
    number = 0
    while True:
        device = office.device("Alice")
        device.publishes = True
        start = len(device.writes)
        getattr(device, f"crash_{when}").add(start + number)
        reached = False
        for _ in range(3):
            try:
                device.run(device.engine.online(office.now))
                office.pump(device)
            except Crash:
                reached = True
        reached = reached or not getattr(device, f"crash_{when}")
        enrolled = office.enrolled[device.device_id]
        assert len(enrolled.packages) >= REFILL_BELOW
        assert enrolled.last_resort
        held = {one.ref for one in packages(device)}
        assert set(enrolled.packages) <= held
        assert enrolled.last_resort[0].ref in held
        assert not device.outbox()
        if not reached:
            return
        number += 7


def test_what_was_posted_and_never_confirmed_is_posted_again_with_the_same_bytes(office: PostOffice) -> None:
    alice = office.device("Alice")
    office.lost.add("key_packages_publish")
    alice.run(alice.engine.online(office.now))
    for _ in range(FULL):
        office.round(alice)
    alice.crash()
    office.lost.clear()
    office.pump()
    posted = office.calls("key_packages_publish")
    assert len(posted) > 1
    assert all(body == posted[0] for body in posted)
    assert office.stock(alice.device_id)["available"] == FULL
    assert all(one.published for one in packages(alice))


def ending(device: Device, not_after: int, *, last_resort: bool) -> None:
    """The device as it is when some of its packages end then."""
    for key, value in device.rows["packages"].items():
        one = Package.decode(value)
        if one.last_resort == last_resort:
            device.rows["packages"][key] = one.with_(not_after=not_after).encode()
    device.crash()
    device.run(device.engine.online(device.now))


@pytest.mark.parametrize(("seconds", "left"), [(3_599, FULL + 1), (3_601, 1)])
def test_packages_that_ended_go_with_their_private_keys(office: PostOffice, seconds: int, left: int) -> None:
    """An hour after their end: somebody whose clock is slow may have used them until then."""
    alice = office.device("Alice")
    alice.publish()
    alice.publishes = False
    before = private_rows(alice)
    ending(alice, office.now // 1000 - seconds, last_resort=False)
    assert len(packages(alice)) == left
    assert before - private_rows(alice) == FULL + 1 - left


def test_a_device_that_stays_online_looks_again(office: PostOffice) -> None:
    alice = office.device("Alice")
    alice.publish()
    asked = len(office.calls("key_packages_count"))
    office.wait(LOOK_EVERY // 1000 - 1)
    assert len(office.calls("key_packages_count")) == asked
    office.wait(1)
    assert len(office.calls("key_packages_count")) == asked + 1


def test_the_last_resort_is_renewed_before_it_ends(office: PostOffice) -> None:
    alice = office.device("Alice")
    alice.publish()
    (first,) = [one for one in packages(alice) if one.last_resort]
    ending(alice, office.now // 1000 + RENEW_BEFORE, last_resort=True)
    office.pump()
    assert len(office.calls("key_packages_publish")) == 1, "it is good for a while"
    ending(alice, office.now // 1000 + RENEW_BEFORE - 1, last_resort=True)
    office.pump()
    enrolled = office.enrolled[alice.device_id].last_resort
    assert enrolled
    assert enrolled[0].ref != first.ref
    assert len([one for one in packages(alice) if one.last_resort]) == 2, (
        "the old one stays openable until it ends"
    )
    assert office.calls("key_packages_publish")[-1]["key_packages"] == []


def test_packages_that_the_service_refuses_go_and_it_is_said(office: PostOffice) -> None:
    alice = office.device("Alice")
    office.refusals["key_packages_publish"] = no(422, "bad_key_packages", refused=[])
    alice.publish()
    assert packages(alice) == []
    assert alice.problems() == ["bad_key_packages"]
    assert len(office.calls("key_packages_publish")) == 1, "not again and again"


def test_an_older_service_is_let_be(office: PostOffice) -> None:
    alice = office.device("Alice")
    office.refusals["key_packages_count"] = no(404, "unknown_function")
    alice.run(alice.engine.online(office.now))
    office.pump()
    assert packages(alice) == []
    assert alice.problems() == []


def test_a_slice_that_fails_is_made_again_whole(office: PostOffice) -> None:
    class Failing:
        """A binding that fails at its third key package."""

        def __init__(self, backend: Any) -> None:
            self._backend, self._made = backend, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backend, name)

        def create_key_package(self, **kwargs: Any) -> Any:
            self._made += 1
            if self._made == 3:
                raise coterie_mls.MlsError("full")
            return self._backend.create_key_package(**kwargs)

    alice = office.device("Alice")
    alice.run(alice.engine.stock_told({"available": 0, "last_resort": False, "refill_below": 25}, office.now))
    alice.engine.backend = Failing(alice.engine.backend)
    with pytest.raises(coterie_mls.MlsError):
        alice.engine.make_packages(office.now)
    assert packages(alice) == []
    office.pump()
    assert office.stock(alice.device_id) == {"available": FULL, "last_resort": True, "refill_below": 25}


@pytest.mark.parametrize("stock", [{}, {"available": "many"}, {"available": -1, "refill_below": 25}])
def test_a_stock_that_makes_no_sense_makes_no_packages(office: PostOffice, stock: dict[str, object]) -> None:
    alice = office.device("Alice")
    alice.run(alice.engine.stock_told(stock, office.now))
    assert not alice.making


def test_a_service_whose_stock_is_never_enough_gets_no_more(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages_module, "MOST", 250)
    alice = office.device("Alice")
    alice.publish()
    office.refusals["key_packages_publish"] = 200, {"available": 0, "last_resort": True, "refill_below": 25}
    alice.run(alice.engine.stock_told({"available": 0, "refill_below": 25}, office.now))
    office.pump()
    assert len(packages(alice)) == 1 + 3 * FULL


def test_an_imported_copy_publishes_nothing(office: PostOffice) -> None:
    _, (alice,) = friends(office, "Alice")
    alice.publish()
    assert alice.engine.backend
    data = alice.engine.export(alice.rows)
    copy = {table: dict[bytes, bytes]() for table in alice.rows}
    for (table, key), value in Engine.import_(coterie_mls, data).items():
        if value is not None:
            copy[table][key] = value
    twin = Engine.load(coterie_mls, copy)
    assert not twin.stock_told({"available": 0, "refill_below": 25}, office.now).effects
