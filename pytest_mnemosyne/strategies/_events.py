"""Facts of every kind, and events around them."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any, get_args

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.events import Event, Fact, PhaseChanged
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
    return {
        "abnormal": st.booleans(),
        "child": agent_paths(),
        "error": failures(),
        "errors": at_least_one,
        "guidance": st.lists(texts(), max_size=2).map(tuple),
        "incarnation": at_least_one,
        "item": work_items(),
        "item_id": item_ids(),
        "max_restarts": counts(),
        "message": texts(),
        "period_s": durations_s(),
        "reason": st.text(max_size=16),
        "result": work_results(),
        "role": st.sampled_from(AgentRole),
        "shutdown_s": durations_s(),
        "supervisor": agent_paths(),
        "usage": usages(),
        "verdict": verdicts(),
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
            "at": durations_s().map(lambda passed_s: EPOCH + timedelta(seconds=passed_s)),
            "agent": agent_paths() | st.just("tree"),
            "attempt": st.integers(1, 9),
        }
    )


def _event(seq: int, back: int, fact: Fact, place: dict[str, Any]) -> Event:
    return Event(seq=seq, by=seq - back if 0 < back < seq else None, fact=fact, **place)
