"""Histories: streams of events that a tree could have written.

A history is drawn as a list of moves, which are then told one after the other. A move that
nothing fits is passed over, so whatever the shrinker leaves out, what remains is a history.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.events import Event
from mnemosyne_core.work import (
    AgentRole,
    Decision,
    Failure,
    Gate,
    Usage,
    Verdict,
    WorkItem,
    WorkResult,
)
from pytest_mnemosyne.strategies._tale import Tale
from pytest_mnemosyne.strategies._tale_actors import Mishap, Parting
from pytest_mnemosyne.strategies._tale_agents import REPLACED_AT
from pytest_mnemosyne.strategies._tale_calls import Fate
from pytest_mnemosyne.strategies._work import failures

_WORKERS = (AgentRole.EXECUTOR, AgentRole.REVIEWER, AgentRole.OPTIMIZER)
_PAUSES_MS = (0, 1, 1_000, 60_000)

# What decides the way of an item varies, and nothing else: whatever each move draws, the
# shrinker has to get rid of again.
_RESULTS = (
    WorkResult(item_id="item", success=True, usage=Usage(input_tokens=7, output_tokens=3)),
    WorkResult(item_id="item", success=False, error=Failure(code="crash", message="it broke")),
    WorkResult(
        item_id="item",
        success=False,
        error=Failure(code="refusal", message="it declined", retryable=False),
    ),
)
_VERDICTS = (
    Verdict(decision=Decision.APPROVE, gates={Gate.TESTS: True}, confidence=0.9),
    Verdict(decision=Decision.REVISE, gates={}, confidence=0.5, issues=("no tests",)),
    Verdict(decision=Decision.REJECT, gates={}, confidence=0.5, issues=("not this",)),
)

_Move = Callable[[Tale], object]


def event_streams(*, max_moves: int = 24) -> SearchStrategy[list[Event]]:
    """Histories of one run of a tree, from its start on: what its journal might hold.

    Numbers count from 1 without a gap, causes come before their effects, time never goes back.
    Items are claimed after what they depend on, under attempt numbers that count; a result is
    reviewed where its item wants that; an item ends once, and what waited for one that failed
    fails with it. Agents start, err, fall silent and are replaced; their calls of Claude are
    retried, held up, refused; actors crash and come back, until the tree gives up; every kind
    of fact occurs. Histories break no invariant of `pytest_mnemosyne.simulation.invariants`
    under the bounds of a `SupervisionConfig()`, but leave people behind. Each beginning of a
    history is one, too, as if the process had been killed. Never two runs. Shrinks to the
    start of the tree alone, and to the moves that matter.

    Args:
        max_moves: How many things happen at most; each is worth some one to six events.
    """
    moves = st.lists(st.tuples(st.sampled_from(_PAUSES_MS), _moves()), max_size=max_moves // 2)
    endings = st.sampled_from((None, Tale.stop, Tale.crash_on))
    # Two lists, because Hypothesis makes most lists short, and work takes several moves.
    return st.builds(
        lambda first, then, ending: _told([*first, *then], ending), moves, moves, endings
    )


def _told(moves: Iterable[tuple[int, _Move]], ending: _Move | None) -> list[Event]:
    tale = Tale()
    for passed_ms, move in moves:
        if tale.is_over:
            break
        tale.wait(passed_ms)
        move(tale)
    if ending is not None and not tale.is_over:
        ending(tale)
    return tale.events


@cache
def _moves() -> SearchStrategy[_Move]:
    """What may happen: one time in three something else than work, which takes several moves."""
    which = st.integers(0, 5)
    errors = failures()
    work = _calls(
        Tale.work,
        which=which,
        item=_items(),
        back=st.frozensets(st.integers(1, 4), max_size=2),
        fates=st.lists(st.sampled_from(Fate), max_size=2),
        result=st.sampled_from(_RESULTS),
        verdict=st.sampled_from(_VERDICTS),
    )
    rest = st.one_of(
        _calls(Tale.beat, which=which),
        _calls(Tale.advance),
        _calls(Tale.block_loop),
        _calls(Tale.cancel, which=which),
        _calls(Tale.block, which=which),
        _calls(Tale.err, which=which, error=errors, times=st.integers(1, REPLACED_AT)),
        _calls(Tale.recover, which=which),
        _calls(Tale.lose_agent, which=which, error=errors),
        _calls(Tale.fall_silent, which=which, dies=st.booleans()),
        _calls(
            Tale.crash,
            which=which,
            mishaps=st.lists(st.sampled_from(Mishap), max_size=2, unique=True),
        ),
        _calls(Tale.replace, which=which, parting=st.sampled_from(Parting)),
        _calls(Tale.end_leak, which=which),
    )
    return st.integers(0, 2).flatmap(lambda kind: rest if kind == 2 else work)


def _items() -> SearchStrategy[WorkItem]:
    return st.builds(
        WorkItem,
        id=st.just("item"),
        description=st.just("do it"),
        role=st.sampled_from(_WORKERS),
        priority=st.sampled_from((5, 9)),
        max_attempts=st.sampled_from((3, 1)),
        review=st.booleans().map(operator.not_),
    )


def _calls(method: Callable[..., None], **arguments: SearchStrategy[Any]) -> SearchStrategy[_Move]:
    return st.fixed_dictionaries(arguments).map(lambda chosen: partial(method, **chosen))
