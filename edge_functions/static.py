"""The page: files of `web/` at `/`, and what was built for it (wheels, runtime) from the site folder over it."""

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".data": "application/octet-stream",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".whl": "application/zip",
    ".woff2": "font/woff2",
    ".zip": "application/zip",
}
_HASHED = re.compile(r"[.-][0-9a-f]{10,64}\.")
"""A name with a digest in it never changes its content."""

_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_LONGEST = 200
"""Bytes of a path below a folder; a system refuses to look for a name of more than 255."""
_REVALIDATE = "no-cache"
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    stamp: tuple[int, int]
    content: bytes
    etag: str


class Site:
    """An ASGI app for GET and HEAD of files. The first folder that has a file wins."""

    def __init__(self, *folders: Path) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._files: dict[Path, _File] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(1008)
            return
        await self._answer(Request(scope, receive))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response("This method is not allowed here.\n", 405, headers={"allow": "GET, HEAD"})
        name = request.scope["path"].lstrip("/")
        path = self._find(name if name and not name.endswith("/") else f"{name}index.html")
        if path is None:
            return Response("There is no such page.\n", 404, media_type="text/plain")
        variant, encoding = _variant(path, request.headers.get("accept-encoding", ""))
        file = self._load(variant)
        headers = _headers(path, name, file, encoding)
        if file.etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers={**headers, "content-type": _content_type(path)})

    def _find(self, name: str) -> Path | None:
        """The file of that name, never outside a folder, never hidden."""
        parts = name.split("/")
        if (
            len(name.encode(errors="replace")) > _LONGEST
            or "\0" in name
            or "\\" in name
            or any(part in ("", "..") or part.startswith(".") for part in parts)
        ):
            return None
        for folder in self._folders:
            path = folder.joinpath(*parts)
            if path.is_file() and path.resolve().is_relative_to(folder):
                return path
        return None

    def _load(self, path: Path) -> _File:
        """The content, read again only when the file has changed."""
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._files.get(path)
        if known is None or known.stamp != stamp:
            content = path.read_bytes()
            known = _File(path, stamp, content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
            self._files[path] = known
        return known


def _variant(path: Path, accepted: str) -> tuple[Path, str | None]:
    """A precompressed sibling that the browser accepts, or the file itself."""
    offered = {one.partition(";")[0].strip() for one in accepted.lower().split(",") if not _refused(one)}
    for encoding, suffix in _ENCODINGS:
        sibling = path.with_name(path.name + suffix)
        if encoding in offered and sibling.is_file() and not sibling.is_symlink():
            return sibling, encoding
    return path, None


def _refused(offer: str) -> bool:
    return re.search(r";\s*q=0(\.0*)?\s*$", offer) is not None


def _content_type(path: Path) -> str:
    return _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _headers(path: Path, name: str, file: _File, encoding: str | None) -> dict[str, str]:
    headers = {
        "etag": file.etag,
        "vary": "accept-encoding",
        "cache-control": _FOR_EVER
        if name.startswith("assets/") or _HASHED.search(path.name)
        else _REVALIDATE,
    }
    if encoding is not None:
        headers["content-encoding"] = encoding
    if name.startswith("wheels/"):  # `micropip.install` from anybody's page
        headers["access-control-allow-origin"] = "*"
        headers["cross-origin-resource-policy"] = "cross-origin"
    return headers
