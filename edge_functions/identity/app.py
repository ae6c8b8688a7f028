"""The routes under /auth/v1."""

from edge_functions.identity import passkeys, sessions
from edge_functions.identity.answers import AuthRoute, nothing_here

ROUTES: list[AuthRoute] = [
    AuthRoute("/signup", POST=sessions.sign_up),
    AuthRoute("/token", POST=sessions.token),
    AuthRoute("/logout", POST=sessions.log_out),
    AuthRoute("/user", GET=sessions.user),
    AuthRoute("/.well-known/jwks.json", GET=sessions.jwks),
    AuthRoute("/passkeys", GET=passkeys.list_all),
    AuthRoute("/passkeys/registration/options", POST=passkeys.registration_options),
    AuthRoute("/passkeys/registration/verify", POST=passkeys.register),
    AuthRoute("/passkeys/authentication/options", POST=passkeys.sign_in_options),
    AuthRoute("/passkeys/authentication/verify", POST=passkeys.sign_in),
    AuthRoute("/passkeys/{passkey_id}", PATCH=passkeys.rename, DELETE=passkeys.remove),
    AuthRoute("/{path:path}", GET=nothing_here),
]
