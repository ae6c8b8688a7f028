"""The service's errors, and the one place where those of the database become them."""

import asyncio
import json
import traceback
from typing import Any

import asyncpg

SENTENCES = {
    "already_claimed": "Another device is working on this join.",
    "already_completed": "This join has been completed or has ended.",
    "already_member": "This device is a member of the group already.",
    "bad_key_packages": "Some of the key packages cannot be taken, so none was.",
    "bad_proof": "The proof is not a signature of this device key for this session.",
    "bad_request": "The request does not have its documented shape.",
    "claim_id_reused": "This claim_id was used to ask for other key packages.",
    "device_not_registered": "This session has no device yet: call device_register first.",
    "device_revoked": "This device was revoked.",
    "group_exists": "There is a group with this id already.",
    "internal": "Something went wrong in the service; nothing was done.",
    "invite_exists": "There is another invite with this id already.",
    "invite_unavailable": "This invite cannot be used.",
    "invites_ended": "An invite that this commit uses has ended.",
    "join_id_reused": "This join_id belongs to another join.",
    "join_open": "This device waits on this invite already.",
    "key_in_use": "This signature key belongs to another user.",
    "key_packages_full": "There would be too many key packages of this device.",
    "message_id_reused": "This message_id was used for other bytes or by another device.",
    "method_not_allowed": "This method is not allowed here.",
    "no_hello": "No hello came in time.",
    "no_session": "No valid session: sign in, or refresh the token.",
    "not_a_member": "This device is not a member of this group.",
    "not_ready": "This process should get no requests now.",
    "not_open": "This join is not waiting to be completed.",
    "stale_epoch": "The group is in another epoch.",
    "state_behind": "A message with this counter or a higher one was sent already.",
    "too_large": "The request is too large.",
    "too_many": "Too many; try again later.",
    "too_many_devices": "This user has as many devices as one may have.",
    "too_slow": "This connection is too slow.",
    "too_soon": "Too soon; try again later.",
    "unavailable": "The database cannot be reached; try again.",
    "unknown_device": "This user has no such device.",
    "unknown_function": "There is no function of this name.",
    "unknown_join": "There is no such join.",
    "unsupported_media_type": "The body must be JSON (content-type application/json).",
    "wrong_header": "The MLS framing does not match the request.",
    "wrong_roster": "The roster change does not match the commit's authenticated data or the group's members.",
}
"""One sentence for each code of docs/protocol.md."""

CONSTRAINTS = {
    "devices_signature_key_key": (409, "key_in_use"),
    "groups_pkey": (409, "group_exists"),
    "messages_message_id_once": (409, "message_id_reused"),
    "invites_pkey": (409, "invite_exists"),
    "joins_pkey": (409, "join_id_reused"),
    "group_members_device_id_fkey": (422, "wrong_roster"),
}
"""Constraints of the schema that a request can run into, because the row that it clashes with is hidden from it."""


class ServiceError(Exception):
    """An answer other than success: HTTP status, code, and further fields of the body."""

    def __init__(self, status: int, code: str, sentence: str | None = None, **more: Any) -> None:
        self.status = status
        self.code = code
        self.sentence = sentence or SENTENCES[code]
        self.more = more
        super().__init__(self.sentence)

    def body(self) -> dict[str, Any]:
        """`{"error", "message", "code", …}`: supabase-py reads the first, supabase-js's users the others."""
        return {**self.more, "error": self.sentence, "message": self.sentence, "code": self.code}

    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds, where the body has `retry_after`."""
        retry_after = self.more.get("retry_after")
        return {} if retry_after is None else {"retry-after": str(max(1, round(float(retry_after) + 0.5)))}


def bad_request(sentence: str) -> ServiceError:
    """400 with a sentence that names the field."""
    return ServiceError(400, "bad_request", sentence)


def from_database(error: BaseException) -> ServiceError | None:
    """What a failed statement means to the caller; None for a defect (the caller answers 500 and logs it)."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state.startswith("CT"):
            return ServiceError(int(state[2:]), str(error.args[0]), **_more(error.detail))
        if (
            isinstance(error, asyncpg.IntegrityConstraintViolationError)
            and error.constraint_name in CONSTRAINTS
        ):
            return ServiceError(*CONSTRAINTS[error.constraint_name])
        # connection_exception, insufficient_resources, operator_intervention, deadlock and serialization
        if state[:2] in {"08", "53", "57", "40"} or state == "28000":
            return ServiceError(503, "unavailable")
        return None
    # InternalClientError: a connection that broke in the middle of an answer, when Postgres is killed
    if isinstance(
        error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | asyncio.TimeoutError
    ):
        return ServiceError(503, "unavailable")
    return None


def defect(error: BaseException) -> str:
    """A defect for the log: where and of what type, without the texts, which may quote rows and requests."""
    state = getattr(error, "sqlstate", None)
    frames = "".join(traceback.format_tb(error.__traceback__))
    cause = error.__cause__
    return f"{type(error).__name__}{f' {state}' if state else ''}\n{frames}{f'from {defect(cause)}' if cause else ''}"


def _more(detail: str | None) -> dict[str, Any]:
    return json.loads(detail) if detail else {}
