"""Passkeys (WebAuthn Level 3): registered by a signed-in user, who was a guest until then, and signed in with."""

import json
import secrets
from typing import Any
from uuid import UUID

from starlette.responses import JSONResponse, Response
from webauthn.helpers import base64url_to_bytes

from edge_functions.fields import anything, integer, listed, record, text, time, uuid
from edge_functions.identity.answers import SIGNED_IN, Asked, AuthError, invalid, operation, session_ended
from edge_functions.identity.relying_party import RelyingParty, not_verified
from edge_functions.identity.sessions import SESSION, new_refresh_token, session, token_hash

_LIMIT = 10
"""Passkeys of a user; Supabase Auth's default."""
_NAME_LENGTH = 120

PASSKEY = record({"id": uuid(), "friendly_name": text(), "created_at": time()}, {"last_used_at": time()})
CHALLENGE = record({"challenge_id": uuid(), "options": anything(), "expires_at": integer()})
VERIFICATION = record({"challenge_id": uuid(), "credential": anything()})
_DISABLED = {404: ["passkey_disabled"]}
_UNVERIFIED = {
    400: ["webauthn_challenge_not_found", "webauthn_challenge_expired", "webauthn_verification_failed"]
}


@operation(gives=CHALLENGE, errors={**SIGNED_IN, **_DISABLED, 422: ["too_many_passkeys"]})
async def registration_options(asked: Asked) -> Response:
    """`POST /passkeys/registration/options`: what `navigator.credentials.create` takes."""
    claims = await asked.claims()
    party = RelyingParty.of(asked.services.settings)
    challenge, begun = await _new_challenge(asked, claims.json())
    if len(begun["credentials"]) >= _LIMIT:
        raise _refused("too_many_passkeys")
    existing = [bytes.fromhex(one) for one in begun["credentials"]]
    return _challenge_answer(begun, party.creation_options(begun["user_id"], challenge, existing))


@operation(
    takes=VERIFICATION,
    gives=PASSKEY,
    errors={
        **SIGNED_IN,
        **_DISABLED,
        **_UNVERIFIED,
        422: ["too_many_passkeys", "webauthn_credential_exists"],
    },
)
async def register(asked: Asked) -> Response:
    """`POST /passkeys/registration/verify`: keeps the passkey; a guest is a user from now on, with the same id."""
    claims = await asked.claims()
    party = RelyingParty.of(asked.services.settings)
    challenge_id, credential = _verification(await asked.body())
    taken = await _take(asked, claims.json(), challenge_id, None)
    verified = party.registered(credential, bytes.fromhex(taken["challenge"]))
    kept = await asked.services.db.value(
        "select coterie.auth_passkey_add_v1($1, $2, $3, $4, $5)",
        claims.json(),
        verified.credential_id,
        verified.credential_public_key,
        verified.sign_count,
        "Passkey",
    )
    return JSONResponse(_accepted(kept))


@operation(takes=record({}), gives=CHALLENGE, errors=_DISABLED)
async def sign_in_options(asked: Asked) -> Response:
    """`POST /passkeys/authentication/options`: what `navigator.credentials.get` takes. Nobody is named."""
    party = RelyingParty.of(asked.services.settings)
    await asked.body()
    challenge, begun = await _new_challenge(asked, None)
    return _challenge_answer(begun, party.request_options(challenge))


@operation(takes=VERIFICATION, gives=SESSION, errors={**_DISABLED, **_UNVERIFIED})
async def sign_in(asked: Asked) -> Response:
    """`POST /passkeys/authentication/verify`: a session. An unknown passkey and a wrong answer get one error."""
    party = RelyingParty.of(asked.services.settings)
    challenge_id, credential = _verification(await asked.body())
    credential_id = _credential_id(credential)
    taken = await _take(asked, None, challenge_id, credential_id)
    known = taken["passkey"]
    if known is None:
        raise not_verified()
    count = party.counted(
        credential,
        bytes.fromhex(taken["challenge"]),
        public_key=bytes.fromhex(known["public_key"]),
        sign_count=known["sign_count"],
        user_id=known["user_id"],
    )
    refresh_token = new_refresh_token()
    signed_in = await asked.services.db.value(
        "select coterie.auth_passkey_sign_in_v1($1, $2, $3)",
        credential_id,
        count,
        token_hash(refresh_token),
    )
    if signed_in is None:
        raise not_verified()
    return await session(asked, json.loads(signed_in), refresh_token)


@operation(gives=listed(PASSKEY), errors=SIGNED_IN)
async def list_all(asked: Asked) -> Response:
    """`GET /passkeys`: those of the user, the oldest first."""
    claims = await asked.claims()
    found = await asked.services.db.value("select coterie.auth_passkeys_v1($1)", claims.json())
    return JSONResponse(_accepted(found))


@operation(
    takes=record({"friendly_name": text()}), gives=PASSKEY, errors={**SIGNED_IN, 404: ["validation_failed"]}
)
async def rename(asked: Asked) -> Response:
    """`PATCH /passkeys/{passkey_id} {friendly_name}`."""
    claims = await asked.claims()
    passkey_id = _passkey_id(asked)
    name = (await asked.body()).get("friendly_name")
    if not isinstance(name, str) or not name.strip():
        raise invalid("friendly_name is required")
    if len(name) > _NAME_LENGTH:
        raise invalid(f"friendly_name must be {_NAME_LENGTH} characters or less")
    if not name.isprintable():
        raise invalid("friendly_name must not have control characters")
    renamed = await asked.services.db.value(
        "select coterie.auth_passkey_rename_v1($1, $2, $3)", claims.json(), passkey_id, name
    )
    return JSONResponse(_accepted(renamed))


@operation(
    errors={**SIGNED_IN, 404: ["validation_failed"], 422: ["single_identity_not_deletable"]}, success=204
)
async def remove(asked: Asked) -> Response:
    """`DELETE /passkeys/{passkey_id}`: any but the last."""
    claims = await asked.claims()
    removed = await asked.services.db.value(
        "select coterie.auth_passkey_remove_v1($1, $2)", claims.json(), _passkey_id(asked)
    )
    _accepted(removed)
    return Response(status_code=204)


async def _new_challenge(asked: Asked, claims: str | None) -> tuple[bytes, dict[str, Any]]:
    challenge = secrets.token_bytes(32)
    begun = await asked.services.db.value(
        "select coterie.auth_challenge_v1($1, $2, make_interval(secs => $3))",
        claims,
        challenge,
        asked.services.settings.passkey_seconds,
    )
    return challenge, _accepted(begun)


def _challenge_answer(begun: dict[str, Any], options: dict[str, Any]) -> Response:
    body = {"challenge_id": begun["challenge_id"], "options": options, "expires_at": begun["expires_at"]}
    return JSONResponse(body, headers={"cache-control": "no-store"})


async def _take(asked: Asked, claims: str | None, challenge_id: UUID, credential_id: bytes | None) -> Any:
    """The challenge, which is gone afterwards whatever comes of it."""
    answer = await asked.services.db.value(
        "select coterie.auth_challenge_take_v1($1, $2, $3)", claims, challenge_id, credential_id
    )
    if answer is None:
        raise AuthError(400, "webauthn_challenge_not_found", "Challenge not found or already used")
    taken = json.loads(answer)
    if taken["expired"]:
        raise AuthError(400, "webauthn_challenge_expired", "Challenge has expired")
    return taken


def _verification(body: dict[str, Any]) -> tuple[UUID, dict[str, Any]]:
    """`challenge_id` and `credential` of a verification."""
    if not body.get("challenge_id"):
        raise invalid("challenge_id is required")
    if not isinstance(body.get("credential"), dict):
        raise invalid("credential is required")
    try:
        return UUID(body["challenge_id"]), body["credential"]
    except (ValueError, TypeError, AttributeError):
        raise invalid("challenge_id must be a valid UUID") from None


def _credential_id(credential: dict[str, Any]) -> bytes:
    """The credential that answers; none when it cannot be read, which verification will say."""
    try:
        return base64url_to_bytes(credential["rawId"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return b""


def _passkey_id(asked: Asked) -> UUID:
    try:
        return UUID(asked.request.path_params["passkey_id"])
    except ValueError:
        raise _refused("passkey_not_found") from None


def _accepted(answer: str | None) -> Any:
    """What a function in the database answered, unless it refused. Raises `AuthError`."""
    if answer is None:
        raise session_ended()
    value = json.loads(answer)
    if isinstance(value, dict) and "error" in value:
        raise _refused(value["error"])
    return value


def _refused(code: str) -> AuthError:
    match code:
        case "too_many_passkeys":
            return AuthError(422, code, "Maximum number of passkeys reached")
        case "webauthn_credential_exists":
            return AuthError(422, code, "This credential is already registered")
        case "single_identity_not_deletable":
            return AuthError(
                422, code, "The last passkey cannot be removed: there would be no way to sign in"
            )
        case _:
            return AuthError(404, "validation_failed", "Passkey not found")
