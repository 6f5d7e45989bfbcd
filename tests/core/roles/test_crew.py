"""Which agent takes which item, row by row of the table in the module; then any order at all."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import AgentUnavailableError
from mnemosyne_core.roles._crew import Crew


class Works:
    """A crew whose agents come when the test says so, and its items, each in a task."""

    def __init__(self, size: int) -> None:
        self.crew = Crew(size, start=self._start)
        self.called: list[tuple[int, int | None]] = []
        """Numbers of the agents that were to start, each with the event that led to it."""
        self.at_work: dict[str, int] = {}
        self.refusing: set[int] = set()
        self.order: list[str] = []
        """Items in the order in which an agent began with them."""
        self._tasks: dict[str, asyncio.Task[str]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def begin(self, *items: str) -> None:
        for item in items:
            self._ends[item] = asyncio.Event()
            self._tasks[item] = asyncio.create_task(self._have_done(item))
        await self.settle()

    async def end(self, item: str) -> None:
        self._ends[item].set()
        assert await self._tasks[item] == item
        await self.settle()

    async def cancel(self, item: str) -> None:
        self._tasks[item].cancel()
        await asyncio.wait((self._tasks[item],))
        await self.settle()

    async def refusal_of(self, item: str) -> AgentUnavailableError:
        with pytest.raises(AgentUnavailableError) as caught:
            await self._tasks[item]
        return caught.value

    def is_over(self, item: str) -> bool:
        return self._tasks[item].done()

    async def come(self, number: int) -> None:
        self.crew.came(number)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def _start(self, number: int, by: int | None) -> None:
        self.called.append((number, by))

    async def _have_done(self, item: str) -> str:
        async def work(number: int) -> str:
            if number in self.refusing:
                raise AgentUnavailableError(role="executor", reason=f"{number} is ill", hint="wait")
            assert number not in self.at_work.values(), f"agent {number} has two items at once"
            self.at_work[item] = number
            self.order.append(item)
            try:
                await self._ends[item].wait()
            finally:
                del self.at_work[item]
            return item

        return await self.crew.employ(work, by=len(self._tasks))


async def test_one_item_after_the_other_needs_one_agent() -> None:
    works = Works(3)
    for item in ("a", "b", "c"):
        await works.begin(item)
        assert works.at_work == {item: 0}
        await works.end(item)
    assert works.called == []


async def test_for_each_item_that_finds_all_at_work_one_agent_is_started() -> None:
    works = Works(4)
    await works.begin("a", "b", "c")

    assert [number for number, _ in works.called] == [1, 2]
    assert works.at_work == {"a": 0}
    await works.come(1)
    await works.come(2)
    assert works.at_work == {"a": 0, "b": 1, "c": 2}


async def test_a_start_says_which_event_led_to_it() -> None:
    works = Works(3)
    await works.begin("a")
    await works.begin("b")
    await works.begin("c")
    assert works.called == [(1, 2), (2, 3)]


async def test_an_item_goes_to_whoever_is_free_first() -> None:
    works = Works(2)
    await works.begin("a", "b")
    await works.end("a")
    assert works.at_work == {"b": 0}
    await works.come(1)
    await works.begin("c")
    assert works.at_work == {"b": 0, "c": 1}


async def test_the_lowest_free_number_comes_first() -> None:
    works = Works(3)
    await works.begin("a", "b", "c")
    await works.come(2)
    await works.come(1)
    for item in ("c", "b", "a"):
        await works.end(item)

    await works.begin("d", "e")
    assert works.at_work == {"d": 0, "e": 1}


async def test_beyond_the_last_agent_items_wait_first_come_first_served() -> None:
    works = Works(2)
    await works.begin("a", "b", "c", "d", "e")
    await works.come(1)
    assert [number for number, _ in works.called] == [1]
    await works.end("b")
    await works.end("a")
    assert works.at_work == {"c": 1, "d": 0}
    assert works.order == ["a", "b", "c", "d"]


async def test_an_item_that_is_taken_back_while_it_waits_takes_no_agent() -> None:
    works = Works(1)
    await works.begin("a", "b", "c")
    await works.cancel("b")
    await works.end("a")
    assert works.at_work == {"c": 0}


async def test_an_item_that_is_taken_back_as_it_gets_an_agent_leaves_it_to_the_next() -> None:
    works = Works(1)
    await works.begin("a", "b", "c")
    works._ends["a"].set()
    while not works.is_over("a"):
        await asyncio.sleep(0)
    works._tasks["b"].cancel()
    await works.settle()
    assert works.at_work == {"c": 0}


async def test_what_one_agent_refuses_another_one_does_before_what_came_later() -> None:
    works = Works(2)
    await works.begin("a", "b")
    await works.come(1)
    await works.begin("c", "d")
    works.refusing = {0}
    await works.end("a")
    assert works.at_work == {"b": 1}
    await works.end("b")
    assert works.at_work == {"c": 1}
    await works.end("c")
    assert works.at_work == {"d": 1}


async def test_nobody_is_started_while_one_refuses() -> None:
    works = Works(3)
    await works.begin("a", "b")
    works.refusing = {1}
    await works.come(1)
    await works.begin("c")
    assert works.called == [(1, 2)]
    assert works.at_work == {"a": 0}

    works.refusing = set()
    works.crew.look_again()
    await works.settle()
    assert works.at_work == {"a": 0, "b": 1}
    assert [number for number, _ in works.called] == [1, 2]


async def test_when_all_refuse_every_item_is_refused_with_the_first_one_s_reason() -> None:
    works = Works(2)
    await works.begin("a", "b")
    await works.come(1)
    await works.begin("c", "d")
    works.refusing = {0, 1}
    await works.end("a")
    assert not works.is_over("c")
    await works.end("b")

    first, second = await works.refusal_of("c"), await works.refusal_of("d")
    assert (first.role, first.reason, first.hint) == ("executor", "0 is ill", "wait")
    assert first is not second


async def test_who_refused_is_asked_again_once_something_has_changed() -> None:
    works = Works(1)
    works.refusing = {0}
    await works.begin("a")
    await works.refusal_of("a")
    works.refusing = set()
    await works.begin("b")
    await works.refusal_of("b")

    works.crew.look_again()
    await works.begin("c")
    assert works.at_work == {"c": 0}


async def test_an_agent_that_could_not_be_started_is_tried_again_for_the_next_item() -> None:
    works = Works(2)
    await works.begin("a", "b")
    works.crew.stayed_away(1)
    await works.settle()
    assert len(works.called) == 1, "not again and again for the same item"
    await works.begin("c")
    assert [number for number, _ in works.called] == [1, 1]
    await works.end("a")
    assert works.at_work == {"b": 0}


async def test_who_could_not_be_started_does_not_stand_in_the_way_of_others() -> None:
    works = Works(3)
    await works.begin("a", "b")
    works.crew.stayed_away(1)
    assert [number for number, _ in works.called] == [1, 2]


@given(st.data(), st.integers(1, 4))
def test_in_any_order_agents_have_one_item_each_and_every_item_ends(
    data: st.DataObject, size: int
) -> None:
    async def story() -> None:
        works = Works(size)
        begun: list[str] = []
        for _ in range(data.draw(st.integers(0, 25))):
            act = data.draw(st.sampled_from(("begin", "end", "cancel", "start", "refuse", "look")))
            starting = [number for number, _ in works.called]
            if act == "begin":
                begun.append(f"item {len(begun)}")
                await works.begin(begun[-1])
            elif act == "end" and works.at_work:
                await works.end(data.draw(st.sampled_from(sorted(works.at_work))))
            elif act == "cancel" and begun:
                await works.cancel(data.draw(st.sampled_from(begun)))
            elif act == "start" and starting:
                number = data.draw(st.sampled_from(starting))
                works.called = [each for each in works.called if each[0] != number]
                (works.crew.came if data.draw(st.booleans()) else works.crew.stayed_away)(number)
            elif act == "refuse":
                works.refusing ^= {data.draw(st.integers(0, size - 1))}
            elif act == "look":
                works.crew.look_again()
            await works.settle()
            assert len(works.at_work) <= size

        while works.at_work or works.called:
            called, works.called = works.called, []
            for number, _ in called:
                works.crew.stayed_away(number)
            for item in tuple(works.at_work):
                await works.end(item)
            await works.settle()
        assert all(map(works.is_over, begun))
        for task in works._tasks.values():
            if not task.cancelled():
                task.exception()

    asyncio.run(story())
