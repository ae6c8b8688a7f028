"""With SUPABASE_URL set: tokens of that project's Auth are trusted, by its published keys and by nothing else."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from edge_functions.environment import SettingsError
from edge_functions.settings import Settings
from tests.support.caller import Device
from tests.support.issuer import Issuer
from tests.support.server import Service


@pytest.fixture(scope="module")
def trusting(make_service: Callable[..., Service], issuer: Issuer) -> Service:
    """A service that trusts the issuer."""
    return make_service(SUPABASE_URL=issuer.url, COTERIE_JWKS_COOLDOWN_SECONDS="0")


def holder(service: Service, token: str) -> Device:
    """Somebody with a token."""
    claims = jwt.decode(token, options={"verify_signature": False})
    device = Device(service.url)
    device.session = {"access_token": token, "user": {"id": claims.get("sub")}}
    return device


async def test_its_tokens_are_good_for_everything(trusting: Service, issuer: Issuer) -> None:
    for token in (issuer.token(), issuer.token("rsa", issuer.rsa, "RS256")):
        device = holder(trusting, token)
        (await device.register()).ok()
        group = await device.create_group()
        (await device.send(group)).ok()


async def test_the_issuers_clock_may_be_a_little_ahead(trusting: Service, issuer: Issuer) -> None:
    soon = int(time.time()) + 5
    (await holder(trusting, issuer.token(iat=soon, nbf=soon)).register()).ok()


async def test_no_other_token_is(trusting: Service, issuer: Issuer) -> None:
    bad = [
        issuer.token("secret", issuer.secret, "HS256"),  # a symmetric key that stands in public
        issuer.token("curve", issuer.rsa, "RS256"),  # another algorithm than the key's
        issuer.token("rsa"),
        issuer.token("unknown"),
        issuer.token(key=ec.generate_private_key(ec.SECP256R1())),
        issuer.token(iss="http://elsewhere.example/auth/v1"),
        issuer.token(iss=None),
        issuer.token(aud="anon"),
        issuer.token(aud=None),
        issuer.token(role="anon"),
        issuer.token(role="service_role"),
        issuer.token(role=None),
        issuer.token(exp=int(time.time()) - 1),
        issuer.token(exp=None),
        issuer.token(sub=None),
        issuer.token(sub=""),
        issuer.token(sub="a#b"),
        issuer.token(sub="x" * 201),
        issuer.token(session_id=None),
        issuer.token(session_id=""),
        issuer.token(nbf=int(time.time()) + 500),
    ]
    for token in bad:
        (await holder(trusting, token).call("groups_list")).refused(401, "no_session")


async def test_a_new_key_is_found_and_an_issuer_that_is_away_is_said(
    make_service: Callable[..., Service], issuer: Issuer
) -> None:
    service = make_service(SUPABASE_URL=issuer.url, COTERIE_JWKS_COOLDOWN_SECONDS="0")
    issuer.status = 503
    (await holder(service, issuer.token()).call("groups_list")).refused(503, "unavailable")
    issuer.status = 200
    (await holder(service, issuer.token()).call("groups_list")).refused(403, "device_not_registered")
    later = ec.generate_private_key(ec.SECP256R1())
    issuer.keys.append({**ECAlgorithm.to_jwk(later.public_key(), as_dict=True), "kid": "later"})
    token = issuer.token("later", later)
    (await holder(service, token).call("groups_list")).refused(403, "device_not_registered")
    issuer.status = 503  # known keys go on working
    (await holder(service, issuer.token()).call("groups_list")).refused(403, "device_not_registered")
    issuer.status = 200


async def test_unknown_keys_do_not_make_it_ask_again_and_again(
    make_service: Callable[..., Service], issuer: Issuer
) -> None:
    service = make_service(SUPABASE_URL=issuer.url, COTERIE_JWKS_COOLDOWN_SECONDS="600")
    before = issuer.fetched
    await asyncio.gather(*(holder(service, issuer.token("nobody")).call("groups_list") for _ in range(10)))
    assert issuer.fetched == before + 1


async def test_a_flood_of_unknown_keys_is_bounded_and_keeps_nobody_waiting(
    make_service: Callable[..., Service], issuer: Issuer
) -> None:
    service = make_service(SUPABASE_URL=issuer.url, COTERIE_TOKEN_CACHE_SECONDS="0")
    known = holder(service, issuer.token())
    (await known.call("groups_list")).refused(403, "device_not_registered")
    before = issuer.fetched
    answers = await asyncio.gather(
        *(holder(service, issuer.token(f"kid-{number}")).call("groups_list") for number in range(200))
    )
    assert {answer.code for answer in answers} == {"no_session"}
    assert issuer.fetched <= before + 1  # within the cool-down
    (await known.call("groups_list")).refused(403, "device_not_registered")


async def test_known_keys_work_while_the_issuer_hangs(
    make_service: Callable[..., Service], issuer: Issuer
) -> None:
    service = make_service(
        SUPABASE_URL=issuer.url, COTERIE_JWKS_COOLDOWN_SECONDS="0", COTERIE_TOKEN_CACHE_SECONDS="0"
    )
    known = holder(service, issuer.token())
    (await known.call("groups_list")).refused(403, "device_not_registered")
    issuer.answers.clear()
    before = issuer.fetched
    waiting = asyncio.create_task(holder(service, issuer.token("unknown")).call("groups_list"))
    try:
        while issuer.fetched == before:
            await asyncio.sleep(0)
            (await known.call("groups_list")).refused(403, "device_not_registered")
        (await known.call("groups_list")).refused(403, "device_not_registered")
        assert not waiting.done()
    finally:
        issuer.answers.set()
    (await waiting).refused(401, "no_session")


async def test_keys_roll_over_at_the_issuer(make_service: Callable[..., Service], issuer: Issuer) -> None:
    """A key that the issuer withdraws is refused once the cache has ended; one that it adds is found at once."""
    service = make_service(
        SUPABASE_URL=issuer.url,
        COTERIE_JWKS_COOLDOWN_SECONDS="0",
        COTERIE_JWKS_CACHE_SECONDS="0",
        COTERIE_TOKEN_CACHE_SECONDS="0",
    )
    old, new = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    kept = list(issuer.keys)
    before, after = issuer.token("old", old), issuer.token("new", new)
    try:
        issuer.keys[:] = [published(old, "old")]
        (await holder(service, before).call("groups_list")).refused(403, "device_not_registered")
        issuer.keys[:] = [published(old, "old"), published(new, "new")]
        for token in (before, after):
            (await holder(service, token).call("groups_list")).refused(403, "device_not_registered")
        issuer.keys[:] = [published(new, "new")]
        (await holder(service, before).call("groups_list")).refused(401, "no_session")
        (await holder(service, after).call("groups_list")).refused(403, "device_not_registered")
    finally:
        issuer.keys[:] = kept


async def test_an_answer_without_keys_takes_none_away(
    make_service: Callable[..., Service], issuer: Issuer
) -> None:
    service = make_service(
        SUPABASE_URL=issuer.url,
        COTERIE_JWKS_COOLDOWN_SECONDS="0",
        COTERIE_JWKS_CACHE_SECONDS="0",
        COTERIE_TOKEN_CACHE_SECONDS="0",
    )
    (await holder(service, issuer.token()).call("groups_list")).refused(403, "device_not_registered")
    kept: Any = issuer.keys
    try:
        for odd in (None, 1, True):
            issuer.keys = odd  # type: ignore[assignment]
            (await holder(service, issuer.token()).call("groups_list")).refused(403, "device_not_registered")
            (await holder(service, issuer.token("new")).call("groups_list")).refused(503, "unavailable")
    finally:
        issuer.keys = kept


async def test_a_broken_key_takes_no_other_along(
    make_service: Callable[..., Service], issuer: Issuer
) -> None:
    service = make_service(SUPABASE_URL=issuer.url)
    kept = list(issuer.keys)
    broken: list[Any] = [
        {"kty": "EC", "crv": "P-256", "kid": "bad", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "worse"},
        {**published(issuer.curve, "other"), "alg": "ES512"},
        "no key",
    ]
    try:
        issuer.keys[:] = [*broken, *kept]
        (await holder(service, issuer.token()).call("groups_list")).refused(403, "device_not_registered")
        (await holder(service, issuer.token("other")).call("groups_list")).refused(401, "no_session")
    finally:
        issuer.keys[:] = kept


SECRET = "s" * 32


async def test_hs256_is_for_the_configured_secret_alone(
    make_service: Callable[..., Service], issuer: Issuer
) -> None:
    service = make_service(SUPABASE_URL=issuer.url, SUPABASE_JWT_SECRET=SECRET)
    for kid in (None, "curve", "anything"):
        token = issuer.token(kid, SECRET, "HS256")
        (await holder(service, token).call("groups_list")).refused(403, "device_not_registered")
    (await holder(service, issuer.token()).call("groups_list")).refused(403, "device_not_registered")
    pem = issuer.curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for token in (
        issuer.token(None, "x" * 32, "HS256"),
        signed_by_hand(issuer.token(), pem),
        issuer.token(None, SECRET + SECRET, "HS512"),
        issuer.token("secret", b"k" * 32, "HS256"),
        issuer.token(None, SECRET, "HS256", role="service_role"),
        issuer.token(None, SECRET, "HS256", exp=int(time.time()) - 1),
        issuer.token(None, SECRET, "HS256", iss="http://elsewhere.example/auth/v1"),
    ):
        (await holder(service, token).call("groups_list")).refused(401, "no_session")
    assert SECRET not in service.log.read_text()


async def test_without_the_secret_hs256_is_refused(trusting: Service, issuer: Issuer) -> None:
    for kid in (None, "secret", "curve"):
        token = issuer.token(kid, SECRET, "HS256")
        (await holder(trusting, token).call("groups_list")).refused(401, "no_session")


def test_the_secret_is_in_no_repr_and_long_enough() -> None:
    settings = Settings.from_environment(
        {"SUPABASE_JWT_SECRET": SECRET, "SUPABASE_URL": "https://project.supabase.co"}
    )
    assert SECRET not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"SUPABASE_JWT_SECRET": "short secret"})
    assert str(caught.value) == "SUPABASE_JWT_SECRET must have at least 32 bytes."


def published(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, Any]:
    """As it stands in a JWKS."""
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}


def signed_by_hand(token: str, secret: bytes) -> str:
    """The same claims under HS256 with any bytes as its key: libraries refuse to sign with a public one."""
    payload = token.split(".")[1]
    header = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).decode()
    signed = f"{header}.{payload}".encode()
    digest = jwt.utils.base64url_encode(hmac.digest(secret, signed, "sha256")).decode()
    return f"{header}.{payload}.{digest}"


async def test_the_own_identity_is_closed(trusting: Service) -> None:
    answer = await Device(trusting.url).http.post("/auth/v1/signup", json={})
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
