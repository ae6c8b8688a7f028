"""What the core's tests begin with."""

import pytest

from tests.support.post_office import PostOffice


@pytest.fixture
def office() -> PostOffice:
    return PostOffice()
