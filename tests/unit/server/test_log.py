"""What a line of the log says, and what it never does."""

import json
import logging
import sys

from edge_functions.log import JsonLines, TextLines, request_id

SECRET = "row of somebody"


def record(message: str, *, name: str = "edge_functions", **more: object) -> logging.LogRecord:
    """A record, as a logger makes it."""
    made = logging.LogRecord(name, logging.ERROR, "somewhere.py", 1, message, (), None)
    made.__dict__.update(more)
    return made


def failed() -> "tuple[object, ...]":
    """What `exc_info` is of an error with a cause."""
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        return sys.exc_info()


def test_an_error_is_told_by_type_and_place_and_never_by_its_text() -> None:
    """In asyncio's and uvicorn's lines too, which name it in their own way."""
    places = f'  File "x.py", line 3, in f\n    raise E("{SECRET}")\n'
    traceback = f"Traceback (most recent call last):\n{places}E: {SECRET}\n"
    for one in (
        record("answering", exc_info=failed()),
        record(f"Task exception was never retrieved\nfuture: {SECRET}", name="asyncio", exc_info=failed()),
        record(traceback, name="uvicorn.error"),
    ):
        for line in (JsonLines().format(one), TextLines().format(one)):
            assert SECRET not in line
            assert ".py" in line
    assert json.loads(JsonLines().format(record(traceback, name="uvicorn.error")))["event"] == "E"


def test_lines_of_json_stay_lines() -> None:
    token = request_id.set("abc")
    try:
        line = JsonLines().format(record('two\nlines "quoted"', fields={"function": "f"}))
    finally:
        request_id.reset(token)
    assert "\n" not in line
    said = json.loads(line)
    assert said.pop("time").endswith("Z")
    assert said == {
        "level": "error", "event": "two", "request": "abc", "function": "f", "detail": 'lines "quoted"',
    }  # fmt: skip
