"""docs/authorization.md against the service: every endpoint, everybody, every method."""

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from edge_functions.app import FUNCTIONS
from edge_functions.identity import ROUTES
from tests.support.bodies import AUTH_BODIES, BODIES
from tests.support.declared import hold
from tests.support.figures import report, share
from tests.support.permissions import Expected, Row, tables
from tests.support.server import Service
from tests.support.socket_client import listening, open_socket
from tests.support.unlimited import UNLIMITED
from tests.support.world import PRINCIPALS, Things, World

METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE", "HEAD")
TABLES = tables()
SPENT = ("device_register", "device_revoke")
"""After these somebody is not what they were."""


@pytest.fixture(scope="module")
def unlimited(make_service: Callable[..., Service]) -> Service:
    """A service that asks nobody to wait: who may do something is asked here, not how often."""
    return make_service(**UNLIMITED)


class Census:
    """Every row of every table as one number, so that a refused request can be seen to have changed nothing."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self.db = db
        self._statement = ""

    async def take(self) -> str:
        """All but what a refused call may well move: budgets, and when a device was last seen."""
        if not self._statement:
            names = await self.db.fetch("select tablename from pg_tables where schemaname = 'coterie'")
            row = "hashtextextended((to_jsonb(t) - 'last_seen')::text, 0)"
            parts = [
                f"select '{name}' || count(*) || coalesce(sum({row}), 0) as one from coterie.{name} t"
                for (name,) in names
                if name != "limits"
            ]
            self._statement = f"select string_agg(one, ',') from ({' union all '.join(parts)}) every"
        return str(await self.db.fetchval(self._statement))


@pytest.fixture
async def world(unlimited: Service) -> AsyncIterator[World]:
    """Everybody, and a group."""
    db = await asyncpg.connect(unlimited._environment["DATABASE_URL"])
    try:
        async with httpx.AsyncClient(base_url=unlimited.url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS
            yield await World.make(client, db)
    finally:
        await db.close()


@dataclasses.dataclass(slots=True)
class Prober:
    """Asks, and notes what should not have been answered."""

    world: World
    census: Census
    probes: int = 0
    accepted: int = 0
    """Those that the table refuses."""
    allowed: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)

    async def ask(self, row: Row, who: str, method: str, body: dict[str, Any] | None) -> httpx.Response:
        """One request."""
        self.probes += 1
        options: dict[str, Any] = {"headers": self.world.headers(who)}
        if method == "GET" and body:
            options["params"] = body
        elif body is not None:
            options["json"] = body
        return await self.world.http.request(method, path(row, self.world), **options)

    def check(
        self, row: Row, who: str, method: str, answer: httpx.Response, expected: Expected, sent: str
    ) -> None:
        """Status, code, shape, CORS, and nothing in it that is not for them."""
        told = f"{method} {row.name} as {who}: {answer.status_code} {answer.text[:200]}"
        code = _code(answer) if answer.status_code >= 400 else ""
        status = 200 if answer.status_code == 204 else answer.status_code
        if status != expected.status or (expected.refused and method != "HEAD" and code != expected.code):
            self.accepted += expected.refused and status == 200
            self.wrong.append(f"{told}, not {expected}")
        if row.target in FUNCTIONS and method in row.methods and row.target != "deliver":
            hold(row.target, answer.status_code, answer.json())
        if answer.headers.get("access-control-allow-origin") != "*":
            self.wrong.append(f"no CORS: {told}")
        self.allowed += status == 200 and not expected.refused
        if not expected.refused and expected.code == "":
            return
        for name, secret in self.world.hidden(who, expected.code).items():
            if secret in answer.text and secret not in sent:
                self.wrong.append(f"{told} says {name}")


def path(row: Row, world: World) -> str:
    """Where this row's endpoint is."""
    if row.target.startswith("/"):
        query = "?grant_type=refresh_token" if row.target == "/token" else ""
        return f"/auth/v1{row.target.replace('{passkey_id}', world.passkey_id)}{query}"
    return f"/functions/v1/{row.target}"


def _code(answer: httpx.Response) -> str:
    """An error's code, in either shape."""
    try:
        body = answer.json()
    except ValueError:
        return "no JSON"
    return str(body.get("error_code") or body.get("code"))


def test_every_endpoint_is_in_the_table() -> None:
    """And nothing else is, with the methods that it has."""
    declared = {name: function.methods for name, function in FUNCTIONS.items()}
    written = {row.target: row.methods for row in TABLES["function"]}
    assert written == {**declared, "openapi.json": ("GET",)}
    assert {row.name for row in TABLES["function"]} == {*BODIES, "openapi.json"}
    routes = {one.path for one in ROUTES} - {"/{path:path}"}
    assert {row.target for row in TABLES["route"]} == routes
    for row in (*TABLES["function"], *TABLES["socket"]):
        assert set(row.answers) == set(PRINCIPALS), row.name


async def test_everybody_by_every_method_is_answered_as_the_table_says(world: World) -> None:
    prober = Prober(world, Census(world.db))
    for row in TABLES["function"]:
        for who in PRINCIPALS:
            for method in row.methods:
                await probe(prober, row, who, method)
        await probe_other_methods(prober, row, {*METHODS} - {*row.methods})
    report(
        probes=prober.probes,
        accepted=prober.accepted,
        endpoints=len({row.target for row in TABLES["function"]}),
        allowed=prober.allowed,
    )
    assert prober.wrong == []
    assert prober.probes >= 1000
    assert prober.allowed > 100


async def probe(prober: Prober, row: Row, who: str, method: str) -> None:
    """One cell: the answer, the rows of the database, and the same question about ids that nobody has."""
    world, expected = prober.world, row.answers[who]
    make = BODIES.get(row.name)
    caller = world.caller(who)
    body = None if make is None else make(world, world.things, caller)
    before = await prober.census.take()
    answer = await prober.ask(row, who, method, body)
    prober.check(row, who, method, answer, expected, json.dumps(body))
    changed = await prober.census.take() != before
    if expected.refused and changed:
        prober.wrong.append(f"{method} {row.name} as {who} was refused and changed something")
    if changed:
        await (world.populate() if row.target in SPENT else _nothing())
        await world.renew()
    if make is not None and expected.code in ("not_a_member", "unknown_join", "unknown_device"):
        unknown = await prober.ask(row, who, method, make(world, Things.unknown(), caller))
        if (unknown.status_code, unknown.text) != (answer.status_code, answer.text):
            prober.wrong.append(f"{row.name} as {who} tells known ids from unknown ones: {unknown.text}")


async def _nothing() -> None:
    """The people are as they were."""


async def probe_other_methods(prober: Prober, row: Row, methods: set[str]) -> None:
    """405 for everybody (each run asks as four of them), and nothing done; a preflight needs nobody."""
    before = await prober.census.take()
    for who in share(PRINCIPALS, 4):
        for method in sorted(methods):
            answer = await prober.ask(row, who, method, None)
            prober.check(row, who, method, answer, Expected(405, "method_not_allowed"), "")
        answer = await prober.ask(row, who, "OPTIONS", None)
        prober.check(row, who, "OPTIONS", answer, Expected(200, ""), "")
    if await prober.census.take() != before:
        prober.wrong.append(f"{row.name} did something by another method")


async def test_the_identity_answers_as_the_table_says(world: World) -> None:
    prober = Prober(world, Census(world.db))
    methods: dict[str, set[str]] = {}
    for row in TABLES["route"]:
        methods.setdefault(row.target, set()).update(row.methods)
        for name, expected in row.answers.items():
            who = "member" if name == "owner" else name
            for method in row.methods:
                await world.add_passkeys("member")
                before = await prober.census.take()
                body = AUTH_BODIES.get(row.target)
                answer = await prober.ask(row, who, method, body)
                prober.check(row, who, method, answer, expected, json.dumps(body))
                changed = await prober.census.take() != before
                if expected.refused and changed:
                    prober.wrong.append(f"{method} {row.name} as {who} was refused and changed something")
                if row.target == "/logout" and changed:
                    await world.populate()
    for target, known in methods.items():
        row = next(one for one in TABLES["route"] if one.target == target)
        await probe_other_methods(prober, row, {*METHODS} - known)
    report(probes=prober.probes, accepted=prober.accepted, endpoints=len(methods), allowed=prober.allowed)
    assert prober.wrong == []


async def test_the_socket_answers_as_the_table_says(world: World, unlimited: Service) -> None:
    wrong = []
    for row in TABLES["socket"]:
        for who, expected in row.answers.items():
            frames, live = await hello(unlimited.url, world, who, expected)
            kinds, text = {one["type"] for one in frames}, json.dumps(frames)
            if expected.refused:
                good = kinds == {"error"} and frames[0]["code"] == expected.code
            elif expected.code:
                hidden = {**world.hidden(who, expected.code), "live": live}
                good = not any(one in text for one in hidden.values())
                good &= ("invitation" in kinds) == (expected.code == "welcome")
            else:
                good = world.late in text and live in text
            if not good:
                wrong.append(f"{who}: {text[:300]}")
    report(probes=len(PRINCIPALS), accepted=len(wrong), endpoints=1)
    assert wrong == []


async def hello(url: str, world: World, who: str, expected: Expected) -> tuple[list[dict[str, Any]], str]:
    """All frames that come for a hello that asks for the group, and what was said there meanwhile."""
    group = world.things.group
    async with listening(url, world.people["fellow"]) as witness, open_socket(url) as socket:
        await witness.until("caught_up")  # from now on one feed serves both
        await socket.send("hello", token=world.token(who), cursors={group.group_id: 0})
        if (await socket.next())["type"] == "error":
            return socket.frames, ""
        end = {"": "caught_up", "past": "removed", "welcome": "invitation"}.get(expected.code)
        if end:
            await socket.until(end)
        live, seq = await world.say(group)
        await witness.until_seq(group.group_id, seq)
        await socket.settle()
        return socket.frames, live
