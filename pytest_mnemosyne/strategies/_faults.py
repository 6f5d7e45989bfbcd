"""Fault plans: what goes wrong between a system and Claude, searched and shrunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_mnemosyne.simulation.faults import (
    PROVIDER_FAULTS,
    Address,
    Drip,
    ErrorEvent,
    FaultPlan,
    Late,
    Malformed,
    PlannedFault,
    ProviderFault,
    Status,
)
from pytest_mnemosyne.wire import ERROR_KINDS

_STATUSES = (529, 429, 500, *sorted(ERROR_KINDS.keys() - {529, 429, 500}), 502)
_DELAYS_S = (0.0, 0.5, 1.0, 30.0, 600.0)
_FAR_EVENT = 12


def fault_plans(
    *,
    agents: Sequence[str] = (),
    streamed: bool | None = None,
    max_size: int = 3,
    max_call: int = 5,
) -> SearchStrategy[FaultPlan]:
    """Plans of few faults of every kind, each at an address where it can strike.

    Every fault is optional, since a search does not know what a test will meet, and strikes
    three times at most, so that a system has a chance to recover. Never left to chance: what
    strikes follows from the plan. Shrinks to fewer faults, to simpler ones (a plain 529 first),
    which strike once, and later: at call `max_call`.

    Args:
        agents: Paths or globs to strike; without any, whoever makes the call.
        streamed: Whether the answers of the test are streams; `None`: some are.
        max_size: How many faults a plan has at most.
        max_call: How many calls there may be before a fault strikes, counting its own.
    """
    planned = st.one_of(
        *(
            _planned(faults, kind, agents=agents, max_call=max_call, streamed=streamed)
            for kind, faults in _faults().items()
            if _can_happen(kind, streamed=streamed)
        )
    )
    return st.lists(planned, max_size=max_size).map(lambda found: FaultPlan(tuple(found)))


def _faults() -> dict[type[ProviderFault], SearchStrategy[ProviderFault]]:
    """The faults of each kind, simple ones first."""
    delays = st.sampled_from(_DELAYS_S)
    statuses: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"status": st.sampled_from(_STATUSES)},
        optional={
            "retry_after": st.sampled_from((0, 1, 0.5, 60, "soon")),
            "should_retry": st.booleans(),
        },
    )
    with_fields: dict[type[ProviderFault], SearchStrategy[ProviderFault]] = {
        Status: statuses.map(lambda chosen: Status(**chosen)),
        Late: delays.map(Late),
        Drip: delays.map(Drip),
        ErrorEvent: st.sampled_from(("overloaded_error", "api_error")).map(ErrorEvent),
        Malformed: st.sampled_from((Malformed("json"), Malformed("name"), Malformed("utf8"))),
    }
    plain = {kind: st.builds(kind) for kind in PROVIDER_FAULTS if not fields(kind)}
    return {Status: with_fields.pop(Status), **plain, **with_fields}


def _can_happen(kind: type[ProviderFault], *, streamed: bool | None) -> bool:
    if streamed is None:
        return True
    return kind.answers != ("whole" if streamed else "streamed")


def _planned(
    faults: SearchStrategy[ProviderFault],
    kind: type[ProviderFault],
    *,
    agents: Sequence[str],
    max_call: int,
    streamed: bool | None,
) -> SearchStrategy[PlannedFault]:
    optional: dict[str, SearchStrategy[Any]] = {"count": st.integers(1, 3)}
    required: dict[str, SearchStrategy[Any]] = {"call": _late(max_call)}
    if agents:
        required["agent"] = st.sampled_from(agents)
    if kind.events == "must":
        required["stream_event"] = _late(_FAR_EVENT)
    elif kind.events == "may" and streamed is not False:
        optional["stream_event"] = _late(_FAR_EVENT)
    addresses = st.fixed_dictionaries(required, optional=optional)
    return st.builds(
        lambda fault, where: PlannedFault(fault, Address(**where), optional=True),
        faults,
        addresses,
    )


def _late(last: int) -> SearchStrategy[int]:
    """Places from 1 on; shrinks to the last one."""
    return st.integers(0, last - 1).map(lambda before: last - before)
