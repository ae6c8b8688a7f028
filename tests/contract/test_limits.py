"""Limits: who asks too often is told to wait, and nobody else is. Clients come through a proxy that names them."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from edge_functions.limits import Budgets, Rate, address_of
from tests.support.caller import Answer, Device, Http, join_body
from tests.support.server import Service
from tests.support.socket_client import listening, open_socket

Make = Callable[..., Service]
PROXIED = {"COTERIE_TRUSTED_PROXIES": "127.0.0.1"}


class From(Http):
    """Requests of somebody behind the proxy."""

    def __init__(self, url: str, address: str) -> None:
        super().__init__(url)
        self.address = address

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One HTTP request."""
        options["headers"] = {**options.get("headers", {}), "x-forwarded-for": self.address}
        return await super().request(method, path, **options)


async def guest(service: Service, address: str) -> Device:
    """A guest from an address."""
    device = Device(service.url)
    device.http = From(service.url, address)
    await device.sign_in()
    device.device_id = (await device.register()).ok()["device_id"]
    return device


def too_many(answer: Answer) -> float:
    """How long to wait; the header says it too, in whole seconds that are enough."""
    wait = float(answer.refused(429, "too_many")["retry_after"])
    assert wait <= int(answer.headers["retry-after"]) <= wait + 2
    return wait


# ---- the counting


def test_a_budget_is_spent_at_once_and_comes_back_evenly() -> None:
    now = 0.0
    budgets = Budgets(lambda: now)
    rate = Rate(3, 60)
    assert [budgets.take(("a", "b"), rate) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]
    assert budgets.take(("a", "c"), rate) == 0, "another's budget is its own"
    now = 19.9
    assert budgets.take(("a", "b"), rate) == pytest.approx(0.1)
    now = 20.0
    assert [budgets.take(("a", "b"), rate) for _ in range(2)] == [0, pytest.approx(20)]
    now = 1000.0
    assert [budgets.take(("a", "b"), rate) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]


def test_memory_of_budgets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_functions.limits._KEYS", 10)
    budgets = Budgets(lambda: 0.0)
    for number in range(1000):
        budgets.take(("a", str(number)), Rate(1, 60))
    assert len(budgets._full_at) == 10
    assert budgets.take(("a", "999"), Rate(1, 60)) > 0


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("unknown" * 20, ("unknown" * 20)[:64]),
    ],
)
def test_an_address_is_what_one_customer_has(told: str, address: str | None) -> None:
    assert address_of({"client": (told, 1)}) == address


def test_a_server_that_knows_no_address_limits_none() -> None:
    assert address_of({"client": None}) is None


# ---- in one process


@pytest.mark.parametrize(
    ("setting", "function"),
    [
        ("COTERIE_LIMIT_CALLS", "groups_list"),
        ("COTERIE_LIMIT_SENDS", "send_message"),
        ("COTERIE_LIMIT_COMMITS", "send_commit"),
        ("COTERIE_LIMIT_COMMITS", "invite_complete"),
        ("COTERIE_LIMIT_COMMITS", "group_create"),
        ("COTERIE_LIMIT_CLAIMS", "invite_claim"),
        ("COTERIE_LIMIT_PACKAGES", "key_packages_claim"),
        ("COTERIE_LIMIT_INVITES", "invite_create"),
        ("COTERIE_LIMIT_JOINS", "invite_info"),
        ("COTERIE_LIMIT_JOINS", "invite_join"),
    ],
)
async def test_each_function_counts_in_its_budget_by_user(
    limited: dict[str, Service], setting: str, function: str
) -> None:
    service = limited[setting]
    alice, bob = await Device.guest(service.url), await Device.guest(service.url)
    budget = 4 if setting == "COTERIE_LIMIT_CALLS" else 3
    taken = 1 if setting == "COTERIE_LIMIT_CALLS" else 0  # device_register
    for _ in range(budget - taken):
        assert (await alice.call(function)).status != 429
    assert too_many(await alice.call(function)) <= 3600
    assert (await bob.call(function)).status != 429


@pytest.fixture(scope="module")
def limited(make_service: Make) -> dict[str, Service]:
    """Two services: one with every budget at three, and one with that of `calls` at four."""
    names = ["SENDS", "COMMITS", "CLAIMS", "PACKAGES", "INVITES", "JOINS"]
    low = make_service(**{f"COTERIE_LIMIT_{name}": "3" for name in names})
    calls = make_service(COTERIE_LIMIT_CALLS="4")
    return {"COTERIE_LIMIT_CALLS": calls, **{f"COTERIE_LIMIT_{name}": low for name in names}}


@pytest.fixture(scope="module")
def database_url(make_database: Callable[[], str]) -> str:
    """Of the service below."""
    return make_database()


@pytest.fixture(scope="module")
def proxied(make_service: Make, database_url: str) -> Service:
    """Behind a proxy, with low limits by address."""
    return make_service(
        **PROXIED,
        DATABASE_URL=database_url,
        COTERIE_LIMIT_GUESSES="5",
        COTERIE_LIMIT_LOOKUPS="20",
        COTERIE_LIMIT_SIGN_UPS="6",
        COTERIE_LIMIT_CLAIMS="3",
        COTERIE_LIMIT_ADDRESS="2",
        COTERIE_LIMIT_REFRESHES="4",
        COTERIE_LIMIT_PASSKEYS="4",
    )


async def test_an_address_may_do_more_than_a_user_and_not_everything(proxied: Service) -> None:
    guests = [await guest(proxied, "192.0.2.1") for _ in range(3)]
    for one in guests[:2]:
        for _ in range(3):
            assert (await one.call("invite_claim")).status == 400
    too_many(await guests[2].call("invite_claim"))
    guests[2].http = From(proxied.url, "192.0.2.2")
    assert (await guests[2].call("invite_claim")).status == 400


async def test_an_address_counts_before_the_token_is_looked_at(proxied: Service) -> None:
    stranger = From(proxied.url, "192.0.2.3")
    for _ in range(6):
        answer = await stranger.post(
            "/functions/v1/invite_claim", json={}, headers={"authorization": "Bearer x"}
        )
        assert answer.status_code == 401
    answer = await stranger.post("/functions/v1/invite_claim", json={}, headers={"authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/auth/v1/token?grant_type=refresh_token", "192.0.2.4"),
        ("/auth/v1/passkeys/authentication/verify", "192.0.2.5"),
    ],
)
async def test_attempts_to_sign_in_are_counted(proxied: Service, path: str, address: str) -> None:
    stranger = From(proxied.url, address)
    for _ in range(4):
        assert (await stranger.post(path, json={"refresh_token": secrets.token_hex(8)})).status_code == 400
    refused = await stranger.post(path, json={}, headers={"x-supabase-api-version": "2024-01-01"})
    assert (refused.status_code, refused.json()["code"]) == (429, "over_request_rate_limit")
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_forwarded_address_counts_only_from_a_trusted_proxy(make_service: Make) -> None:
    service = make_service(COTERIE_LIMIT_SIGN_UPS="1", COTERIE_TRUSTED_PROXIES="192.0.2.0/24")
    for number in range(4):  # this machine, whatever it says of itself
        await guest(service, f"198.51.100.{number}")
        await guest(service, "198.51.100.77")


async def test_a_proxy_that_nobody_named_is_told_of_in_the_log(limited: dict[str, Service]) -> None:
    service = limited["COTERIE_LIMIT_SENDS"]
    async with asyncio.timeout(20):
        while not (told := service.log.read_text().count("COTERIE_TRUSTED_PROXIES")):
            for _ in range(3):
                await guest(service, "192.0.2.1")
    assert told == 1


# ---- for all processes together


async def test_guests_of_an_address_are_counted_over_processes_and_restarts(
    make_service: Make, make_database: Callable[[], str]
) -> None:
    settings = {**PROXIED, "COTERIE_LIMIT_SIGN_UPS": "3", "DATABASE_URL": make_database()}
    one, two = make_service(**settings), make_service(**settings)
    for service in (one, two, one):
        assert (await From(service.url, "192.0.2.9").post("/auth/v1/signup", json={})).status_code == 200
    one.restart()
    for service in (one, two):
        refused = await From(service.url, "192.0.2.9").post("/auth/v1/signup", json={})
        assert (refused.status_code, refused.json()["error_code"]) == (429, "over_request_rate_limit")
        assert 1000 < int(refused.headers["retry-after"]) <= 1202  # a third of an hour
    assert (await From(two.url, "192.0.2.10").post("/auth/v1/signup", json={})).status_code == 200


async def test_guesses_at_invites_are_counted_by_address_also_at_once(proxied: Service) -> None:
    eve, bob = await guest(proxied, "2001:db8::1"), await guest(proxied, "192.0.2.20")
    alive = await bob.invite(await bob.create_group())
    answers = await asyncio.gather(
        *(eve.call("invite_info", invite_id=secrets.token_hex(16)) for _ in range(12)),
        *(eve.call("invite_join", **join_body(secrets.token_bytes(16))) for _ in range(12)),
    )
    assert sorted(one.status for one in answers) == [404] * 5 + [429] * 19
    eve.http = From(proxied.url, "2001:db8::ffff:1")  # the same /64
    too_many(await eve.call("invite_info", invite_id=alive.hex()))
    (await bob.call("invite_info", invite_id=alive.hex())).ok()
    eve.http = From(proxied.url, "2001:db8:0:1::1")
    (await eve.call("invite_info", invite_id=alive.hex())).ok()


async def test_whoever_holds_a_link_makes_no_guesses(proxied: Service) -> None:
    alice, bob = await guest(proxied, "192.0.2.30"), await guest(proxied, "192.0.2.31")
    invite = await alice.invite(await alice.create_group())
    for _ in range(6):
        (await bob.call("invite_info", invite_id=invite.hex())).ok()
    await bob.ask(invite)
    (await bob.call("invite_join", **join_body(invite))).refused(409, "join_open")
    (await bob.call("invite_join", **join_body(invite))).refused(409, "join_open")


async def test_look_ups_of_one_invite_are_counted_whoever_asks(proxied: Service) -> None:
    alice = await guest(proxied, "192.0.2.40")
    group = await alice.create_group()
    known, unknown = (await alice.invite(group)).hex(), secrets.token_hex(16)
    askers = [await guest(proxied, f"198.51.100.{number}") for number in range(5)]
    for invite, status in ((known, 200), (unknown, 404)):
        for number in range(20):
            assert (await askers[number % 5].call("invite_info", invite_id=invite)).status == status
        assert too_many(await askers[0].call("invite_info", invite_id=invite)) <= 180


async def test_no_address_and_no_invite_stands_in_the_database(proxied: Service, database_url: str) -> None:
    alice = await guest(proxied, "192.0.2.50")
    invite = secrets.token_bytes(16)
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute("delete from coterie.limits")
        (await alice.call("invite_info", invite_id=invite.hex())).refused(404, "invite_unavailable")
        keys = [row[0] for row in await owner.fetch("select key from coterie.limits")]
    finally:
        await owner.close()
    assert len(keys) == 2
    assert not any(b"192.0.2.50" in key or invite in key for key in keys)


# ---- sockets


@pytest.fixture(scope="module")
def sockets(make_service: Make) -> Service:
    """With low limits on sockets."""
    return make_service(
        **PROXIED,
        COTERIE_SOCKETS_SESSION="4",
        COTERIE_SOCKETS_USER="4",
        COTERIE_SOCKETS_ADDRESS="2",
        COTERIE_LIMIT_SOCKETS="6",
        COTERIE_LIMIT_FRAMES="3",
        COTERIE_HELLO_SECONDS="60",
        COTERIE_SHUTDOWN_SECONDS="0",
    )


async def test_sockets_of_a_session_are_counted(sockets: Service) -> None:
    alice, bob = await Device.guest(sockets.url), await Device.guest(sockets.url)
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(listening(sockets.url, alice)) for _ in range(4)]
        another = await stack.enter_async_context(open_socket(sockets.url))
        await another.send("hello", token=alice.token, cursors={})
        refused = await another.ended()
        assert refused["code"] == "too_many"
        assert refused["retry_after"] > 0
        await stack.enter_async_context(listening(sockets.url, bob))
        await opened[0].settle()


async def test_sockets_that_say_nothing_count_for_their_address(sockets: Service) -> None:
    near = {"x-forwarded-for": "192.0.2.60"}
    async with open_socket(sockets.url, headers=near), open_socket(sockets.url, headers=near):
        async with open_socket(sockets.url, headers=near) as third:
            assert (await third.ended())["code"] == "too_many"
        async with open_socket(sockets.url, headers={"x-forwarded-for": "192.0.2.61"}) as other:
            await other.send("hello", token=(await Device.guest(sockets.url)).token, cursors={})
            await other.until("ready")


async def test_sockets_opened_again_and_again_are_counted(sockets: Service) -> None:
    alice = await Device.guest(sockets.url)
    for _ in range(6):
        async with listening(sockets.url, alice):
            pass
    async with open_socket(sockets.url) as another:
        await another.send("hello", token=alice.token, cursors={})
        assert (await another.ended())["code"] == "too_many"


async def test_a_flood_of_frames_is_read_at_its_pace_and_holds_back_nobody(sockets: Service) -> None:
    alice, bob = await Device.guest(sockets.url), await Device.guest(sockets.url)
    group = await alice.create_group()
    async with listening(sockets.url, bob) as calm, listening(sockets.url, alice) as flooding:
        for _ in range(1000):
            await flooding.send("ping")
        await calm.settle()
        (await alice.send(group)).ok()
        await flooding.until_seq(group.group_id, 1)
        assert [one["type"] for one in flooding.frames].count("pong") == 3
        flooding.websocket.transport.abort()  # it would wait until its goodbye is read
