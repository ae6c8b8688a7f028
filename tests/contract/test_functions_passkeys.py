"""Passkeys: registered by guests, who are users then, and signed in with; in Supabase Auth's shapes."""

import asyncio
import copy
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.authenticator import PRESENT, VERIFIED, Passkey, b64, unb64
from tests.support.caller import Device, new_id
from tests.support.server import Service, execute

HEADERS = {"x-supabase-api-version": "2024-01-01"}


@pytest.fixture(scope="module")
def service(make_service: Callable[..., Service]) -> Service:
    """One that has nothing against so many attempts from one address."""
    return make_service(COTERIE_LIMIT_PASSKEYS="100000", COTERIE_LIMIT_SIGN_UPS="100000")


async def ask(device: Device, method: str, path: str, body: Any = None) -> httpx.Response:
    """One request under /auth/v1/passkeys, with the device's token if it has one."""
    headers = {**HEADERS, **({"authorization": f"Bearer {device.token}"} if device.session else {})}
    return await device.http.request(method, f"/auth/v1/passkeys{path}", json=body, headers=headers)


async def good(device: Device, method: str, path: str, body: Any = None) -> Any:
    """The body of a success."""
    answer = await ask(device, method, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """Exactly this error, in Supabase Auth's shape."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.json().keys() == {"code", "message"}
    assert answer.headers["access-control-allow-origin"] == "*"


async def guest(url: str) -> Device:
    """Signed in, without a device."""
    device = Device(url)
    await device.sign_in()
    return device


async def register(device: Device, passkey: Passkey, **client_data: Any) -> httpx.Response:
    """The whole ceremony."""
    begun = await good(device, "POST", "/registration/options", {})
    credential = passkey.create(begun["options"], **client_data)
    body = {"challenge_id": begun["challenge_id"], "credential": credential}
    return await ask(device, "POST", "/registration/verify", body)


async def sign_in(url: str, passkey: Passkey, **client_data: Any) -> httpx.Response:
    """The whole ceremony, from a place that is not signed in."""
    place = Device(url)
    begun = await good(place, "POST", "/authentication/options", {"gotrue_meta_security": {}})
    credential = passkey.get(begun["options"], **client_data)
    body = {"challenge_id": begun["challenge_id"], "credential": credential}
    return await ask(place, "POST", "/authentication/verify", body)


async def user_with_passkey(url: str) -> tuple[Device, Passkey]:
    """A guest who registered one."""
    device, passkey = await guest(url), Passkey(url)
    assert (await register(device, passkey)).status_code == 200
    return device, passkey


def signed_in(url: str, answer: httpx.Response) -> Device:
    """The device of a session that was answered."""
    assert answer.status_code == 200, answer.text
    device = Device(url)
    device.session = answer.json()
    return device


async def test_what_is_asked_of_a_browser(service: Service) -> None:
    alice, passkey = await user_with_passkey(service.url)
    begun = await good(alice, "POST", "/registration/options", {})
    assert begun.keys() == {"challenge_id", "options", "expires_at"}
    assert 0 < begun["expires_at"] - time.time() <= 300
    options = begun["options"]
    assert options["rp"] == {"id": "localhost", "name": "Coterie"}
    assert unb64(options["user"]["id"]) == alice.user_id.encode()
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert options["attestation"] == "none"
    assert len(unb64(options["challenge"])) == 32
    assert [one["id"] for one in options["excludeCredentials"]] == [b64(passkey.credential_id)]
    begun = await good(Device(service.url), "POST", "/authentication/options")
    assert begun["options"]["userVerification"] == "required"
    assert begun["options"]["rpId"] == "localhost"
    assert begun["options"].get("allowCredentials", []) == []  # nobody is named


async def test_a_guest_becomes_a_user_in_place(service: Service) -> None:
    alice = await Device.guest(service.url)
    group = await alice.create_group()
    registered = (await register(alice, Passkey(service.url))).json()
    assert registered.keys() == {"id", "friendly_name", "created_at"}
    before = alice.user_id
    answer = await alice.http.post(
        "/auth/v1/token?grant_type=refresh_token", json={"refresh_token": alice.session["refresh_token"]}
    )
    alice.session = answer.json()
    assert (alice.user_id, alice.session["user"]["is_anonymous"]) == (before, False)
    assert jwt.decode(alice.token, options={"verify_signature": False})["is_anonymous"] is False
    (await alice.send(group)).ok()


async def test_whoever_holds_the_passkey_is_the_same_user(service: Service) -> None:
    alice, passkey = await user_with_passkey(service.url)
    answer = await sign_in(service.url, passkey)
    back = signed_in(service.url, answer)
    assert answer.headers["cache-control"] == "no-store"
    assert back.user_id == alice.user_id
    assert back.session_id != alice.session_id
    claims = jwt.decode(back.token, options={"verify_signature": False})
    assert [one["method"] for one in claims["amr"]] == ["passkey"]
    assert (claims["is_anonymous"], claims["aal"]) == (False, "aal1")
    refreshed = await back.http.post(
        "/auth/v1/token?grant_type=refresh_token", json={"refresh_token": back.session["refresh_token"]}
    )
    assert refreshed.json()["user"]["id"] == alice.user_id


async def test_a_device_that_kept_its_key_is_the_same_device(service: Service) -> None:
    alice, passkey = await user_with_passkey(service.url)
    alice.device_id = (await alice.register()).ok()["device_id"]
    group = await alice.create_group()
    await alice.http.post("/auth/v1/logout", headers={"authorization": f"Bearer {alice.token}"})
    alice.session = (await sign_in(service.url, passkey)).json()
    (await alice.call("groups_list")).refused(403, "device_not_registered")
    assert (await alice.register()).ok()["device_id"] == alice.device_id
    (await alice.send(group)).ok()
    second = signed_in(service.url, await sign_in(service.url, passkey))
    assert (await second.register()).ok()["device_id"] != alice.device_id  # another key


async def test_a_challenge_is_good_once(service: Service) -> None:
    alice, passkey = await user_with_passkey(service.url)
    begun = await good(alice, "POST", "/registration/options", {})
    body = {
        "challenge_id": begun["challenge_id"],
        "credential": Passkey(service.url).create(begun["options"]),
    }
    assert (await ask(alice, "POST", "/registration/verify", body)).status_code == 200
    refused(await ask(alice, "POST", "/registration/verify", body), 400, "webauthn_challenge_not_found")
    place = Device(service.url)
    begun = await good(place, "POST", "/authentication/options")
    wrong = {"challenge_id": begun["challenge_id"], "credential": Passkey(service.url).get(begun["options"])}
    right = {**wrong, "credential": passkey.get(begun["options"])}
    refused(await ask(place, "POST", "/authentication/verify", wrong), 400, "webauthn_verification_failed")
    refused(await ask(place, "POST", "/authentication/verify", right), 400, "webauthn_challenge_not_found")


async def test_one_of_many_answers_to_a_challenge_is_taken(service: Service) -> None:
    _, passkey = await user_with_passkey(service.url)
    place = Device(service.url)
    begun = await good(place, "POST", "/authentication/options")
    body = {"challenge_id": begun["challenge_id"], "credential": passkey.get(begun["options"])}
    answers = await asyncio.gather(*(ask(place, "POST", "/authentication/verify", body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9


async def test_challenges_are_for_one_user_and_one_purpose(service: Service) -> None:
    alice, passkey = await user_with_passkey(service.url)
    bob = await guest(service.url)
    begun = await good(alice, "POST", "/registration/options", {})
    mine = {
        "challenge_id": begun["challenge_id"],
        "credential": Passkey(service.url).create(begun["options"]),
    }
    refused(await ask(bob, "POST", "/registration/verify", mine), 400, "webauthn_challenge_not_found")
    as_sign_in = {"challenge_id": begun["challenge_id"], "credential": passkey.get(begun["options"])}
    place = Device(service.url)
    refused(
        await ask(place, "POST", "/authentication/verify", as_sign_in), 400, "webauthn_challenge_not_found"
    )
    assert (await ask(alice, "POST", "/registration/verify", mine)).status_code == 200  # it was not taken
    begun = await good(place, "POST", "/authentication/options")
    options = {**begun["options"], "user": {"id": b64(alice.user_id.encode())}}
    body = {"challenge_id": begun["challenge_id"], "credential": Passkey(service.url).create(options)}
    refused(await ask(alice, "POST", "/registration/verify", body), 400, "webauthn_challenge_not_found")


async def test_a_challenge_expires(make_service: Callable[..., Service]) -> None:
    service = make_service(COTERIE_PASSKEY_SECONDS="0.001")
    alice = await guest(service.url)
    refused(await register(alice, Passkey(service.url)), 400, "webauthn_challenge_expired")
    refused(await sign_in(service.url, Passkey(service.url)), 400, "webauthn_challenge_expired")


WRONG: dict[str, Callable[[Passkey], dict[str, Any] | None]] = {
    "another origin": lambda one: setattr(one, "origin", "http://localhost:1"),
    "an origin within ours": lambda one: setattr(one, "origin", one.origin + ".example"),
    "another relying party": lambda one: setattr(one, "rp_id", "example.org"),
    "nobody verified": lambda one: setattr(one, "flags", PRESENT),
    "nobody present": lambda one: setattr(one, "flags", VERIFIED),
    "another challenge": lambda _: {"challenge": b64(bytes(32))},
    "another purpose": lambda _: {"type": "payment.get"},
    "a page in somebody's frame": lambda _: {"crossOrigin": True},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
async def test_answers_that_do_not_hold(
    service: Service, change: Callable[[Passkey], dict[str, Any] | None]
) -> None:
    alice, passkey = await user_with_passkey(service.url)
    other = Passkey(service.url)
    refused(await register(alice, other, **(change(other) or {})), 400, "webauthn_verification_failed")
    refused(
        await sign_in(service.url, passkey, **(change(passkey) or {})), 400, "webauthn_verification_failed"
    )
    assert len(await good(alice, "GET", "")) == 1


async def test_another_key_or_user_handle_is_refused_as_an_unknown_passkey_is(service: Service) -> None:
    _, passkey = await user_with_passkey(service.url)
    bob, _ = await user_with_passkey(service.url)
    stranger = Passkey(service.url, user_handle=bob.user_id.encode())
    stolen = Passkey(service.url, credential_id=passkey.credential_id, user_handle=passkey.user_handle)
    confused = copy.copy(passkey)
    confused.user_handle = bob.user_id.encode()
    answers = [await sign_in(service.url, one) for one in (stranger, stolen, confused)]
    for answer in answers:
        refused(answer, 400, "webauthn_verification_failed")
    assert len({answer.content for answer in answers}) == 1
    assert (await sign_in(service.url, passkey)).status_code == 200


async def test_a_counter_that_does_not_rise_is_a_copy(service: Service) -> None:
    alice = await guest(service.url)
    passkey = Passkey(service.url, count=5)
    assert (await register(alice, passkey)).status_code == 200
    copied = copy.copy(passkey)
    assert (await sign_in(service.url, passkey)).status_code == 200  # 6
    refused(await sign_in(service.url, copied), 400, "webauthn_verification_failed")  # 6 again
    copied.count = 2
    refused(await sign_in(service.url, copied), 400, "webauthn_verification_failed")
    assert (await sign_in(service.url, passkey)).status_code == 200


async def together(
    service: Service, row: str, *calls: Coroutine[Any, Any, httpx.Response]
) -> list[httpx.Response]:
    """Let calls come so far that all of them wait for a row, then let them go on at once."""
    connection, watching = [await asyncpg.connect(service.database) for _ in range(2)]
    holding = connection.transaction()
    await holding.start()
    await connection.execute(row)
    coming = [asyncio.create_task(one) for one in calls]
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    while await watching.fetchval(waiting) < len(coming):
        assert not any(one.done() for one in coming)
    await holding.rollback()
    await connection.close()
    await watching.close()
    return await asyncio.gather(*coming)


async def test_of_answers_with_one_count_that_come_together_one_is_taken(service: Service) -> None:
    alice = await guest(service.url)
    passkey = Passkey(service.url, count=1)
    assert (await register(alice, passkey)).status_code == 200
    calls = [sign_in(service.url, copy.copy(passkey)) for _ in range(5)]
    answers = await together(service, "select from coterie.auth_passkeys for update", *calls)
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


async def test_several_passkeys_are_listed_renamed_and_removed(service: Service) -> None:
    alice, first = await user_with_passkey(service.url)
    second = Passkey(service.url)
    assert (await register(alice, second)).status_code == 200
    await sign_in(service.url, second)
    one, two = await good(alice, "GET", "")
    assert one.keys() == {"id", "friendly_name", "created_at"}
    assert two.keys() == {"id", "friendly_name", "created_at", "last_used_at"}
    renamed = await good(alice, "PATCH", f"/{one['id']}", {"friendly_name": "Telefon \N{KEY}"})
    assert renamed == {**one, "friendly_name": "Telefon \N{KEY}"}
    assert (await ask(alice, "DELETE", f"/{one['id']}")).status_code == 204
    refused(await sign_in(service.url, first), 400, "webauthn_verification_failed")
    assert (await sign_in(service.url, second)).status_code == 200
    refused(await ask(alice, "DELETE", f"/{two['id']}"), 422, "single_identity_not_deletable")
    assert [passkey["id"] for passkey in await good(alice, "GET", "")] == [two["id"]]


async def test_nobody_touches_the_passkeys_of_others(service: Service) -> None:
    alice, _ = await user_with_passkey(service.url)
    bob, _ = await user_with_passkey(service.url)
    (hers,) = await good(alice, "GET", "")
    for passkey_id in (hers["id"], new_id(), "none"):
        renaming = await ask(bob, "PATCH", f"/{passkey_id}", {"friendly_name": "Mine"})
        refused(renaming, 404, "validation_failed")
        refused(await ask(bob, "DELETE", f"/{passkey_id}"), 404, "validation_failed")
    assert await good(alice, "GET", "") == [hers]


async def test_names_of_passkeys(service: Service) -> None:
    alice, _ = await user_with_passkey(service.url)
    (mine,) = await good(alice, "GET", "")
    for name in (None, "", " ", 1, "x" * 121, "a\nb", "a\u0000", "\ud800", "a\u202eb"):
        answer = await alice.http.request(
            "PATCH",
            f"/auth/v1/passkeys/{mine['id']}",
            content=json.dumps({"friendly_name": name}),
            headers={**HEADERS, "authorization": f"Bearer {alice.token}", "content-type": "application/json"},
        )
        refused(answer, 400, "validation_failed")


async def test_a_passkey_is_registered_once_and_ten_at_most(service: Service) -> None:
    alice, passkey = await user_with_passkey(service.url)
    bob = await guest(service.url)
    refused(
        await register(bob, Passkey(service.url, credential_id=passkey.credential_id)),
        422,
        "webauthn_credential_exists",
    )
    assert await good(bob, "GET", "") == []
    for _ in range(8):
        assert (await register(alice, Passkey(service.url))).status_code == 200
    row = f"select from coterie.auth_users where user_id = '{alice.user_id}' for update"
    begun = [await good(alice, "POST", "/registration/options", {}) for _ in range(2)]
    calls = [
        ask(
            alice,
            "POST",
            "/registration/verify",
            {"challenge_id": one["challenge_id"], "credential": Passkey(service.url).create(one["options"])},
        )
        for one in begun
    ]
    answers = await together(service, row, *calls)
    assert sorted(answer.status_code for answer in answers) == [200, 422]
    refused(await ask(alice, "POST", "/registration/options", {}), 422, "too_many_passkeys")


async def test_without_a_session_there_is_nothing_but_signing_in(service: Service) -> None:
    nobody = Device(service.url)
    calls = [
        ("POST", "/registration/options"),
        ("POST", "/registration/verify"),
        ("GET", ""),
        ("PATCH", f"/{new_id()}"),
        ("DELETE", f"/{new_id()}"),
    ]
    for method, path in calls:
        refused(await ask(nobody, method, path, {}), 401, "no_authorization")
    alice, _ = await user_with_passkey(service.url)
    begun = await good(alice, "POST", "/registration/options", {})
    credential = Passkey(service.url).create(begun["options"])
    verifier = Device(service.url)
    verifier.session = alice.session
    execute(
        service.database,
        f"update coterie.auth_sessions set ended_at = now() where user_id = '{alice.user_id}'",
    )
    body = {"challenge_id": begun["challenge_id"], "credential": credential, "friendly_name": "x"}
    for method, path in calls:
        refused(await ask(verifier, method, path, body), 403, "session_not_found")


async def test_requests_without_their_shape(service: Service) -> None:
    alice, _ = await user_with_passkey(service.url)
    for path in ("/registration/verify", "/authentication/verify"):
        for body in (
            {},
            {"challenge_id": new_id()},
            {"challenge_id": 1, "credential": {}},
            {"challenge_id": "x", "credential": {}},
            {"challenge_id": new_id(), "credential": "x"},
        ):
            refused(await ask(alice, "POST", path, body), 400, "validation_failed")
        body = {"challenge_id": new_id(), "credential": {}}
        refused(await ask(alice, "POST", path, body), 400, "webauthn_challenge_not_found")
    refused(await ask(alice, "GET", "/authentication/options"), 405, "method_not_allowed")


LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.binary(max_size=300).map(b64)
FIELDS = (
    "id",
    "rawId",
    "type",
    "clientDataJSON",
    "attestationObject",
    "authenticatorData",
    "signature",
    "userHandle",
)


@given(
    field=st.sampled_from(FIELDS),
    value=LEAVES,
    cut=st.integers(0, 200),
    flip=st.integers(0, 300),
    how=st.integers(0, 2),
)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_answer_is_a_defect(
    service: Service, field: str, value: Any, cut: int, flip: int, how: int
) -> None:
    """A field that is something else, or cut, or with a bit turned: refused, and never a 500."""

    def changed(credential: dict[str, Any]) -> dict[str, Any]:
        place = credential if field in credential else credential["response"]
        if how and isinstance(place.get(field), str):
            data = bytearray(unb64(place[field]) if field != "type" else b"public-key")
            if how == 1:
                del data[cut:]
            elif data:
                data[flip % len(data)] ^= 1 << (flip % 8)
            place[field] = b64(bytes(data))
        else:
            place[field] = value
        return credential

    async def run() -> None:
        device, passkey = await user_with_passkey(service.url)
        begun = await good(device, "POST", "/registration/options", {})
        body = {
            "challenge_id": begun["challenge_id"],
            "credential": changed(Passkey(service.url).create(begun["options"])),
        }
        assert (await ask(device, "POST", "/registration/verify", body)).status_code in (200, 400)
        place = Device(service.url)
        begun = await good(place, "POST", "/authentication/options")
        body = {"challenge_id": begun["challenge_id"], "credential": changed(passkey.get(begun["options"]))}
        assert (await ask(place, "POST", "/authentication/verify", body)).status_code in (200, 400)

    asyncio.run(run())


async def test_where_the_pages_are(make_service: Callable[..., Service]) -> None:
    """PUBLIC_URL says whose passkeys they are, as a browser would write it; other pages are named one by one."""
    service = make_service(
        PUBLIC_URL="https://Chat.example:443",
        COTERIE_PASSKEY_ORIGINS="https://other.chat.example, https://chat.example:3000",
    )
    alice = await guest(service.url)
    origins = ("https://chat.example", "https://other.chat.example", "https://chat.example:3000")
    for origin in origins:
        assert (await register(alice, Passkey(origin, "chat.example"))).status_code == 200
    for origin in ("https://chat.example:8443", "http://chat.example", "https://evil.example", service.url):
        refused(await register(alice, Passkey(origin, "chat.example")), 400, "webauthn_verification_failed")
    refused(await register(alice, Passkey(origins[0], "localhost")), 400, "webauthn_verification_failed")


async def test_an_address_has_no_passkeys(make_service: Callable[..., Service]) -> None:
    service = make_service(PUBLIC_URL="http://127.0.0.1:8080")
    alice = await guest(service.url)
    refused(await ask(alice, "POST", "/registration/options", {}), 404, "passkey_disabled")
    refused(await ask(Device(service.url), "POST", "/authentication/options"), 404, "passkey_disabled")
