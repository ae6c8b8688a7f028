"""The routes under /auth/v1."""

from starlette.routing import BaseRoute

from edge_functions.identity import passkeys, sessions
from edge_functions.identity.answers import nothing_here, route

ROUTES: list[BaseRoute] = [
    route("/signup", POST=sessions.sign_up),
    route("/token", POST=sessions.token),
    route("/logout", POST=sessions.log_out),
    route("/user", GET=sessions.user),
    route("/.well-known/jwks.json", GET=sessions.jwks),
    route("/passkeys", GET=passkeys.list_all),
    route("/passkeys/registration/options", POST=passkeys.registration_options),
    route("/passkeys/registration/verify", POST=passkeys.register),
    route("/passkeys/authentication/options", POST=passkeys.sign_in_options),
    route("/passkeys/authentication/verify", POST=passkeys.sign_in),
    route("/passkeys/{passkey_id}", PATCH=passkeys.rename, DELETE=passkeys.remove),
    route("/{path:path}", GET=nothing_here),
]
