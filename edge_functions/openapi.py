"""The description that the service publishes: OpenAPI 3.1, made from what the functions declare."""

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from edge_functions.endpoint import CORS, PREFLIGHT, Errors, Function, problem
from edge_functions.errors import SENTENCES, ServiceError
from edge_functions.fields import Field, JsonSchema, Shape, integer, record, text, uuid
from edge_functions.identity.answers import COMMON, AuthRoute, Operation

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

_AUTH_ERROR = {
    "description": "As Supabase Auth's: the second with the header `x-supabase-api-version: 2024-01-01`.",
    "anyOf": [
        record({"code": integer(), "error_code": text(), "msg": text()}).schema,
        record({"code": text(), "message": text()}).schema,
    ],
}


class Description:
    """`GET /functions/v1/openapi.json`. For everybody: it says nothing that this repository does not."""

    def __init__(self, functions: Mapping[str, Function], routes: Iterable[AuthRoute]) -> None:
        self._text = json.dumps(document(functions, routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(1008)
            return
        await self._answer(scope["method"])(scope, receive, send)

    def _answer(self, method: str) -> Response:
        if method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT)
        if method != "GET":
            return problem(ServiceError(405, "method_not_allowed"))
        return Response(self._text, media_type="application/json", headers=CORS)


def document(functions: Mapping[str, Function], routes: Iterable[AuthRoute]) -> Json:
    """The whole description."""
    paths = {f"/functions/v1/{name}": _function(name, function) for name, function in functions.items()}
    paths |= {f"/auth/v1{route.path}": _route(route) for route in routes if ":path" not in route.path}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Coterie", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"session": _SESSION},
            "schemas": {"Error": _ERROR.schema, "AuthError": _AUTH_ERROR},
        },
    }


def _function(name: str, function: Function) -> Json:
    return {method.lower(): _call(name, function, method) for method in function.methods}


def _call(name: str, function: Function, method: str) -> Json:
    """A function by one of its methods."""
    operation: Json = {
        "operationId": name if method == "POST" else f"{name}_{method.lower()}",
        "tags": ["functions"],
        "summary": _first_line(sys.modules[function.handler.__module__].__doc__),
        "description": inspect.getdoc(function.handler) or "",
        "responses": _responses(
            function.success,
            record(function.gives) if function.gives else None,
            _problem,
            function.common,
            function.errors,
        ),
    }
    if method == "POST":
        operation["requestBody"] = _body(_closed(function.takes))
    elif function.takes:
        operation["parameters"] = _query(function.takes)
    if 401 not in function.common:
        operation["security"] = []
    return operation


def _route(route: AuthRoute) -> Json:
    operations = {method.lower(): _operation(one) for method, one in route.operations.items()}
    names = route.param_convertors
    if not names:
        return operations
    return {**operations, "parameters": [_parameter(name, "path", uuid()) for name in names]}


def _operation(one: Operation) -> Json:
    """A route by one of its methods."""
    described: Json = {
        "operationId": f"auth_{one.answer.__name__}",
        "tags": ["identity"],
        "summary": _first_line(inspect.getdoc(one.answer)),
        "responses": _responses(one.success, one.gives, _auth_problem, COMMON, one.errors),
        "parameters": _query(one.query),
    }
    if one.takes:
        described["requestBody"] = _body(one.takes.schema)
    if 401 not in one.errors:
        described["security"] = []
    return described


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _closed(takes: Mapping[str, Field]) -> JsonSchema:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "properties": {name: field.schema for name, field in takes.items()},
        "required": [name for name, field in takes.items() if field.required],
        "additionalProperties": False,
    }


def _body(schema: JsonSchema) -> Json:
    """An empty body is an empty object, so only one with required fields is required itself."""
    return {"required": bool(schema["required"]), "content": {"application/json": {"schema": schema}}}


def _query(fields: Mapping[str, Field]) -> list[Json]:
    return [_parameter(name, "query", field) for name, field in fields.items()]


def _parameter(name: str, place: str, field: Field) -> Json:
    return {"name": name, "in": place, "required": field.required, "schema": field.schema}


def _responses(
    success: int, gives: Shape | None, problem: Callable[[Sequence[str]], Json], *several: Errors
) -> Json:
    done: Json = {"description": "Done."}
    if gives:
        done["content"] = {"application/json": {"schema": gives.schema}}
    merged: dict[int, list[str]] = {}
    for errors in several:
        for status, codes in errors.items():
            merged.setdefault(status, []).extend(codes)
    return {str(success): done, **{str(status): problem(codes) for status, codes in sorted(merged.items())}}


def _problem(codes: Sequence[str]) -> Json:
    described = " ".join(f"`{one}`: {SENTENCES[one]}" for one in codes)
    code = {"properties": {"code": {"enum": list(codes)}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, code]}
    return {"description": described, "content": {"application/json": {"schema": schema}}}


def _auth_problem(codes: Sequence[str]) -> Json:
    named = {
        "anyOf": [
            {"properties": {name: {"enum": list(codes)}}, "required": [name]}
            for name in ("code", "error_code")
        ]
    }
    schema = {"allOf": [{"$ref": "#/components/schemas/AuthError"}, named]}
    described = ", ".join(f"`{one}`" for one in codes)
    return {"description": described, "content": {"application/json": {"schema": schema}}}
