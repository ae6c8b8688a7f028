"""supabase-py, unmodified, moved from outside: one JSON line in, one JSON line out. Runs in a venv of its own."""

import json
import sys
from collections.abc import Callable
from typing import Any

from supabase import FunctionsError, create_client

client = create_client(sys.argv[1], "sb_publishable_made_up")


def sign_in() -> dict[str, Any]:
    """A new guest."""
    session = client.auth.sign_in_anonymously().session
    return {"token": session.access_token, "user_id": session.user.id, "guest": session.user.is_anonymous}


def sign_out() -> dict[str, Any]:
    """Everywhere."""
    client.auth.sign_out()
    return {}


def invoke(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Call a function."""
    try:
        return {"answer": client.functions.invoke(name, {"body": body, "responseType": "json"})}
    except FunctionsError as error:
        return {"error": error.message, "status": error.status}


ORDERS: dict[str, Callable[..., dict[str, Any]]] = {
    "sign_in": sign_in,
    "sign_out": sign_out,
    "refresh": lambda: {"token": client.auth.refresh_session().session.access_token},
    "user": lambda: {"user_id": client.auth.get_user().user.id},
    "claims": lambda: {"claims": client.auth.get_claims()["claims"]},
    "invoke": invoke,
}

for line in sys.stdin:
    order = json.loads(line)
    sys.stdout.write(json.dumps(ORDERS[order.pop("do")](**order)) + "\n")
    sys.stdout.flush()
