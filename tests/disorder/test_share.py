"""A share of `make disorder`: the same schedules in every run."""

import pytest

from tests.disorder import schedules

SEED = 20
SLICES, SIZE = 20, 12


@pytest.mark.parametrize("first", range(0, SLICES * SIZE, SIZE))
def test_all_agree_whatever_the_network_does(first: int) -> None:
    for number in range(first, first + SIZE):
        why = schedules.failure(SEED, number)
        assert not why, f"{why}\nagain: make disorder REPLAY={SEED}:{number}"
