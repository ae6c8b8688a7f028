"""Tokens that must not be taken: forged by somebody without the key, or signed with it and not what a session has."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.support.caller import new_id
from tests.support.world import Mint, encoded

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""
LEGACY_SECRET = b"super-secret-jwt-token-with-at-least-32-characters-long"
"""What every Supabase project on a laptop signs with, unless somebody changed it."""


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    """Makes them from the token of a member."""

    def __init__(self, mint: Mint, good: str, private_pem: str, victim: str) -> None:
        self.claims = {**mint.claims, "sub": victim}
        """Somebody else's user, and all else as it should be."""
        self.own_claims = mint.claims
        self.header = mint.header
        self.good = good
        self.parts = good.split(".")
        self.key = load_pem_private_key(private_pem.encode(), None)
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        self.public = self.key.public_key()
        self.mine = ec.generate_private_key(ec.SECP256R1())

    def all(self) -> dict[str, str]:
        """By name."""
        groups = (
            self._unsigned(),
            self._confused(),
            self._pointed(),
            self._altered(),
            self._signed(),
            self._odd(),
        )
        found = [pair for group in groups for pair in group]
        assert len(dict(found)) == len(found)
        return dict(found)

    def _headed(self, header: dict[str, Any] | str, payload: Any = None) -> str:
        """The first two parts."""
        head = _part(header.encode()) if isinstance(header, str) else encoded(header)
        return f"{head}.{encoded(self.claims if payload is None else payload)}"

    def _hmac(self, header: dict[str, Any], secret: bytes) -> str:
        """Without PyJWT, which refuses to take a public key for a secret."""
        signed = self._headed(header)
        return f"{signed}.{_part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    def _mine(self, key: Any = None, algorithm: str = "ES256", **header: Any) -> str:
        """Signed by the forger, under the service's kid."""
        return jwt.encode(
            self.claims, key or self.mine, algorithm, headers={"kid": self.header["kid"], **header}
        )

    def _real(self, without: str = "", header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Signed with the service's own key."""
        claims = {name: value for name, value in {**self.own_claims, **changes}.items() if name != without}
        return self._raw(header or self.header, json.dumps(claims))

    def _raw(self, header: dict[str, Any], payload: str) -> str:
        """Any payload under the service's own signature."""
        signed = f"{encoded(header)}.{_part(payload.encode())}"
        return f"{signed}.{_part(self._signature(signed.encode()))}"

    def _signature(self, signed: bytes) -> bytes:
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        der = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return jwt.utils.der_to_raw_signature(der, self.key.curve)

    def _unsigned(self) -> Iterator[tuple[str, str]]:
        for name in ("none", "None", "NONE", "nOnE", "", "null"):
            yield f"alg {name!r}, no signature", self._headed({**self.header, "alg": name}) + "."
        yield (
            "alg none, the good signature",
            f"{self._headed({**self.header, 'alg': 'none'})}.{self.parts[2]}",
        )
        yield "alg none without kid", self._headed({"alg": "none"}) + "."
        twice = f'{{"alg":"ES256","alg":"none","kid":"{self.header["kid"]}"}}'
        yield "alg twice", self._headed(twice) + "."
        yield "alg missing", self._headed({"kid": self.header["kid"]}) + "."
        yield "alg a list", self._headed({**self.header, "alg": ["none"]}) + "."

    def _confused(self) -> Iterator[tuple[str, str]]:
        hs = {**self.header, "alg": "HS256"}
        pem = self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(self.public)
        confusions = {
            "PEM": pem,
            "PEM without its last line end": pem.rstrip(),
            "DER": self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "point": self.public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
            "JWK": jwk.encode(),
            "x of the JWK": json.loads(jwk)["x"].encode(),
            "kid": self.header["kid"].encode(),
            "empty secret": b"",
            "Supabase's secret for laptops": LEGACY_SECRET,
        }
        for name, secret in confusions.items():
            yield f"HS256 with {name}", self._hmac(hs, secret)
        yield "HS256 without kid", self._hmac({"alg": "HS256", "typ": "JWT"}, LEGACY_SECRET)
        yield "HS384 by header alone", f"{self._headed({**hs, 'alg': 'HS384'})}.{self.parts[2]}"
        yield "another EC key", self._mine()
        yield "RS256", self._mine(rsa.generate_private_key(65537, 2048), "RS256")
        yield "PS256", self._mine(rsa.generate_private_key(65537, 2048), "PS256")
        yield "EdDSA", self._mine(ed25519.Ed25519PrivateKey.generate(), "EdDSA")
        yield "ES384", self._mine(ec.generate_private_key(ec.SECP384R1()), "ES384")
        yield "ES256K", self._mine(ec.generate_private_key(ec.SECP256K1()), "ES256K")

    def _pointed(self) -> Iterator[tuple[str, str]]:
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(self.mine.public_key(), as_dict=True)
        elsewhere = "https://elsewhere.example/jwks.json"
        yield "jwk in the header", self._mine(jwk=jwk)
        yield "jwk in the header, its own kid", self._mine(jwk={**jwk, "kid": "mine"}, kid="mine")
        yield "jku", self._mine(jku=elsewhere, kid="mine")
        yield "x5u", self._mine(x5u=elsewhere)
        yield "x5c", self._mine(x5c=["MIIB"])
        for kid in (
            "../../../../dev/null",
            "x' union select private_key from coterie.auth_keys --",
            "unknown",
            "",
            "\x00",
        ):
            yield f"kid {kid!r}", self._mine(kid=kid)
        yield "kid of the null file, empty secret", self._hmac({"alg": "HS256", "kid": "/dev/null"}, b"")
        for odd in (None, 1, [self.header["kid"]], {"kid": self.header["kid"]}, True):
            yield (
                f"kid of type {type(odd).__name__}",
                f"{self._headed({**self.header, 'kid': odd})}.{self.parts[2]}",
            )
        twice = f'{{"alg":"ES256","kid":"unknown","kid":"{self.header["kid"]}"}}'
        yield "kid twice", f"{self._headed(twice)}.{self.parts[2]}"

    def _altered(self) -> Iterator[tuple[str, str]]:
        head, payload, signature = self.parts
        raw = base64.urlsafe_b64decode(signature + "==")
        yield "payload altered", f"{head}.{encoded(self.claims)}.{signature}"
        yield "end altered", f"{head}.{encoded({**self.own_claims, 'exp': 2**40})}.{signature}"
        yield "signature altered", f"{head}.{payload}.{_part(bytes([raw[0] ^ 1]) + raw[1:])}"
        yield "signature empty", f"{head}.{payload}."
        yield "signature missing", f"{head}.{payload}"
        yield "signature cut", f"{head}.{payload}.{_part(raw[:-1])}"
        yield "signature longer", f"{head}.{payload}.{_part(raw + b'x')}"
        for name, pair in {"zero": (0, 0), "order": (ORDER, ORDER), "one": (1, 1), "r zero": (0, 1)}.items():
            forged = b"".join(value.to_bytes(32, "big") for value in pair)
            yield f"signature of {name}", f"{head}.{payload}.{_part(forged)}"
        s = (int.from_bytes(raw[32:], "big") + ORDER).to_bytes(33, "big")
        yield "signature with s above the order", f"{head}.{payload}.{_part(raw[:32] + s)}"
        yield (
            "signature in DER",
            f"{head}.{payload}.{_part(jwt.utils.raw_to_der_signature(raw, self.public.curve))}",
        )
        yield (
            "another session's signature",
            f"{head}.{encoded({**self.own_claims, 'session_id': new_id()})}.{signature}",
        )

    def _signed(self) -> Iterator[tuple[str, str]]:
        now = int(time.time())
        yield "expired", self._real(exp=now - 1)
        yield "not yet valid", self._real(nbf=now + 600)
        yield "issued in the future", self._real(iat=now + 600)
        for name in ("exp", "sub", "session_id", "role", "aud"):
            yield f"without {name}", self._real(without=name)
        for audience in ("anon", "", None, [], ["anon"], ["anon", "authenticated"], ["authenticated"]):
            yield f"aud {audience!r}", self._real(aud=audience)
        for role in ("anon", "service_role", "", None, ["authenticated"]):
            yield f"role {role!r}", self._real(role=role)
        for sub in ("", "a#b", "x" * 201, 7, None, ["x"], "a\x00b", "\ud800"):
            yield f"sub {sub!r:.20}", self._real(sub=sub)
        for session in ("", "x" * 201, 7, None, "a\x00b", "\ud800"):
            yield f"session_id {session!r:.20}", self._real(session_id=session)
        for end in ("soon", None, True, [now + 60], 2**53, 10**400, str(now + 60)):
            yield f"exp {end!r:.20}", self._real(exp=end)
        yield "exp negative", self._real(exp=-1)
        claims = json.dumps(self.own_claims)
        yield "exp without end", self._raw(self.header, claims.replace(str(self.own_claims["exp"]), "1e999"))
        yield "exp not a number", self._raw(self.header, claims.replace(str(self.own_claims["exp"]), "NaN"))
        yield "a critical extension", self._real(header={**self.header, "crit": ["b64"], "b64": False})
        yield "an unknown critical extension", self._real(header={**self.header, "crit": ["x"], "x": 1})

    def _odd(self) -> Iterator[tuple[str, str]]:
        head, payload, signature = self.parts
        yield "a JWS in a JWS", self._raw({**self.header, "cty": "JWT"}, self.good)
        yield "a JWS as text in a JWS", self._raw(self.header, json.dumps(self.good))
        yield "payload a list", self._raw(self.header, "[]")
        yield "payload empty", self._raw(self.header, "")
        for name, body in {"not UTF-8": b"{\xff}", "of claims twice": b'{"sub":"a","sub":"b"}'}.items():
            yield f"payload {name}", f"{head}.{_part(body)}.{signature}"
        headers = {
            "a list": b"[]",
            "not UTF-8": b"{\xff}",
            "deep": b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}",
            "without end": b'{"a":' + b"[" * 4000,
            "of a huge number": b'{"a":' + b"9" * 5000 + b"}",
        }
        for name, header in headers.items():
            yield f"header {name}", f"{_part(header)}.{payload}.{signature}"
        encrypted = _part(b'{"alg":"dir","enc":"A256GCM"}')
        yield "a JWE", f"{encrypted}..{payload}.{head}.{signature}"
        yield (
            "as JSON serialisation",
            json.dumps({"payload": payload, "protected": head, "signature": signature}),
        )
        yield "two of four parts", f"{self.good}.{signature}"
        yield "dots", "..."
        yield "percent", "%00.%00.%00"
        yield "nothing of it", "x"
        yield "refresh token", "x" * 43
        yield "publishable key", "sb_publishable_0123456789abcdef"
        yield (
            "anon key",
            jwt.encode({"role": "anon", "iss": "supabase", "exp": 2**33}, LEGACY_SECRET, "HS256"),
        )
        role = {"role": "service_role", "iss": "supabase", "exp": 2**33}
        yield "service_role key", jwt.encode(role, LEGACY_SECRET, "HS256")
