from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemosyne_core.errors import DependencyCycleError, UnknownDependencyError, UsageError
from mnemosyne_core.work import AgentRole, WorkItem, WorkQueue, dependency_order
from pytest_mnemosyne.strategies import cyclic_work_graphs, dangling_work_graphs, work_graphs
from tests.strategies.finding import check_reach, simplest

some = settings(max_examples=30)


@some
@given(work_graphs())
def test_a_graph_can_be_submitted_at_once(items: list[WorkItem]) -> None:
    assert WorkQueue().add(items) == ()


@some
@given(work_graphs(max_size=8), st.data())
def test_a_queue_never_hands_out_an_item_before_what_it_depends_on(
    items: list[WorkItem], data: st.DataObject
) -> None:
    queue = WorkQueue()
    queue.add(items)
    completed: set[str] = set()
    held = []

    while len(queue):
        claim = queue.claim(now_s=0.0, worker="executor", lease_s=60.0)
        if claim is not None:
            assert completed.issuperset(claim.item.dependencies)
            held.append(claim.item.id)
        if claim is None or data.draw(st.booleans(), label="complete one"):
            done = held.pop(data.draw(st.integers(0, len(held) - 1), label="which"))
            queue.complete(done, attempt=1)
            completed.add(done)

    assert completed == {item.id for item in items}


@some
@given(work_graphs())
def test_the_order_of_dependencies_exists_for_a_graph(items: list[WorkItem]) -> None:
    placed: set[str] = set()
    for item in dependency_order(items):
        assert placed.issuperset(item.dependencies)
        placed.add(item.id)


def test_graphs_differ_in_size_depth_and_order() -> None:
    def features(items: list[WorkItem]) -> Iterator[str]:
        yield f"{len(items)} items"
        yield from (f"{len(item.dependencies)} dependencies" for item in items)
        if items[0].dependencies:
            yield "one before what it waits for"

    check_reach(
        work_graphs(max_size=4),
        {
            *(f"{number} items" for number in (1, 2, 3, 4)),
            *(f"{number} dependencies" for number in (0, 1, 2, 3)),
            "one before what it waits for",
        },
        features,
    )


def test_a_graph_shrinks_to_few_items_in_their_order() -> None:
    found = simplest(work_graphs(), lambda items: any(item.dependencies for item in items))

    assert found == [
        WorkItem(id="item-1", description="0"),
        WorkItem(id="item-2", description="0", dependencies=("item-1",)),
    ]


@some
@given(work_graphs(min_size=3, max_size=3, role=AgentRole.REVIEWER))
def test_size_and_fields_of_a_graph_can_be_pinned(items: list[WorkItem]) -> None:
    assert [item.role for item in items] == [AgentRole.REVIEWER] * 3


@settings(max_examples=40)
@given(cyclic_work_graphs())
def test_a_circle_is_refused_and_is_the_one_that_was_drawn(
    case: tuple[list[WorkItem], tuple[str, ...]],
) -> None:
    items, cycle = case

    with pytest.raises(DependencyCycleError) as caught:
        WorkQueue().add(items)

    found = caught.value.cycle
    start = found.index(cycle[0])
    assert (*found[start:], *found[:start]) == cycle


@some
@given(cyclic_work_graphs())
def test_without_the_circle_the_rest_is_a_graph(
    case: tuple[list[WorkItem], tuple[str, ...]],
) -> None:
    items, cycle = case
    broken = [
        item.model_copy(update={"dependencies": ()}) if item.id == cycle[0] else item
        for item in items
    ]

    assert WorkQueue().add(broken) == ()


def test_the_simplest_circle_is_two_items() -> None:
    items, cycle = simplest(cyclic_work_graphs())

    assert cycle == ("item-1", "item-2")
    assert [(item.id, item.dependencies) for item in items] == [
        ("item-1", ("item-2",)),
        ("item-2", ("item-1",)),
    ]


@some
@given(dangling_work_graphs())
def test_a_dangling_dependency_is_refused_with_its_name(case: tuple[list[WorkItem], str]) -> None:
    items, missing = case

    with pytest.raises(UnknownDependencyError) as caught:
        WorkQueue().add(items)

    assert caught.value.missing == (missing,)


@some
@given(dangling_work_graphs())
def test_a_dangling_graph_lacks_nothing_else(case: tuple[list[WorkItem], str]) -> None:
    items, missing = case

    assert WorkQueue().add([*items, WorkItem(id=missing, description="here")]) == ()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param({"min_size": 3, "max_size": 2}, "from 3 to 2 items", id="sizes"),
        pytest.param({"min_size": -1}, "from -1 to 6 items", id="negative"),
        pytest.param({"id": "a"}, "gives its items their id", id="id"),
        pytest.param({"colour": "red"}, "no field is called colour", id="field"),
    ],
)
def test_what_makes_no_graph_is_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        work_graphs(**options)  # type: ignore[arg-type]
