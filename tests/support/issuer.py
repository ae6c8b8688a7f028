"""An issuer of tokens as Supabase Auth is one: publishes keys, signs, hangs when it is told to."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

PATH = "/auth/v1/.well-known/jwks.json"


class Issuer:
    """Publishes keys, as Supabase Auth does, and signs tokens."""

    def __init__(self) -> None:
        self.curve = ec.generate_private_key(ec.SECP256R1())
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.secret = b"s" * 32
        self.status = 200
        self.fetched = 0
        self.answers = threading.Event()
        """Cleared while it hangs."""
        self.answers.set()
        self.keys = [
            {**ECAlgorithm.to_jwk(self.curve.public_key(), as_dict=True), "kid": "curve"},
            {**RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True), "kid": "rsa"},
            {**HMACAlgorithm.to_jwk(self.secret, as_dict=True), "kid": "secret", "alg": "HS256"},
        ]
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched += 1
                issuer.answers.wait(30)
                self.send_response(issuer.status if self.path == PATH else 404)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": issuer.keys}).encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def token(
        self, kid: str | None = "curve", key: Any = None, algorithm: str = "ES256", **changes: Any
    ) -> str:
        """A token that holds, but for the changes."""
        claims = {
            "iss": f"{self.url}/auth/v1",
            "sub": str(uuid.uuid4()),
            "aud": "authenticated",
            "exp": int(time.time()) + 600,
            "role": "authenticated",
            "session_id": str(uuid.uuid4()),
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.curve, algorithm, headers={"kid": kid} if kid else None)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """A running issuer."""
    one = Issuer()
    thread = threading.Thread(target=one.server.serve_forever)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()
