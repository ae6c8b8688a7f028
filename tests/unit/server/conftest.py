"""A hub over a log in memory."""

from dataclasses import replace

import pytest

from edge_functions.hub import Hub
from edge_functions.settings import Settings
from tests.support.hub import Log


@pytest.fixture
def log() -> Log:
    """An empty log."""
    return Log()


@pytest.fixture
def hub(log: Log) -> Hub:
    """A hub that asks it, and hears what `append` says."""
    return Hub(log, replace(Settings(), listen_retry_seconds=0.001))  # type: ignore[arg-type]
