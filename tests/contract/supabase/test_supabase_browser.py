"""supabase-js, unmodified, in Chromium with a virtual authenticator: guests, passkeys, refresh, sign-out.

The page that it runs on is served from another origin than the service, as an application of somebody else's would be:
what works here works by CORS, and the service's own page keeps its Content-Security-Policy.
"""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
import uvicorn
from playwright.sync_api import CDPSession, Page, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from tests.support.server import ROOT, Service

BUNDLE = ROOT / "node_modules" / "@supabase" / "supabase-js" / "dist" / "umd" / "supabase.js"
PAGE = '<!doctype html><title>An application</title><script src="/supabase.js"></script>'
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
}
ASK = """async ([path, argument]) => {
  const steps = path.split(".");
  const method = steps.pop();
  const owner = steps.reduce((found, step) => found[step], window.client);
  const { data, error } = await owner[method](argument ?? undefined);
  return { data, code: error?.code ?? null, name: error?.name ?? null, message: error?.message };
}"""


async def bundle(_: Request) -> Response:
    """The client as its package ships it for pages."""
    return FileResponse(BUNDLE)


async def application(_: Request) -> Response:
    """A page of another origin."""
    return HTMLResponse(PAGE)


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the application's page is."""
    if not BUNDLE.exists():
        pytest.fail("supabase-js is not installed: `make setup` does it.")
    app = Starlette(routes=[Route("/", application), Route("/supabase.js", bundle)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://localhost:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def client(origin: str, make_service: Callable[..., Service]) -> "Iterator[Client]":
    """A page with a Supabase client of the service."""
    service = make_service(COTERIE_PASSKEY_ORIGINS=origin)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.fail("No Chromium was found: `make setup` installs one, or set CHROMIUM to its path.")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.goto(origin)
        page.evaluate(
            "url => { window.client = supabase.createClient(url, 'sb_publishable_made_up') }", service.url
        )
        yield Client(page, page.context.new_cdp_session(page))
        browser.close()


class Client:
    """`window.client`, and the authenticators of its browser."""

    def __init__(self, page: Page, cdp: CDPSession) -> None:
        self._page = page
        self._cdp = cdp
        cdp.send("WebAuthn.enable")

    def __call__(self, path: str, argument: Any = None) -> Any:
        """A method that must succeed; its `data`."""
        answer = self._page.evaluate(ASK, [path, argument])
        assert (answer["code"], answer["name"]) == (None, None), (path, answer)
        return answer["data"]

    def refused(self, path: str, argument: Any = None) -> str:
        """The code of the error."""
        answer = self._page.evaluate(ASK, [path, argument])
        assert answer["code"], answer
        return str(answer["code"])

    def authenticator(self) -> str:
        """A new one, whose person is there and says yes."""
        return str(
            self._cdp.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})["authenticatorId"]
        )

    def take_away(self, authenticator: str) -> None:
        """The authenticator is not at hand any more."""
        self._cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})


def claims(session: dict[str, Any]) -> dict[str, Any]:
    """Of the session's token."""
    return jwt.decode(session["access_token"], options={"verify_signature": False})


def test_a_guests_way_to_passkeys_and_back(client: Client) -> None:
    guest = client("auth.signInAnonymously")["user"]
    assert guest["is_anonymous"] is True
    phone = client.authenticator()
    registered = client("auth.registerPasskey")
    assert registered.keys() == {"id", "friendly_name", "created_at"}
    session = client("auth.refreshSession")["session"]
    assert (session["user"]["id"], session["user"]["is_anonymous"]) == (guest["id"], False)
    client("auth.signOut")
    assert client("auth.getSession")["session"] is None
    back = client("auth.signInWithPasskey")["session"]
    assert back["user"]["id"] == guest["id"]
    assert [one["method"] for one in claims(back)["amr"]] == ["passkey"]
    assert client("auth.getUser")["user"]["id"] == guest["id"]
    assert client("auth.getClaims")["claims"]["sub"] == guest["id"]  # verified there, by the JWKS
    again = client("auth.refreshSession")["session"]
    assert claims(again)["session_id"] == claims(back)["session_id"]
    client("auth.signOut", {"scope": "global"})
    token = {"refresh_token": again["refresh_token"]}
    assert client.refused("auth.refreshSession", token) == "refresh_token_not_found"
    client.take_away(phone)


def test_several_passkeys(client: Client) -> None:
    user = client("auth.signInAnonymously")["user"]
    phone = client.authenticator()
    first = client("auth.registerPasskey")
    renamed = client("auth.passkey.update", {"passkeyId": first["id"], "friendlyName": "Phone"})
    assert renamed["friendly_name"] == "Phone"
    assert client.refused("auth.registerPasskey") == "ERROR_AUTHENTICATOR_PREVIOUSLY_REGISTERED"
    only = {"passkeyId": first["id"]}
    assert client.refused("auth.passkey.delete", only) == "single_identity_not_deletable"
    client.take_away(phone)
    laptop = client.authenticator()
    second = client("auth.registerPasskey")
    assert [one["id"] for one in client("auth.passkey.list")] == [first["id"], second["id"]]
    client("auth.passkey.delete", only)
    assert [one["id"] for one in client("auth.passkey.list")] == [second["id"]]
    client("auth.signOut")
    assert client("auth.signInWithPasskey")["user"]["id"] == user["id"]
    assert client("auth.passkey.list")[0]["last_used_at"]
    client.take_away(laptop)


def test_an_unknown_passkey_is_refused(client: Client) -> None:
    client("auth.signInAnonymously")
    began = client("auth.passkey.startAuthentication")
    assert began.keys() == {"challenge_id", "options", "expires_at"}
    answer = {"challengeId": began["challenge_id"], "credential": {"id": "AA", "rawId": "AA"}}
    assert client.refused("auth.passkey.verifyAuthentication", answer) == "webauthn_verification_failed"
    assert client.refused("auth.passkey.verifyAuthentication", answer) == "webauthn_challenge_not_found"
