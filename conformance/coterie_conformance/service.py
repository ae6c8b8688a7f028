"""Where a deployment is, and what it answers."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from coterie_conformance.catalog import Broken, NotAsked, same

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON and headers."""

    status: int
    body: Json
    headers: httpx.Headers

    @classmethod
    def of(cls, status: int, headers: httpx.Headers, content: bytes) -> "Answer":
        """Raises `Broken` when the content is no JSON object."""
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Broken(f"An answer with status {status} is no JSON object: {content[:200]!r}")
        return cls(status, body, headers)

    @property
    def code(self) -> str | None:
        """The error's code; None for a success."""
        return None if self.status == 200 else self.body.get("code")

    @property
    def outcome(self) -> tuple[int, str | None]:
        """Status and code."""
        return (self.status, self.code)

    def _not_limited(self) -> None:
        """A suite asks more than a person does: that a deployment holds it up is no promise broken."""
        if self.outcome == (429, "too_many"):
            raise NotAsked("a limit of this deployment (429 too_many) ended this check; README.md says which")

    def ok(self) -> Json:
        """The body of a success."""
        self._not_limited()
        if self.status != 200:
            raise Broken(f"refused with {self.status} {self.body}")
        return self.body

    def refused(self, status: int, code: str) -> Json:
        """The body of exactly this error, in its documented shape."""
        if code != "too_many":
            self._not_limited()
        same(self.outcome, (status, code), "the answer")
        same(self.body.get("message"), self.body.get("error"), "an error's `message` is its `error`")
        same(self.headers.get("access-control-allow-origin"), "*", "CORS of an error")
        return self.body


@dataclass(frozen=True, slots=True)
class Place:
    """Where the deployment is."""

    http: httpx.AsyncClient
    functions: str
    """Address of /functions/v1."""
    auth: str
    """Address of /auth/v1."""
    apikey: str | None = None
    """Sent as `apikey` where a gateway asks for one."""

    async def request(
        self, method: str, url: str, token: str | None = None, **options: Any
    ) -> httpx.Response:
        """One HTTP request."""
        headers = {**({"apikey": self.apikey} if self.apikey else {}), **options.pop("headers", {})}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return await self.http.request(method, url, headers=headers, **options)

    async def post_json(self, url: str, body: Json, token: str | None = None) -> Answer:
        """POST JSON, get JSON."""
        answer = await self.request("POST", url, token, json=body)
        return Answer.of(answer.status_code, answer.headers, answer.content)
