"""An agent's health as its events tell it."""

from __future__ import annotations

import pytest

from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentDied,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStale,
    AgentStopped,
    Fact,
)
from mnemosyne_core.observe import AgentState, AgentStatus, replay
from mnemosyne_core.work import AgentRole, Failure
from tests.core.observe.building import Story

UP = AgentRegistered(role=AgentRole.EXECUTOR)
NO_KEY = AgentFailed(
    role=AgentRole.EXECUTOR,
    error=Failure(code="bridge_spawn", message="no key"),
    tries_again=True,
)
STALE, DIED = AgentStale(silent_s=75.0), AgentDied(silent_s=120.0)
DEGRADED = AgentDegraded(errors=3, reason="it fails")


def agent_after(*facts: Fact) -> AgentState:
    return replay(Story().tell_all(UP, *facts)).agents["executor"]


@pytest.mark.parametrize(
    ("facts", "status", "trouble"),
    [
        pytest.param([], "registered", None, id="up"),
        pytest.param([STALE], "stale", "no sign of life for 75 s", id="stale"),
        pytest.param([STALE, AgentHeartbeat(), AgentRecovered()], "idle", None, id="heard-again"),
        pytest.param(
            [STALE, AgentActive(item_id="a"), AgentIdle()],
            "stale",
            "no sign of life for 75 s",
            id="work-is-no-sign-of-life",
        ),
        pytest.param([STALE, DIED], "failed", "no sign of life for 120 s", id="dead"),
        pytest.param(
            [STALE, DIED, AgentRestarted(errors=0, reason="x"), UP], "registered", None, id="new"
        ),
        pytest.param(
            [DEGRADED, STALE, AgentRecovered(), DEGRADED], "degraded", "it fails", id="as-before"
        ),
        pytest.param([DEGRADED, AgentRecovered()], "idle", None, id="recovered"),
        pytest.param([NO_KEY], "failed", "no key", id="failed"),
        pytest.param([AgentStopped()], "stopped", "it was stopped", id="stopped"),
    ],
)
def test_an_agent_that_is_not_well_says_why(
    facts: list[Fact], status: str, trouble: str | None
) -> None:
    agent = agent_after(*facts)

    assert (agent.status, agent.trouble) == (status, trouble)
    assert agent.status.is_well is (trouble is None)


def test_a_stale_agent_keeps_its_work_and_a_dead_one_loses_it() -> None:
    at_work = AgentActive(item_id="a")

    assert agent_after(at_work, STALE).items == ("a",)
    assert agent_after(at_work, STALE, AgentRecovered()).status is AgentStatus.ACTIVE
    assert agent_after(at_work, STALE, DIED).items == ()


def test_a_recovery_says_how_many_errors_are_still_young() -> None:
    assert agent_after(DEGRADED, AgentRecovered(errors=2)).errors == 2


def test_an_agent_that_is_tried_again_says_so_until_it_is_there() -> None:
    assert agent_after(NO_KEY).tries_again
    assert not agent_after(NO_KEY, UP).tries_again
    assert not agent_after(NO_KEY, AgentStopped()).tries_again
