"""The embedded identity's signing keys succeed one another: in every process, without a restart, nobody signed out."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from edge_functions.db import Database
from edge_functions.keys import OwnKeys
from edge_functions.schema import prepare
from edge_functions.settings import Settings
from tests.support.caller import Device
from tests.support.server import Service, execute

AGED = "update coterie.auth_keys set signs_from = signs_from - interval '91 days' where retired_at is null"
"""As if the key had signed for longer than COTERIE_KEY_DAYS."""
PASSED = "update coterie.auth_keys set signs_from = signs_from - {0}, retired_at = retired_at - {0}"
"""As if so much time had passed."""
AT_ONCE = {
    "COTERIE_KEY_CHECK_SECONDS": "0",
    "COTERIE_KEY_LEAD_SECONDS": "0",
    "COTERIE_TOKEN_CACHE_SECONDS": "0",
}


def kid(device: Device) -> str:
    """The key that signed a device's token."""
    return str(jwt.get_unverified_header(device.token)["kid"])


async def published(service: Service) -> set[str]:
    """The keys in the JWKS."""
    keys = (await Device(service.url).http.get("/auth/v1/.well-known/jwks.json")).json()["keys"]
    return {key["kid"] for key in keys}


async def refresh(device: Device, token: str | None = None) -> dict[str, Any]:
    """A refreshed session."""
    answer = await device.http.post(
        "/auth/v1/token?grant_type=refresh_token",
        json={"refresh_token": token or device.session["refresh_token"]},
    )
    assert answer.status_code == 200, answer.text
    session: dict[str, Any] = answer.json()
    return session


async def valid(device: Device, url: str | None = None) -> bool:
    """Whether a device's token is good, at another process too."""
    elsewhere = Device(url or device.http.url)
    elsewhere.session = device.session
    answer = await elsewhere.call("groups_list")
    assert answer.code in (None, "no_session", "device_not_registered")
    return answer.code != "no_session"


async def test_keys_roll_over_in_all_processes_and_nobody_is_signed_out(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    one, two = (make_service(DATABASE_URL=database, **AT_ONCE) for _ in range(2))
    execute(
        database, "update coterie.auth_keys set refresh_secret = null"
    )  # as a service before this one left it
    alice = await Device.guest(one.url)
    parent = alice.session["refresh_token"]
    child = (await refresh(alice))["refresh_token"]
    execute(database, AGED)
    bob = Device(two.url)
    await bob.sign_in()
    assert kid(bob) != kid(alice)
    for service in (one, two):
        assert await published(service) == {kid(alice), kid(bob)}
        assert await valid(alice, service.url)
        assert await valid(bob, service.url)
    again = await refresh(alice, parent)  # its answer was lost
    assert again["refresh_token"] == child
    alice.http.url = two.url
    renewed = await refresh(alice, child)
    assert jwt.get_unverified_header(renewed["access_token"])["kid"] == kid(bob)
    last = (await refresh(alice, renewed["refresh_token"]))["refresh_token"]
    execute(database, PASSED.format("interval '59 minutes'"))
    assert await valid(alice)
    execute(database, PASSED.format("interval '2 minutes'"))  # the longest token has ended
    assert await published(one) == {kid(bob)}
    assert not await valid(alice)  # if its own time did not end it
    assert await valid(bob)
    alice.session = await refresh(alice, renewed["refresh_token"])
    assert alice.session["refresh_token"] == last  # the first key is gone, what refresh tokens hang on is not
    assert await valid(alice)


async def test_a_key_is_published_before_it_signs(make_service: Callable[..., Service]) -> None:
    service = make_service(**(AT_ONCE | {"COTERIE_KEY_LEAD_SECONDS": "900"}))
    alice, bob = Device(service.url), Device(service.url)
    await alice.sign_in()
    execute(service.database, AGED)
    assert len(await published(service)) == 2
    await bob.sign_in()
    assert kid(bob) == kid(alice)
    execute(service.database, PASSED.format("interval '16 minutes'"))
    await bob.sign_in()
    assert kid(bob) != kid(alice)
    assert await valid(alice)


async def test_a_process_that_has_not_looked_again_finds_a_new_key(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    slow = make_service(
        DATABASE_URL=database, COTERIE_KEY_CHECK_SECONDS="3600", COTERIE_JWKS_COOLDOWN_SECONDS="0"
    )
    quick = make_service(DATABASE_URL=database, **AT_ONCE)
    alice = Device(slow.url)
    await alice.sign_in()
    execute(database, AGED)
    bob = Device(quick.url)
    await bob.sign_in()
    assert kid(bob) != kid(alice)
    assert await valid(bob, slow.url)
    assert await valid(alice, slow.url)


async def test_of_many_processes_one_makes_the_successor(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    services = [make_service(DATABASE_URL=database, **AT_ONCE) for _ in range(2)]
    (first,) = await published(services[0])
    execute(database, AGED)
    guests = [Device(services[number % 2].url) for number in range(20)]
    await asyncio.gather(*(guest.sign_in() for guest in guests))
    assert len(await published(services[0])) == 2
    assert {kid(guest) for guest in guests} == await published(services[1]) - {first}


class Rows:
    """A database that holds the keys, and counts who reads them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.read = 0

    async def value(self, statement: str, *arguments: Any) -> Any:
        """The two functions that are called."""
        if "auth_rotate_keys_v1" in statement:
            self.rows.insert(
                0,
                {
                    "kid": arguments[0],
                    "private_key": arguments[1],
                    "signs_in": 0.0,
                    "ends_in": None,
                    "refresh_secret": arguments[2].hex(),
                },
            )
            return True
        self.read += 1
        await asyncio.sleep(0)
        return json.dumps(self.rows)


@pytest.mark.parametrize("kids", [["unknown"] * 100, [f"kid-{number}" for number in range(100)]])
async def test_a_flood_of_unknown_keys_reads_the_database_once(kids: list[str]) -> None:
    rows = Rows()
    database: Any = rows
    keys = await OwnKeys.load(database, Settings())
    before = rows.read
    assert await asyncio.gather(*(keys.find(one) for one in kids)) == [None] * len(kids)
    assert rows.read == before + 1


async def test_no_private_key_is_in_a_repr() -> None:
    rows = Rows()
    database: Any = rows
    keys = await OwnKeys.load(database, Settings())
    assert repr(keys) == f"OwnKeys(kids=[{rows.rows[0]['kid']!r}])"
    assert "private" not in repr(next(iter(keys._keys.values())))


async def test_the_keys_of_a_database_by_hand(database: str) -> None:
    """`rotate`, as an administrator asks for it."""
    connected = await Database.connect(await prepare(database), 2)
    try:
        keys = await OwnKeys.load(connected, Settings(key_lead_seconds=0.0))
        assert await keys.rotate()
        assert len(keys.jwks()["keys"]) == 2
        token = keys.sign({"a": 1})
        assert jwt.get_unverified_header(token)["kid"] == keys.jwks()["keys"][0]["kid"]
        waiting = await OwnKeys.load(connected, Settings())
        assert await waiting.rotate()
        assert not await waiting.rotate()  # one waits already
        assert jwt.get_unverified_header(waiting.sign({}))["kid"] == keys.jwks()["keys"][0]["kid"]
    finally:
        await connected.close()
