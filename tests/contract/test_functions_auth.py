"""Guests: sign-in, tokens, refresh with rotation, sign-out; in Supabase Auth's shapes."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt

from tests.support.caller import Device
from tests.support.server import Service, execute

WRONG_TOKENS: list[Any] = [None, 1, "", [], "\ud800"]


async def refresh(device: Device, token: Any) -> httpx.Response:
    """One refresh."""
    return await device.http.post(
        "/auth/v1/token?grant_type=refresh_token",
        content=json.dumps({"refresh_token": token}),
        headers={"content-type": "application/json"},
    )


async def sign_out(device: Device, scope: str = "global") -> httpx.Response:
    """One sign-out."""
    return await device.http.post(
        f"/auth/v1/logout?scope={scope}", headers={"authorization": f"Bearer {device.token}"}
    )


async def user(device: Device) -> httpx.Response:
    """GET /user."""
    return await device.http.get("/auth/v1/user", headers={"authorization": f"Bearer {device.token}"})


async def test_a_guest_gets_a_session_with_supabases_claims(service: Service) -> None:
    guest = Device(service.url)
    await guest.sign_in()
    session = guest.session
    assert session.keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "refresh_token",
        "user",
    }
    assert (session["token_type"], session["expires_in"]) == ("bearer", 3600)
    assert session["user"]["is_anonymous"] is True
    assert session["user"]["aud"] == session["user"]["role"] == "authenticated"
    key = jwt.PyJWKSet.from_dict((await guest.http.get("/auth/v1/.well-known/jwks.json")).json()).keys[0]
    header = jwt.get_unverified_header(guest.token)
    assert header == {"alg": "ES256", "kid": key.key_id, "typ": "JWT"}
    claims = jwt.decode(
        guest.token, key.key, algorithms=["ES256"], audience="authenticated", issuer=f"{service.url}/auth/v1"
    )
    assert claims.keys() == {
        "iss", "sub", "aud", "exp", "iat", "email", "phone", "app_metadata", "user_metadata", "role", "aal", "amr",
        "session_id", "is_anonymous",
    }  # fmt: skip
    assert claims["sub"] == guest.user_id
    (how,) = claims["amr"]
    assert how["method"] == "anonymous"
    assert how["timestamp"] <= claims["iat"]
    assert (await user(guest)).json() == session["user"]


async def test_the_jwks_holds_no_private_part(service: Service) -> None:
    keys = (await Device(service.url).http.get("/auth/v1/.well-known/jwks.json")).json()["keys"]
    assert [key.keys() for key in keys] == [{"kty", "crv", "x", "y", "kid", "alg", "use", "key_ops"}]


async def test_each_guest_is_another_user(service: Service) -> None:
    one, two = Device(service.url), Device(service.url)
    await one.sign_in()
    await two.sign_in()
    assert one.user_id != two.user_id


async def test_refresh_rotates_and_keeps_user_session_and_device(service: Service) -> None:
    alice = await Device.guest(service.url)
    answer = (await refresh(alice, alice.session["refresh_token"])).json()
    assert answer["refresh_token"] != alice.session["refresh_token"]
    before = alice.session_id
    alice.session = answer
    assert alice.session_id == before
    assert (await alice.call("groups_list")).ok() == {"groups": []}


async def test_a_renewed_token_says_when_one_signed_in(service: Service) -> None:
    """And not when it was renewed: who asks for a recent sign-in would be told of one at any time."""
    alice = Device(service.url)
    await alice.sign_in()
    earlier = "update coterie.auth_sessions set created_at = created_at - interval '1 hour'"
    execute(service.database, f"{earlier} where session_id = '{alice.session_id}'")
    (before,) = jwt.decode(alice.token, options={"verify_signature": False})["amr"]
    alice.session = (await refresh(alice, alice.session["refresh_token"])).json()
    (after,) = jwt.decode(alice.token, options={"verify_signature": False})["amr"]
    assert after == {"method": "anonymous", "timestamp": before["timestamp"] - 3600}


async def test_a_lost_answer_can_be_asked_for_again(service: Service) -> None:
    """A guest is nothing but its refresh token: the client that never saw the new one must not be locked out."""
    alice = await Device.guest(service.url)
    first = (await refresh(alice, alice.session["refresh_token"])).json()
    again = (await refresh(alice, alice.session["refresh_token"])).json()
    assert again["refresh_token"] == first["refresh_token"]
    assert (await refresh(alice, again["refresh_token"])).status_code == 200


async def test_an_old_refresh_token_ends_the_session(make_service: Callable[..., Service]) -> None:
    """Somebody else has it, and nobody can tell who: sign in again."""
    service = make_service(COTERIE_REFRESH_REUSE_SECONDS="0")
    alice = await Device.guest(service.url)
    first = alice.session["refresh_token"]
    second = (await refresh(alice, first)).json()["refresh_token"]
    third = (await refresh(alice, second)).json()["refresh_token"]
    stolen = await refresh(alice, first)
    assert (stolen.status_code, stolen.json()["error_code"]) == (400, "refresh_token_already_used")
    assert (await refresh(alice, third)).json()["error_code"] == "refresh_token_not_found"
    (await alice.call("groups_list")).refused(401, "no_session")


async def test_unknown_refresh_tokens(service: Service) -> None:
    guest = Device(service.url)
    answer = await refresh(guest, "unknown")
    assert answer.status_code == 400
    assert answer.json() == {
        "code": 400,
        "error_code": "refresh_token_not_found",
        "msg": "Invalid Refresh Token: Refresh Token Not Found",
    }
    answer = await guest.http.post(
        "/auth/v1/token?grant_type=refresh_token",
        json={"refresh_token": "unknown"},
        headers={"x-supabase-api-version": "2024-01-01"},
    )
    assert answer.json() == {
        "code": "refresh_token_not_found",
        "message": "Invalid Refresh Token: Refresh Token Not Found",
    }
    assert answer.headers["x-sb-error-code"] == "refresh_token_not_found"
    for wrong in WRONG_TOKENS:
        assert (await refresh(guest, wrong)).status_code == 400


async def test_sign_out_ends_the_session_at_once(service: Service) -> None:
    alice = await Device.guest(service.url)
    (await alice.call("groups_list")).ok()  # the token is remembered now
    assert (await sign_out(alice)).status_code == 204
    (await alice.call("groups_list")).refused(401, "no_session")
    (await alice.register()).refused(401, "no_session")
    assert (await user(alice)).json()["error_code"] == "session_not_found"
    assert (await refresh(alice, alice.session["refresh_token"])).json()[
        "error_code"
    ] == "refresh_token_not_found"


async def test_sign_out_reaches_other_processes(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    database = make_database()
    first, second = make_service(DATABASE_URL=database), make_service(DATABASE_URL=database)
    alice = await Device.guest(first.url)
    alice.http.url = second.url
    (await alice.call("groups_list")).ok()
    alice.http.url = first.url
    assert (await sign_out(alice)).status_code == 204
    alice.http.url = second.url
    (await alice.call("groups_list")).refused(401, "no_session")


async def test_only_guests_can_sign_up(service: Service) -> None:
    body = {"email": "a@example.org", "password": "secret123"}
    answer = await Device(service.url).http.post("/auth/v1/signup", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "signup_disabled")


async def test_the_identity_refuses_in_supabases_words(service: Service) -> None:
    http = Device(service.url).http
    expected: list[tuple[httpx.Response, int, str]] = [
        (await http.get("/auth/v1/user"), 401, "no_authorization"),
        (await http.get("/auth/v1/user", headers={"authorization": "Bearer x"}), 403, "bad_jwt"),
        (await http.post("/auth/v1/token?grant_type=password", json={}), 400, "validation_failed"),
        (
            await http.post("/auth/v1/signup", content=b"{", headers={"content-type": "application/json"}),
            400,
            "bad_json",
        ),
        (await http.get("/auth/v1/signup"), 405, "method_not_allowed"),
        (await http.get("/auth/v1/admin/users"), 404, "not_found"),
    ]
    for answer, status, code in expected:
        assert (answer.status_code, answer.json()["error_code"]) == (status, code)
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_an_expired_token_is_refused_also_when_remembered(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_TOKEN_SECONDS="1")
    alice = Device(service.url)
    await alice.sign_in()
    answer = await alice.call("groups_list")
    while answer.code == "device_not_registered":  # until the second is over
        answer = await alice.call("groups_list")
    answer.refused(401, "no_session")
    assert time.time() >= alice.session["expires_at"]
    assert (await refresh(alice, alice.session["refresh_token"])).status_code == 200


async def test_sessions_survive_a_restart_on_another_port(
    make_database: Callable[[], str], make_service: Callable[..., Service]
) -> None:
    """The key lies in the database; a new address does not sign anybody out."""
    database = make_database()
    first = make_service(DATABASE_URL=database)
    alice = await Device.guest(first.url)
    first.stop()
    alice.http.url = make_service(DATABASE_URL=database).url
    (await alice.call("groups_list")).ok()


async def test_nothing_secret_stands_in_the_log(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    invite = await alice.invite(group)
    await refresh(alice, alice.session["refresh_token"])
    await refresh(alice, alice.session["refresh_token"][:-1])
    answer: Any = await alice.http.get(f"/?join={invite.hex()}")
    log = service.log.read_text()
    for secret in (alice.token, alice.session["refresh_token"], invite.hex(), alice.user_id, group.group_id):
        assert secret not in log, answer
