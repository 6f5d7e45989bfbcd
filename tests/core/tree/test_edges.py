"""Input at the edge of what can be taken; it is refused or done, and never hurts the tree."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mnemosyne_core.bridge import BridgeSettings
from mnemosyne_core.errors import (
    DuplicateWorkItemError,
    InvalidWorkItemError,
    UnknownRoleError,
    UnknownTransportError,
)
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import WorkItem, WorkResult, WorkState
from tests.core.tree.cast import Call, Cast, done, refused
from tests.core.tree.laws import assert_lawful


def nested(levels: int) -> dict[str, Any]:
    value: Any = "inmost"
    for _ in range(levels - 1):
        value = [value]
    return {"c": value}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"context": {"n": 10**5000}}, id="number-too-long"),
        pytest.param({"context": {"t": "\ud800"}}, id="no-unicode"),
        pytest.param({"context": {"\ud800": 1}}, id="no-unicode-key"),
        pytest.param({"context": {"x": float("nan")}}, id="nan"),
        pytest.param({"context": nested(101)}, id="too-deep"),
        pytest.param({"context": nested(5000)}, id="far-too-deep"),
        pytest.param({"context": {1: 2}}, id="key-is-no-text"),
        pytest.param({"description": "\ud800"}, id="description-no-unicode"),
        pytest.param({"id": "a" * 201}, id="id-too-long"),
        pytest.param({"timeout_s": float("inf")}, id="endless"),
        pytest.param({1: 2}, id="field-is-no-text"),
    ],
)
async def test_what_could_not_be_read_back_is_refused_before_it_is_stored(
    cast: Cast, item: dict[Any, Any]
) -> None:
    async with cast.tree() as tree:
        before = tree.journal.last_seq
        with pytest.raises(InvalidWorkItemError):
            await tree.submit({"description": "x"} | item)
        assert tree.journal.last_seq == before
        assert tree.children()[-1].incarnation == 1


@pytest.mark.parametrize(
    "changes",
    [{"priority": 99}, {"timeout_s": -1.0}, {"description": ""}, {"id": "a/b"}],
    ids=lambda changes: next(iter(changes)),
)
async def test_an_item_that_was_copied_with_bad_values_is_refused(
    cast: Cast, changes: dict[str, Any]
) -> None:
    item = WorkItem(id="a", description="x").model_copy(update=changes)
    async with cast.tree() as tree:
        with pytest.raises(InvalidWorkItemError):
            await tree.submit(item)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"id": "i" * 200}, id="longest-id"),
        pytest.param({"context": nested(100)}, id="deepest-context"),
        pytest.param({"context": {"n": 2**70, "x": -0.0}}, id="large-number"),
        pytest.param({"description": "a\x00b \U0001f9e0"}, id="odd-characters"),
        pytest.param({"timeout_s": 1e300}, id="very-patient"),
        pytest.param({"max_attempts": 10**30}, id="very-persistent"),
    ],
)
async def test_an_item_at_the_edge_goes_all_the_way_and_can_be_read_back(
    cast: Cast, tmp_path: Path, item: dict[str, Any]
) -> None:
    cast.verdicts = [refused("no docstring")]
    config = SupervisionConfig(database=tmp_path / "tree.db")
    async with cast.tree(config) as tree:
        handle = await tree.submit({"description": "x"} | item)
        assert (await handle.result(timeout=5)).success
        assert [child.incarnation for child in tree.children()] == [1, 1, 1, 1]
        assert_lawful(tree)
    async with Cast().tree(config) as tree:
        assert (await tree.handle(handle.id).result(timeout=5)).attempt == 2


async def test_an_id_of_an_earlier_run_is_taken_and_its_result_can_still_be_had(
    cast: Cast, tmp_path: Path
) -> None:
    config = SupervisionConfig(database=tmp_path / "tree.db")
    async with cast.tree(config) as tree:
        await (await tree.submit({"id": "a", "description": "x"})).result(timeout=5)

    async with Cast().tree(config) as tree:
        with pytest.raises(DuplicateWorkItemError):
            await tree.submit({"id": "a", "description": "x"})
        assert (await tree.handle("a").result(timeout=5)).success


async def test_an_item_that_was_cancelled_in_an_earlier_run_is_no_success(
    cast: Cast, tmp_path: Path
) -> None:
    config = SupervisionConfig(database=tmp_path / "tree.db")
    cast.reviewer.answer = forever
    async with cast.tree(config) as tree:
        handle = await tree.submit({"id": "a", "description": "x"})
        await tree.state.wait_until(lambda s: s.items["a"].state is WorkState.REVIEWING, 5)
        assert tree.state.snapshot().items["a"].result is not None
        await handle.cancel()

    async with Cast().tree(config) as tree:
        result = await tree.handle("a").result(timeout=5)
    assert result.error is not None
    assert result.error.code == "cancelled"


async def test_what_was_made_is_kept_when_the_review_fails(cast: Cast) -> None:
    async def no_verdict(call: Call) -> WorkResult:
        return done(call, "looks fine to me")

    cast.reviewer.answer = no_verdict
    async with cast.tree() as tree:
        handle = await tree.submit({"description": "x", "max_attempts": 1})
        result = await handle.result(timeout=5)
    assert result.error is not None
    assert result.error.code == "unusable_answer"
    assert result.data == "done"


async def test_a_submission_of_nothing_is_nothing(cast: Cast) -> None:
    async with cast.tree() as tree:
        before = tree.journal.last_seq
        assert await tree.submit_all([]) == ()
        assert tree.journal.last_seq == before


async def forever(call: Call) -> WorkResult:
    await asyncio.Event().wait()
    return done(call)


def test_an_agent_for_a_role_that_does_not_exist_is_refused(cast: Cast) -> None:
    with pytest.raises(UnknownRoleError, match="'exectuor'; the roles are"):
        SupervisionTree(agents={"exectuor": lambda place: cast.executor})  # type: ignore[dict-item]


async def test_a_transport_that_nobody_offers_is_refused_before_anybody_starts(cast: Cast) -> None:
    tree = cast.tree(SupervisionConfig(bridge=BridgeSettings(transport="pigeon")))
    with pytest.raises(UnknownTransportError, match=r"'pigeon'; there are: task, subprocess;"):
        await tree.start()

    assert not tree.is_running
