"""Supabase's own clients, unmodified, against our service: sign in as a guest, invite, ask to join, read.

Run by `make test-supabase`, in a venv of its own.
"""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coterie_wire import device_proof_message
from tests.support import mls
from tests.support.server import ROOT, Service

supabase = pytest.importorskip("supabase", reason="supabase-py is in a venv of its own: make test-supabase")

PUBLISHABLE_KEY = "sb_publishable_any"


class Guest:
    """Somebody with supabase-py."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client()  # handed in so that the test can close it
        self.client = supabase.create_client(
            url, PUBLISHABLE_KEY, supabase.ClientOptions(httpx_client=self.http)
        )
        session = self.client.auth.sign_in_anonymously().session
        claims = self.client.auth.get_claims()["claims"]
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        proof = key.sign(device_proof_message(session.user.id, claims["session_id"], public))
        self.invoke("device_register", signature_key=public.hex(), name="supabase-py", proof=proof.hex())

    def invoke(self, function: str, **body: Any) -> Any:
        return self.client.functions.invoke(function, {"body": body, "responseType": "json"})


@pytest.mark.filterwarnings("ignore:The '(timeout|verify)' parameter is deprecated")  # supabase-py's own
def test_supabase_py_makes_and_takes_an_invite(service: Service) -> None:
    alice, bob = Guest(service.url), Guest(service.url)
    group_id, invite_id, join_id = str(uuid4()), token_bytes(16).hex(), str(uuid4())
    info = mls.group_info(token_bytes(16), 0)
    alice.invoke("group_create", group_id=group_id, group_info=info.hex(), message_id=str(uuid4()))
    made = alice.invoke(
        "invite_create",
        invite_id=invite_id,
        group_id=group_id,
        preview=token_bytes(64).hex(),
        expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat(),
        max_uses=1,
        approval=False,
    )
    assert made == {"invite_id": invite_id}
    asked = bob.invoke(
        "invite_join",
        join_id=join_id,
        invite_id=invite_id,
        kp_hex=mls.key_package().hex(),
        tag=token_bytes(32).hex(),
        hello=token_bytes(32).hex(),
    )
    assert asked == {"join_id": join_id, "status": "waiting"}
    polled = bob.invoke("invite_poll", join_id=join_id)
    assert (polled["status"], polled["welcome_hex"]) == ("waiting", None)
    assert alice.invoke("get_messages", group_id=group_id, after=0)["envelopes"] == []
    with pytest.raises(Exception, match="member") as refusal:
        bob.invoke("get_messages", group_id=group_id, after=0)
    assert type(refusal.value).__name__ == "FunctionsHttpError"
    bob.client.auth.refresh_session()
    assert bob.invoke("invite_poll", join_id=join_id)["status"] == "waiting"
    for guest in (alice, bob):
        guest.client.auth.sign_out()
        guest.http.close()


def test_supabase_js_makes_and_takes_an_invite(service: Service) -> None:
    node = shutil.which("node")
    assert node, "Node is needed"
    script = Path(__file__).with_name("clients.mjs")
    done = subprocess.run(
        [node, "--experimental-websocket", str(script), service.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "supabase-js: all as documented"), done.stderr
