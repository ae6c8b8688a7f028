"""Holds answers against what their function declares (edge_functions/fields.py)."""

import functools
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from edge_functions.app import FUNCTIONS
from edge_functions.fields import record

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def hold(function: str, status: int, body: Mapping[str, Any]) -> None:
    """An answer has exactly the declared fields, an error is one of the declared ones."""
    declared = FUNCTIONS.get(function)
    if declared is None:
        assert (status, body["code"]) == (404, "unknown_function")
    elif status == declared.success:
        _validator(function).validate(dict(body))
    else:
        codes = [*declared.common.get(status, ()), *declared.errors.get(status, ())]
        assert body["code"] in codes, f"{function} does not declare {status} {body['code']}"


@functools.cache
def _validator(function: str) -> Any:
    return jsonschema_rs.validator_for(
        {"$schema": DIALECT, **_closed(record(FUNCTIONS[function].gives).schema)}
    )


def _closed(schema: Any) -> Any:
    """The same, and nothing that is not declared: clients ignore it, we should know of it."""
    if isinstance(schema, Mapping):
        closed = {name: _closed(value) for name, value in schema.items()}
        if "properties" in schema:
            closed["additionalProperties"] = False
        return closed
    return [_closed(one) for one in schema] if isinstance(schema, list | tuple) else schema
