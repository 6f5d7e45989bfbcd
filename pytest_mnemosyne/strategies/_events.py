"""Facts of every kind, and events around them."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any, get_args

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.events import Event, Fact, Occasion, PhaseChanged
from mnemosyne_core.work import AgentRole, Phase
from pytest_mnemosyne.strategies._texts import (
    EPOCH,
    agent_paths,
    counts,
    durations_s,
    item_ids,
    texts,
)
from pytest_mnemosyne.strategies._work import failures, usages, verdicts, work_items, work_results


def facts() -> SearchStrategy[Fact]:
    """A fact of any kind, with every field legal.

    What one fact says of another (the item of a result, the incarnation of a child) fits by
    chance only; `event_streams` tells stories that make sense. Shrinks to `TreeStarted`.
    """
    return st.one_of(*_by_kind().values())


@cache
def _by_kind() -> dict[str, SearchStrategy[Fact]]:
    """Facts of each kind, from the fields that its class has."""
    kinds: tuple[type[Any], ...] = get_args(get_args(Fact)[0])
    fields = _fields()
    return {
        kind.model_fields["kind"].default: (
            phase_changes()
            if kind is PhaseChanged
            else st.builds(
                kind, **{name: fields[name] for name in kind.model_fields.keys() - _KIND}
            )
        )
        for kind in kinds
    }


_KIND = {"kind"}


def _fields() -> dict[str, SearchStrategy[Any]]:
    """Legal values for each field of a fact; fields of one name are alike in all of them."""
    at_least_one = st.integers(1, 9)
    amounts = st.integers(0, 1_000_000).map(float)
    return {
        "abnormal": st.booleans(),
        "blocked_s": durations_s(),
        "child": agent_paths(),
        "deadline_s": durations_s(),
        "delay_s": durations_s(),
        "error": failures(),
        "errors": at_least_one,
        "guidance": st.lists(texts(), max_size=2).map(tuple),
        "in_a_row": at_least_one,
        "incarnation": at_least_one,
        "item": work_items(),
        "item_id": item_ids(),
        "leaked": counts(),
        "limit": amounts,
        "max_restarts": counts(),
        "message": texts(),
        "needed": amounts,
        "not_before": st.none() | _moments(),
        "occasion": st.sampled_from(Occasion),
        "open_s": durations_s(),
        "period_s": durations_s(),
        "provider": texts(),
        "reason": st.text(max_size=16),
        "result": work_results(),
        "retry": at_least_one,
        "role": st.sampled_from(AgentRole),
        "shutdown_s": durations_s(),
        "spent": amounts,
        "stack": texts(),
        "silent_s": st.floats(1.0, 600.0),
        "supervisor": agent_paths(),
        "tries_again": st.booleans(),
        "unit": st.sampled_from(("tokens", "money")),
        "usage": usages(),
        "verdict": verdicts(),
        "wait_s": durations_s(),
        "worker": agent_paths(),
    }


def phase_changes() -> SearchStrategy[PhaseChanged]:
    """Steps from one phase to the one that may follow it."""
    steps = [(phase, after) for phase in Phase for after in phase.successors]
    return st.sampled_from(steps).map(
        lambda step: PhaseChanged(previous=step[0], phase=step[1]),
    )


def events() -> SearchStrategy[Event]:
    """Single events around a fact of any kind, each caused by an earlier one or by none.

    Never a cause that comes after its effect. Shrinks to the start of a tree as event 1.
    """
    return st.builds(_event, st.integers(1, 1000), st.integers(0, 1000), facts(), _places())


def _places() -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "at": _moments(),
            "agent": agent_paths() | st.just("tree"),
            "attempt": st.integers(1, 9),
        }
    )


def _moments() -> SearchStrategy[datetime]:
    return durations_s().map(lambda passed_s: EPOCH + timedelta(seconds=passed_s))


def _event(seq: int, back: int, fact: Fact, place: dict[str, Any]) -> Event:
    return Event(seq=seq, by=seq - back if 0 < back < seq else None, fact=fact, **place)
