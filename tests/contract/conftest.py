"""Whatever a test here asks, the answer must be one that the function declares."""

from importlib.util import find_spec
from typing import Any

import pytest

from tests.support.caller import Answer, Device


@pytest.fixture(autouse=True)
def declared_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of a function by a test's device is held against its declaration."""
    if find_spec("jsonschema_rs") is None:
        return  # beside Supabase's clients, where its pins leave no room for it
    from tests.support.declared import hold  # noqa: PLC0415

    ask = Device.call

    async def call(device: Device, function: str, /, **body: Any) -> Answer:
        answer = await ask(device, function, **body)
        hold(function, answer.status, answer.body)
        return answer

    monkeypatch.setattr(Device, "call", call)
