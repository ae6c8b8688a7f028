"""Files: content types, caching, compression, nothing outside the folders; and the document of the protocol."""

import gzip
import re
from collections.abc import Callable

import httpx
import pytest
import websockets

from edge_functions.app import FUNCTIONS
from edge_functions.errors import SENTENCES
from edge_functions.schema import schema_text
from tests.support.server import ROOT, Service


@pytest.fixture(scope="module")
def site(make_service: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service over a site of a few files."""
    folder = tmp_path_factory.mktemp("site")
    (folder.parent / "secret.txt").write_text("outside")
    for name, content in {
        "index.html": b"<!doctype html>built",
        "app.js": b"export {}",
        "core-0123456789abcdef.wasm": b"\0asm",
        "wheels/coterie-0.1.0-py3-none-any.whl": b"PK",
        ".hidden": b"hidden",
        "manifest.webmanifest": b"{}",
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (folder / "app.js.gz").write_bytes(gzip.compress(b"export {}"))
    (folder / "app.js.br").write_bytes(b"brotli")
    (folder / "link").symlink_to(folder.parent / "secret.txt")
    return make_service(COTERIE_SITE=str(folder))


async def get(site: Service, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """A request with exactly this path and these headers."""
    async with httpx.AsyncClient(base_url=site.url, verify=False, timeout=30) as client:  # noqa: S501 - no TLS here
        request = client.build_request(method, "/", headers={"accept-encoding": "identity", **headers})
        request.url = request.url.copy_with(raw_path=path.encode())
        return await client.send(request)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?join=abc", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/core-0123456789abcdef.wasm", "application/wasm"),
        ("/wheels/coterie-0.1.0-py3-none-any.whl", "application/zip"),
        ("/manifest.webmanifest", "application/manifest+json"),
    ],
)
async def test_content_types(site: Service, path: str, content_type: str) -> None:
    answer = await get(site, path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    head = await get(site, path, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere", "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/.hidden", "/link", "//etc/passwd",
        "/wheels/../../secret.txt", "/wheels", "/a\\..\\b", "/app.js%00.html", "/index.html/",
        f"/{'a' * 300}", f"/{'a' * 5000}", f"/{'%F0%9F%99%82' * 70}",
    ],
)  # fmt: skip
async def test_nothing_but_the_files(site: Service, path: str) -> None:
    answer = await get(site, path)
    assert answer.status_code == 404
    assert "outside" not in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/app.js", "/health", "/functions/v1/nothing", "/functions/v1/groups_list"]
)
async def test_a_websocket_to_what_is_none_is_refused(site: Service, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(site.url.replace("http", "ws", 1) + path)
    assert refused.value.response.status_code == 403


async def test_caching(site: Service) -> None:
    page, hashed = await get(site, "/app.js"), await get(site, "/core-0123456789abcdef.wasm")
    assert page.headers["cache-control"] == "no-cache"
    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = await get(site, "/app.js", **{"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "content-security-policy" in again.headers


async def test_precompressed_siblings(site: Service) -> None:
    async with httpx.AsyncClient(base_url=site.url, verify=False, timeout=30) as client:  # noqa: S501 - no TLS here
        packed = await client.get("/app.js", headers={"accept-encoding": "gzip;q=1.0, br;q=0"})
        async with client.stream("GET", "/app.js", headers={"accept-encoding": "gzip, br"}) as stream:
            smallest = b"".join([chunk async for chunk in stream.aiter_raw()])
    assert (packed.headers["content-encoding"], packed.text) == ("gzip", "export {}")
    assert (stream.headers["content-encoding"], smallest) == ("br", b"brotli")
    assert (
        packed.headers["content-type"] == stream.headers["content-type"] == "text/javascript; charset=utf-8"
    )
    assert packed.headers["vary"] == "accept-encoding"
    assert packed.headers["etag"] != stream.headers["etag"]


async def test_wheels_are_for_everybody_and_the_rest_is_not(site: Service) -> None:
    wheel, page = await get(site, "/wheels/coterie-0.1.0-py3-none-any.whl"), await get(site, "/app.js")
    assert wheel.headers["access-control-allow-origin"] == "*"
    assert wheel.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "access-control-allow-origin" not in page.headers
    assert page.headers["cross-origin-resource-policy"] == "same-origin"


async def test_only_get_and_head(site: Service) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert (await get(site, "/app.js", method)).status_code == 405


def test_the_protocol_document_names_every_function_and_every_error() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    functions = text[text.index("## Functions") : text.index("## Envelope")]
    documented = set(re.findall(r"^- `(\w+)[ `]", functions, re.MULTILINE))
    assert documented == FUNCTIONS.keys() - {"deliver"}
    assert [code for code in SENTENCES if f"`{code}`" not in text] == []


def test_every_error_of_the_schema_has_its_sentence() -> None:
    raised = set(re.findall(r"coterie\.fail\(\d+, '(\w+)'", schema_text()))
    assert raised <= SENTENCES.keys()
