"""What the core's tests begin with."""

import pytest

from coterie.core import causes
from tests.support.post_office import PostOffice


@pytest.fixture
def office() -> PostOffice:
    return PostOffice()


@pytest.fixture(autouse=True)
def _no_unknown_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that is not in the table of causes fails the test that brings it up."""
    monkeypatch.setattr(causes, "UNKNOWN", None)
