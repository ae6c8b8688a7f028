"""The description that the service publishes: OpenAPI 3.1, made from what the functions declare."""

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from edge_functions.endpoint import CORS, Errors, Function, problem
from edge_functions.errors import SENTENCES, ServiceError
from edge_functions.fields import Field, Shape, record, text

Json = dict[str, Any]

_ABOUT = (
    "End-to-end-encrypted group chat (MLS, RFC 9420): this service orders and routes ciphertext, and cannot read it. "
    "Binary values are lower-case hex. The order of checks and the socket's frames are in docs/protocol.md."
)
_SESSION = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The access token of a session of /auth/v1, or of the Supabase project that is trusted.",
}
_ERROR = record(
    {"error": text(), "message": text(), "code": text()}, {"retry_after": Shape({"type": "number"})}
)


class Description:
    """`GET /functions/v1/openapi.json`. For everybody: it says nothing that this repository does not."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._text = json.dumps(document(functions))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(1008)
            return
        await self._answer(scope["method"])(scope, receive, send)

    def _answer(self, method: str) -> Response:
        if method == "OPTIONS":
            return Response(status_code=204, headers=CORS)
        if method != "GET":
            return problem(ServiceError(405, "method_not_allowed"))
        return Response(self._text, media_type="application/json", headers=CORS)


def document(functions: Mapping[str, Function]) -> Json:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Coterie", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"session": []}],
        "paths": {f"/functions/v1/{name}": _path(name, function) for name, function in functions.items()},
        "components": {"securitySchemes": {"session": _SESSION}, "schemas": {"Error": _ERROR.schema}},
    }


def _path(name: str, function: Function) -> Json:
    return {method.lower(): _operation(name, function, method) for method in function.methods}


def _operation(name: str, function: Function, method: str) -> Json:
    module = sys.modules[function.handler.__module__]
    operation: Json = {
        "operationId": name if method == "POST" else f"{name}_{method.lower()}",
        "summary": _first_line(module.__doc__),
        "description": inspect.getdoc(function.handler) or "",
        "responses": _responses(function),
    }
    if method == "POST":
        operation["requestBody"] = _body(function.takes or {})
    elif function.takes:
        operation["parameters"] = [_parameter(one, field) for one, field in function.takes.items()]
    if 401 not in function.common:
        operation["security"] = []
    return operation


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _body(takes: Mapping[str, Field]) -> Json:
    required = [name for name, field in takes.items() if field.required]
    schema = {
        "type": "object",
        "properties": {name: field.schema for name, field in takes.items()},
        "required": required,
        "additionalProperties": False,
    }
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, field: Field) -> Json:
    return {"name": name, "in": "query", "required": field.required, "schema": field.schema}


def _responses(function: Function) -> Json:
    errors = _merged(function.common, function.errors)
    responses = {str(status): _problem(codes) for status, codes in errors.items()}
    return {str(function.success): _success(function.gives), **responses}


def _success(gives: Mapping[str, Shape]) -> Json:
    if not gives:
        return {"description": "Done."}
    return {"description": "Done.", "content": {"application/json": {"schema": record(gives).schema}}}


def _merged(*several: Errors) -> dict[int, list[str]]:
    merged: dict[int, list[str]] = {}
    for errors in several:
        for status, codes in errors.items():
            merged.setdefault(status, []).extend(code for code in codes if code not in merged[status])
    return dict(sorted(merged.items()))


def _problem(codes: Sequence[str]) -> Json:
    code = {"properties": {"code": {"enum": list(codes)}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, code]}
    described = " ".join(f"`{one}`: {SENTENCES[one]}" for one in codes)
    return {"description": described, "content": {"application/json": {"schema": schema}}}
