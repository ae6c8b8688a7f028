"""Forged tokens at every endpoint and at the socket: 0 are taken. Each run tries another share; `make authz` all."""

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge_functions.app import FUNCTIONS
from edge_functions.identity import ROUTES
from tests.support.caller import Device, new_id
from tests.support.figures import SEED, report, share
from tests.support.forgeries import Forger
from tests.support.issuer import Issuer
from tests.support.server import Service
from tests.support.socket_client import listening, open_socket
from tests.support.unlimited import UNLIMITED
from tests.support.world import Mint

KINDS = 22
"""Forgeries that every endpoint is shown in every run."""
HTTP_FUNCTIONS = sorted(name for name, function in FUNCTIONS.items() if 401 in function.common)


@dataclasses.dataclass(slots=True)
class Victim:
    """A service, a member of it, and a connection to its database."""

    url: str
    client: httpx.AsyncClient
    db: asyncpg.Connection
    device: Device


@pytest.fixture(scope="module")
def guarded(make_service: Callable[..., Service]) -> Service:
    """A service that asks nobody to wait."""
    return make_service(**UNLIMITED)


@pytest.fixture
async def victim(guarded: Service) -> AsyncIterator[Victim]:
    """With the embedded identity."""
    db = await asyncpg.connect(guarded._environment["DATABASE_URL"])
    try:
        async with httpx.AsyncClient(base_url=guarded.url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS here
            yield Victim(guarded.url, client, db, await Device.guest(guarded.url))
    finally:
        await db.close()


async def make_forger(victim: Victim) -> Forger:
    """Somebody with a session of their own, who wants to be the victim."""
    eve = await Device.guest(victim.url)
    mint = Mint(victim.db, eve.token)
    return Forger(mint, eve.token, await mint.key(), victim.device.user_id)


async def refused_by_functions(client: httpx.AsyncClient, tokens: dict[str, str]) -> tuple[int, list[str]]:
    """How often they were tried, and where one was not refused as a forged token is."""
    tried, wrong = 0, []
    for function in HTTP_FUNCTIONS:
        for name in share(tokens, KINDS):
            headers = {"authorization": f"Bearer {tokens[name]}", "content-type": "application/json"}
            answer = await client.post(f"/functions/v1/{function}", content=b"{}", headers=headers)
            tried += 1
            if answer.status_code != 401 or answer.json()["code"] != "no_session":
                wrong.append(f"{function}: {name}: {answer.status_code} {answer.text[:200]}")
    return tried, wrong


async def refused_by_the_identity(client: httpx.AsyncClient, tokens: dict[str, str]) -> tuple[int, list[str]]:
    """The same for the routes under /auth/v1."""
    tried, wrong = 0, []
    for route in ROUTES:
        path = f"/auth/v1{route.path.replace('{passkey_id}', new_id())}"
        for method, operation in route.operations.items():
            if 401 not in operation.errors:
                continue  # asks for no token
            for name in share(tokens, KINDS):
                answer = await client.request(
                    method, path, headers={"authorization": f"Bearer {tokens[name]}"}
                )
                tried += 1
                if answer.status_code != 403 or answer.json()["error_code"] != "bad_jwt":
                    wrong.append(f"{method} {path}: {name}: {answer.status_code} {answer.text[:200]}")
    return tried, wrong


async def refused_by_the_socket(url: str, tokens: dict[str, str]) -> list[str]:
    """The same for the socket's first frame."""
    wrong = []
    for name, token in tokens.items():
        async with open_socket(url) as socket:
            await socket.send("hello", token=token, cursors={})
            frame = await socket.next()
            if (frame["type"], frame.get("code")) != ("error", "no_session"):
                wrong.append(f"socket: {name}: {json.dumps(frame)[:200]}")
    return wrong


def test_there_are_enough_kinds() -> None:
    """At least 22, and each is another token."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    claims = {"sub": "me", "aud": "authenticated", "exp": 2**33, "role": "authenticated", "session_id": "s"}
    good = jwt.encode(claims, private, "ES256", headers={"kid": "k"})
    tokens = Forger(Mint(None, good), good, pem, "victim").all()
    assert len(tokens) >= KINDS
    assert len(set(tokens.values())) == len(tokens)
    assert good not in tokens.values()


async def test_no_forged_token_is_taken_by_any_function(victim: Victim) -> None:
    forger = await make_forger(victim)
    tokens = forger.all()
    tried, wrong = await refused_by_functions(victim.client, tokens)
    taken, _ = await refused_by_functions(victim.client, {"the good one": forger.good})
    report(kinds=len(tokens), forgeries=tried, accepted=len(wrong))
    assert wrong == [], f"SEED={SEED}"
    _, as_it_should = await refused_by_functions(victim.client, {"the good one": forger.good})
    assert len(as_it_should) == taken == len(HTTP_FUNCTIONS)  # or everything would be refused


async def test_no_forged_token_is_taken_by_the_identity(victim: Victim) -> None:
    forger = await make_forger(victim)
    tried, wrong = await refused_by_the_identity(victim.client, forger.all())
    report(forgeries=tried, accepted=len(wrong))
    assert wrong == [], f"SEED={SEED}"
    assert (await refused_by_the_identity(victim.client, {"the good one": forger.good}))[1] != []


async def test_no_forged_token_is_taken_by_the_socket(victim: Victim) -> None:
    forger = await make_forger(victim)
    tokens = forger.all()
    wrong = await refused_by_the_socket(victim.url, tokens)
    report(forgeries=len(tokens), accepted=len(wrong))
    assert wrong == [], f"SEED={SEED}"
    assert await refused_by_the_socket(victim.url, {"the good one": forger.good}) != []


async def test_no_forged_token_prolongs_a_socket(victim: Victim) -> None:
    """The frame `token`, on a socket that was opened with a good one; a good one of somebody else neither."""
    forger = await make_forger(victim)
    stranger = await Device.guest(victim.url)
    tokens = {**forger.all(), "a good one of somebody else": stranger.token}
    wrong, names = [], {*share(tokens, KINDS), "a good one of somebody else"}
    for name in names:
        async with listening(victim.url, victim.device) as socket:
            await socket.send("token", token=tokens[name])
            await socket.send("ping")
            while (frame := await socket.next())["type"] not in ("error", "pong"):
                pass
            if (frame["type"], frame.get("code")) != ("error", "no_session"):
                wrong.append(f"{name}: {json.dumps(frame)[:200]}")
    report(forgeries=len(names), accepted=len(wrong))
    assert wrong == [], f"SEED={SEED}"


async def test_a_key_that_has_gone_verifies_nothing(victim: Victim, guarded: Service) -> None:
    """It was the service's own, and its last token has ended; also one that somebody put beside it as retired."""
    forger = await make_forger(victim)
    gone = ec.generate_private_key(ec.SECP256R1())
    pem = gone.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    await victim.db.execute(
        "insert into coterie.auth_keys select 'gone', $1, created_at - interval '9 days', now() - interval '8 days',"
        " signs_from - interval '9 days', token_life, refresh_secret from coterie.auth_keys limit 1",
        pem,
    )
    token = jwt.encode(forger.claims, gone, "ES256", headers={"kid": "gone"})
    guarded.restart()  # it reads the keys anew
    tried, wrong = await refused_by_functions(victim.client, {"a key that has gone": token})
    report(forgeries=tried, accepted=len(wrong))
    assert wrong == [], f"SEED={SEED}"


@pytest.fixture(scope="module")
def trusting(make_service: Callable[..., Service], issuer: Issuer) -> Service:
    """A service that trusts an issuer."""
    return make_service(SUPABASE_URL=issuer.url, COTERIE_JWKS_COOLDOWN_SECONDS="3600", **UNLIMITED)


async def test_no_forged_token_is_taken_in_the_place_of_the_issuers(
    trusting: Service, issuer: Issuer
) -> None:
    tokens = {
        "a symmetric key that stands in public": issuer.token("secret", issuer.secret, "HS256"),
        "another algorithm than the key's": issuer.token("curve", issuer.rsa, "RS256"),
        "ES256 under the RSA key's kid": issuer.token("rsa"),
        "an unknown kid": issuer.token("unknown"),
        "another key": issuer.token(key=ec.generate_private_key(ec.SECP256R1())),
        "another issuer": issuer.token(iss="http://elsewhere.example/auth/v1"),
        "a longer issuer": issuer.token(iss=f"{issuer.url}/auth/v1/"),
        "no issuer": issuer.token(iss=None),
        "anon": issuer.token(role="anon", sub=None),
        "service_role": issuer.token(role="service_role"),
    }
    async with httpx.AsyncClient(base_url=trusting.url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS here
        tried, wrong = await refused_by_functions(client, tokens)
        wrong += await refused_by_the_socket(trusting.url, tokens)
        good: dict[str, Any] = {"the good one": issuer.token()}
        assert len((await refused_by_functions(client, good))[1]) == len(HTTP_FUNCTIONS)
    report(kinds=len(tokens), forgeries=tried + len(tokens), accepted=len(wrong))
    assert wrong == [], f"SEED={SEED}"
