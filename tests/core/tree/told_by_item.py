"""Agents that are told by each item what to do with it, so that they may live anywhere.

Nothing is shared with the test but the item, which crosses the bridge, and a folder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from enum import StrEnum, auto
from pathlib import Path

from pydantic import JsonValue

from mnemosyne_core.tree import AgentPlace
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

WORK_S = 5.0
"""How long slow work takes."""

COST = Usage(input_tokens=7, output_tokens=3)


class Act(StrEnum):
    """What an agent does with one attempt."""

    SUCCEED = auto()
    FAIL = auto()
    REFUSE = auto()
    """A failure that no other attempt can mend."""

    CRASH = auto()
    HANG = auto()
    TAKE_LONG = auto()
    TALK_NONSENSE = auto()
    """A success with data that means nothing; of a reviewer, no verdict."""

    DIE = auto()
    """Ends its process, so it should have one of its own."""

    OBJECT = auto()
    """Of a reviewer: not yet."""

    REJECT = auto()
    """Of a reviewer: never."""


def context_of(work: Sequence[Act], reviews: Sequence[Act]) -> dict[str, object]:
    """An item's context in which its attempts, and their reviews, go like this; then well."""
    return {"work": [str(act) for act in work], "reviews": [str(act) for act in reviews]}


def is_missing(workspace: Path, role: AgentRole) -> Path:
    """The file because of which the role's agent cannot start, if it is there."""
    return workspace / f"{role.value}-is-missing"


def agent_told_by_item(place: AgentPlace) -> AgentToldByItem:
    """An agent for a place in a tree."""
    assert place.workspace is not None, "a tree has one"
    return AgentToldByItem(place.role, place.workspace)


class AgentToldByItem:
    """Does with each item what its context says."""

    def __init__(self, role: AgentRole, workspace: Path) -> None:
        self.role = role
        self.is_missing = is_missing(workspace, role)

    async def start_session(self) -> None:
        if self.is_missing.exists():
            raise OSError(2, "No such file or directory", str(self.is_missing.name))

    async def stop_session(self) -> None:
        pass

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        act = self._act(item, attempt)
        match act:
            case Act.FAIL | Act.REFUSE:
                failure = Failure(code="told", message=act, retryable=act is Act.FAIL)
                return WorkResult.failed(item, failure, attempt=attempt, usage=COST)
            case Act.CRASH:
                raise ValueError("an agent's own mistake")
            case Act.HANG:
                await asyncio.Event().wait()
            case Act.DIE:
                os._exit(7)
            case Act.TAKE_LONG:
                await asyncio.sleep(WORK_S)
        return WorkResult(
            item_id=item.id,
            attempt=attempt,
            success=True,
            data=self._data(item, act),
            usage=COST,
        )

    def _act(self, item: WorkItem, attempt: int) -> Act:
        acts: object = item.context.get("work", [])
        result = item.context.get("result")
        if self.role is AgentRole.REVIEWER and isinstance(result, dict):
            acts = result["reviews"]
        assert isinstance(acts, list)
        return Act(acts[attempt - 1]) if attempt <= len(acts) else Act.SUCCEED

    def _data(self, item: WorkItem, act: Act) -> JsonValue:
        if act is Act.TALK_NONSENSE:
            return {"reviews": item.context.get("reviews", []), "words": "blah"}
        match self.role:
            case AgentRole.REVIEWER if "result" in item.context:
                return verdict(act).model_dump(mode="json")
            case AgentRole.OPTIMIZER if "findings" in item.context:
                return {"guidance": ["mind that"]}
        return {"reviews": item.context.get("reviews", [])}


def verdict(act: Act) -> Verdict:
    match act:
        case Act.OBJECT:
            return Verdict(decision=Decision.REVISE, gates={}, confidence=0.5, issues=("not yet",))
        case Act.REJECT:
            return Verdict(decision=Decision.REJECT, gates={}, confidence=0.5, issues=("never",))
        case _:
            return Verdict(decision=Decision.APPROVE, gates={Gate.TESTS: True}, confidence=0.9)
