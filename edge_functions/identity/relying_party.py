"""The relying party of WebAuthn Level 3: what it asks of authenticators, and whether their answers hold."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, options_to_json_dict, parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from edge_functions.identity.answers import AuthError
from edge_functions.settings import Settings


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whose passkeys these are: the host of `PUBLIC_URL`, and the pages that may use them.

    `credential` is what a page posts: a `RegistrationResponseJSON` or an `AuthenticationResponseJSON`, unchecked.
    """

    id: str
    origins: list[str]
    timeout: int
    """Milliseconds that a browser may take."""

    @classmethod
    def of(cls, settings: Settings) -> "RelyingParty":
        """Raises `AuthError` (404 `passkey_disabled`): browsers give passkeys to names, not to addresses."""
        public_url = settings.public_url or f"http://localhost:{settings.port}"
        host = urlsplit(public_url).hostname or ""
        if ":" in host or host.replace(".", "").isdigit():
            sentence = "Passkeys need a host name in PUBLIC_URL, not an address."
            raise AuthError(404, "passkey_disabled", sentence)
        origins = [_as_browsers_say(one) for one in (public_url, *settings.passkey_origins)]
        return cls(host, origins, int(settings.passkey_seconds * 1000))

    def creation_options(self, user_id: str, challenge: bytes, existing: list[bytes]) -> dict[str, Any]:
        """`PublicKeyCredentialCreationOptionsJSON` for a passkey beside the `existing` ones."""
        options = webauthn.generate_registration_options(
            rp_id=self.id,
            rp_name="Coterie",
            user_id=user_id.encode(),
            user_name=f"Coterie {user_id[:8]}",  # no name of a person reaches the service; the page may set one
            challenge=challenge,
            timeout=self.timeout,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in existing],
        )
        return options_to_json_dict(options)

    def request_options(self, challenge: bytes) -> dict[str, Any]:
        """`PublicKeyCredentialRequestOptionsJSON` that names nobody."""
        options = webauthn.generate_authentication_options(
            rp_id=self.id,
            challenge=challenge,
            timeout=self.timeout,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def registered(self, credential: dict[str, Any], challenge: bytes) -> VerifiedRegistration:
        """What was registered (section 7.1). Raises `AuthError` (400 `webauthn_verification_failed`)."""
        try:
            verified = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=self.origins,
                require_user_verification=True,
            )
            _refuse_frames(credential)
        except Exception as error:
            raise not_verified() from error
        return verified

    def counted(
        self,
        credential: dict[str, Any],
        challenge: bytes,
        *,
        public_key: bytes,
        sign_count: int,
        user_id: str,
    ) -> int:
        """The new sign count of a passkey that answered for its user (section 7.2).

        Raises `AuthError` (400 `webauthn_verification_failed`).
        """
        try:
            verified = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=self.origins,
                credential_public_key=public_key,
                credential_current_sign_count=sign_count,
                require_user_verification=True,
            )
            _refuse_frames(credential)
            if base64url_to_bytes(credential["response"]["userHandle"]) != user_id.encode():
                raise not_verified()
        except Exception as error:
            raise not_verified() from error
        return verified.new_sign_count


def not_verified() -> AuthError:
    """One answer for all that may be wrong, for unknown passkeys, and for whatever the library raises.

    Some of its parsers let errors of their own through.
    """
    return AuthError(400, "webauthn_verification_failed", "Credential verification failed")


def _refuse_frames(credential: dict[str, Any]) -> None:
    """No page that stands in a frame of another origin (`crossOrigin`): nobody sees whom they answer there."""
    client_data = base64url_to_bytes(credential["response"]["clientDataJSON"])
    if parse_client_data_json(client_data).cross_origin:
        raise not_verified()


def _as_browsers_say(origin: str) -> str:
    """Lower case, without a default port (RFC 6454, section 6.2)."""
    parts = urlsplit(origin)
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
