from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import DependencyCycleError
from mnemosyne_core.work import WorkItem, dependency_order
from tests.core.work.building import item


@pytest.mark.parametrize(
    ("items", "order"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([item("b"), item("a")], ["b", "a"], id="independent-items-stay-as-given"),
        pytest.param([item("a", "b"), item("b")], ["b", "a"], id="dependency-first"),
        pytest.param(
            [item("d", "b", "c"), item("b", "a"), item("c", "a"), item("a")],
            ["a", "b", "c", "d"],
            id="diamond",
        ),
        pytest.param([item("a", "elsewhere")], ["a"], id="dependency-outside-of-the-batch"),
    ],
)
def test_dependencies_come_first(items: list[WorkItem], order: list[str]) -> None:
    assert [each.id for each in dependency_order(items)] == order


@pytest.mark.parametrize(
    ("items", "cycle"),
    [
        pytest.param([item("a", "b"), item("b", "a")], {"a", "b"}, id="two"),
        pytest.param([item("a", "b"), item("b", "c"), item("c", "a")], {"a", "b", "c"}, id="three"),
        pytest.param(
            [item("z", "a"), item("a", "b"), item("b", "a"), item("c")],
            {"a", "b"},
            id="others-are-not-named",
        ),
    ],
)
def test_a_cycle_is_named_in_waiting_order(items: list[WorkItem], cycle: set[str]) -> None:
    with pytest.raises(DependencyCycleError) as caught:
        dependency_order(items)

    found = caught.value.cycle
    waits_for = {each.id: each.dependencies for each in items}
    assert set(found) == cycle
    assert len(found) == len(cycle)
    for waiting, awaited in zip(found, (*found[1:], found[0]), strict=True):
        assert awaited in waits_for[waiting]


def test_a_long_chain_needs_no_deep_stack() -> None:
    chain = [item(f"i{n}", f"i{n - 1}") if n else item("i0") for n in range(3000)]

    ordered = dependency_order(reversed(chain))

    assert [each.id for each in ordered] == [each.id for each in chain]


@given(st.permutations(range(8)), st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_every_dependency_of_a_dag_precedes_its_item(
    arrival: list[int], edges: set[tuple[int, int]]
) -> None:
    # An edge from a higher to a lower number can close no circle.
    items = [
        item(f"i{n}", *(f"i{low}" for high, low in sorted(edges) if high == n and low < n))
        for n in arrival
    ]

    position = {each.id: place for place, each in enumerate(dependency_order(items))}

    assert len(position) == len(items)
    for each in items:
        assert all(position[dependency] < position[each.id] for dependency in each.dependencies)
