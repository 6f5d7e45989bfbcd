"""Fault plans: what goes wrong with Claude and in a system, searched and shrunk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.faults import (
    KINDS,
    Address,
    Crash,
    Fault,
    FaultPlan,
    Place,
    PlannedFault,
    ProviderFault,
    Status,
)
from pytest_mnemosyne.wire import ERROR_KINDS

_STATUSES = (529, 429, 500, *sorted(ERROR_KINDS.keys() - {529, 429, 500}), 502)
_DELAYS_S = (0.0, 0.5, 1.0, 30.0, 600.0)
_MOMENTS = ("message", "sent", "start", "idle", "received", "stopping")
"""When in a life, likely ones first."""

_SIMPLEST = (Status, Crash)
_LEFT_OUT = {"message", "up_to_s"}
"""What is for people only, and what leaves a fault to chance."""

_FAR_EVENT = 12


def fault_plans(
    *,
    places: Collection[Place] = (Place.PROVIDER,),
    agents: Sequence[str] = (),
    streamed: bool | None = None,
    max_size: int = 3,
    max_call: int = 5,
) -> SearchStrategy[FaultPlan]:
    """Plans of few faults of every kind that there is at some places, calls of Claude by default.

    Every fault is optional, since a search does not know what a test will meet, and strikes
    three times at most, so that a system has a chance to recover. Never left to chance: what
    strikes follows from the plan. Never for one type of message or one sender alone. Shrinks
    to fewer faults, to simpler ones (a plain 529 first, then a crash), which strike once, and
    later: at call `max_call`.

    Args:
        places: Where in a system things go wrong; `tuple(Place)` is everywhere.
        agents: Paths or globs to strike, of supervisors too where they may die; without any,
            whoever comes by.
        streamed: Whether the answers of the test are streams; `None`: some are.
        max_size: How many faults a plan has at most.
        max_call: How many calls, or messages, starts, ..., there may be before a fault
            strikes, counting its own.

    Raises:
        UsageError: There is no such place, or none was named.
    """
    kinds = [kind for kind in _kinds_at(places) if _can_happen(kind, streamed=streamed)]
    planned = st.one_of(
        *(_planned(kind, agents=agents, max_call=max_call, streamed=streamed) for kind in kinds)
    )
    return st.lists(planned, max_size=max_size).map(lambda found: FaultPlan(tuple(found)))


def _kinds_at(places: Collection[Place]) -> list[type[Fault]]:
    """The kinds of faults at these places, simple ones first."""
    wanted, known = set(places), ", ".join(Place)
    if not wanted:
        raise UsageError(f"faults happen at some place; name one or more of {known}")
    if strange := wanted - set(Place):
        named = ", ".join(sorted(map(repr, strange)))
        raise UsageError(f"nothing goes wrong at {named}; there are {known}")
    kinds = [kind for kind in KINDS.values() if kind.place in wanted]
    return sorted(kinds, key=lambda kind: (kind not in _SIMPLEST, bool(fields(kind))))


def _can_happen(kind: type[Fault], *, streamed: bool | None) -> bool:
    if streamed is None or not issubclass(kind, ProviderFault):
        return True
    return kind.answers != ("whole" if streamed else "streamed")


def _planned(
    kind: type[Fault],
    *,
    agents: Sequence[str],
    max_call: int,
    streamed: bool | None,
) -> SearchStrategy[PlannedFault]:
    optional: dict[str, SearchStrategy[Any]] = {"count": st.integers(1, 3)}
    required: dict[str, SearchStrategy[Any]] = {"call": _late(max_call)}
    if agents:
        required["agent"] = st.sampled_from(agents)
    if issubclass(kind, ProviderFault):
        if kind.events == "must":
            required["stream_event"] = _late(_FAR_EVENT)
        elif kind.events == "may" and streamed is not False:
            optional["stream_event"] = _late(_FAR_EVENT)
    addresses = st.fixed_dictionaries(required, optional=optional)
    return st.builds(
        lambda fault, where: PlannedFault(fault, Address(**where), optional=True),
        _statuses() if kind is Status else _faults(kind),
        addresses,
    )


def _late(last: int) -> SearchStrategy[int]:
    """Places from 1 on; shrinks to the last one."""
    return st.integers(0, last - 1).map(lambda before: last - before)


# --- faults ----------------------------------------------------------------------------


def _statuses() -> SearchStrategy[Fault]:
    chosen: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"status": st.sampled_from(_STATUSES)},
        optional={
            "retry_after": st.sampled_from((0, 1, 0.5, 60, "soon")),
            "should_retry": st.booleans(),
        },
    )
    return chosen.map(lambda given: Status(**given))


def _faults(kind: type[Fault]) -> SearchStrategy[Fault]:
    """Faults of one kind, from the fields that its class has, simple ones first."""
    values = _values()
    drawn = {
        field.name: _moments(kind) if field.name == "at" else values[field.name]
        for field in fields(kind)
        if field.name not in _LEFT_OUT
    }
    return st.builds(kind, **drawn)


def _moments(kind: type[Fault]) -> SearchStrategy[str]:
    # Every kind with an `at` says so, those of actors and those of processes alike.
    known: Collection[str] = kind.moments  # type: ignore[attr-defined]
    return st.sampled_from([moment for moment in _MOMENTS if moment in known])


def _values() -> dict[str, SearchStrategy[Any]]:
    """Legal values for each field of a fault; fields of one name are alike in all of them."""
    delays = st.sampled_from(_DELAYS_S)
    return {
        "by_s": delays,
        "delay_s": delays,
        "error_type": st.sampled_from(("overloaded_error", "api_error")),
        "exit_code": st.sampled_from((1, 0, 137)),
        "flaw": st.sampled_from(("json", "name", "utf8")),
        "for_s": delays,
        "how": st.sampled_from(("crash", "cancel")),
        "lines": st.sampled_from((10, 1, 1000)),
        "major": st.sampled_from((99, 2)),
        "per_s": st.sampled_from((1.0, 0.1, 10.0)),
        "text": st.sampled_from(("Traceback (most recent call last):\n", "\x00", "{}\n")),
        "within_s": delays,
    }
