"""Fixtures for the crate's tests: the release as it is installed, and the test build with its hooks."""

from types import ModuleType
from typing import Any

import pytest

from tests.support import mls_hooks
from tests.support.mls_people import devices, group_of


@pytest.fixture(scope="session")
def hooks() -> ModuleType:
    return mls_hooks.load()


@pytest.fixture
def pair() -> tuple[Any, Any, bytes]:
    """Alice and Bob in a group."""
    alice, bob = devices("alice", "bob")
    return alice, bob, group_of(alice, bob)


@pytest.fixture
def liars(hooks: ModuleType) -> tuple[Any, Any, Any, bytes]:
    """Three devices of the test build in a group; Mallory follows no rule, the others do."""
    alice, bob, mallory = devices("alice", "bob", "mallory", crate=hooks)
    group_id = group_of(alice, bob, mallory)
    hooks.kat_relax(mallory)
    return alice, bob, mallory, group_id
