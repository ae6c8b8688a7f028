"""How messages gather into batches: a database that answers when the test says."""

import asyncio
from typing import Any

from edge_functions.appends import Append, Appends
from edge_functions.errors import ServiceError


class Database:
    """Batches that were asked for, by message id; each waits for its answer."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.answers: list[asyncio.Future[list[str | None]]] = []

    async def value(self, _statement: str, claims: str, *arrays: list[Any]) -> list[str | None]:
        """`send_messages_v1`."""
        groups, _epochs, ids, _counters, _bodies = arrays
        assert claims == f"[{','.join('{}' for _ in groups)}]"
        self.batches.append(ids)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    def answer(self, number: int) -> None:
        """Every message of this batch was appended."""
        self.answers[number].set_result([f"{one} stored" for one in self.batches[number]])


class Post:
    """Senders over such a database."""

    def __init__(self) -> None:
        self.database = Database()
        self.appends = Appends(self.database)  # type: ignore[arg-type]

    def send(self, *names: str, size: int = 10) -> list["asyncio.Task[str | None]"]:
        """Messages named group and number ("a1"), in one turn of the event loop."""
        return [
            asyncio.create_task(self.appends.send(Append("{}", name[0], 0, name, 1, bytes(size))))
            for name in names
        ]

    async def settle(self) -> list[list[str]]:
        """The batches that were asked for by now."""
        for _ in range(10):
            await asyncio.sleep(0)
        return self.database.batches


async def test_what_arrives_together_goes_together_and_each_gets_its_own_answer() -> None:
    post = Post()
    sent = post.send("a1", "b1", "a2")
    assert await post.settle() == [["a1", "a2", "b1"]]
    post.database.answer(0)
    assert await asyncio.gather(*sent) == ["a1 stored", "b1 stored", "a2 stored"]


async def test_a_group_is_in_one_batch_at_a_time_and_keeps_its_order() -> None:
    post = Post()
    post.send("a1")
    await post.settle()
    post.send("a2", "b1")
    assert await post.settle() == [["a1"], ["b1"]]
    post.send("a3")
    post.database.answer(0)
    assert await post.settle() == [["a1"], ["b1"], ["a2", "a3"]]


async def test_few_batches_run_at_a_time_and_the_others_gather() -> None:
    post = Post()
    for name in ("a1", "b1", "c1", "d1"):
        post.send(name)
        await post.settle()
    assert post.database.batches == [["a1"], ["b1"]]
    post.database.answer(1)
    assert await post.settle() == [["a1"], ["b1"], ["c1", "d1"]]


async def test_a_batch_is_bounded_in_groups_in_messages_and_in_bytes() -> None:
    many = Post()
    many.send(*[f"{chr(ord('a') + number)}1" for number in range(20)])
    assert [len(batch) for batch in await many.settle()] == [16, 4]
    post = Post()
    post.send(*[f"a{number}" for number in range(40)])
    assert [len(batch) for batch in await post.settle()] == [32]
    post.database.answer(0)
    assert [len(batch) for batch in await post.settle()] == [32, 8]
    large = Post()
    large.send("a1", "a2", size=400_000)
    large.send("b1", size=1_000_000)
    assert await large.settle() == [["a1"], ["b1"]]


async def test_an_answer_nobody_waits_for_and_one_that_is_not_given() -> None:
    """Whoever went away takes nothing from the others; null is handed on: it has to be asked by itself."""
    post = Post()
    gone, stays = post.send("a1", "a2")
    await post.settle()
    gone.cancel()
    post.database.answers[0].set_result(["a1 stored", None])
    assert await stays is None


async def test_when_the_database_is_away_everybody_hears_it_and_the_next_batch_is_tried() -> None:
    post = Post()
    sent = post.send("a1", "b1")
    await post.settle()
    post.database.answers[0].set_exception(ServiceError(503, "unavailable"))
    errors = await asyncio.gather(*sent, return_exceptions=True)
    assert [getattr(error, "code", None) for error in errors] == ["unavailable", "unavailable"]
    post.send("a2")
    assert await post.settle() == [["a1", "b1"], ["a2"]]


async def test_a_defect_in_a_batch_leaves_each_message_to_be_asked_by_itself() -> None:
    post = Post()
    sent = post.send("a1", "b1")
    await post.settle()
    post.database.answers[0].set_exception(RuntimeError("a constraint that nobody thought of"))
    assert await asyncio.gather(*sent) == [None, None]


async def test_too_few_answers_are_nobodys() -> None:
    """Each is asked by itself then: nobody waits for an answer that will not come."""
    post = Post()
    sent = post.send("a1", "a2")
    await post.settle()
    post.database.answers[0].set_result(["a1 stored"])
    assert await asyncio.gather(*sent) == [None, None]
