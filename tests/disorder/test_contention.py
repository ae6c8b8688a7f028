"""A share of the contention of `make disorder`, against the real service."""

from collections.abc import Callable

from tests.disorder import crowd
from tests.support.server import Service


async def test_of_all_who_commit_at_once_one_wins_and_all_get_their_turn(
    make_service: Callable[..., Service],
) -> None:
    figures = await crowd.run(make_service(**crowd.UNPACED).url, rounds=4, members=8, lines=5)
    assert figures.hold, str(figures)
