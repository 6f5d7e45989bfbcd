"""Agents that do as they are told, so that a test shows the tree and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import AgentMaker, SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, Decision, Failure, Gate, Verdict, WorkItem, WorkResult

APPROVED = Verdict(decision=Decision.APPROVE, gates=dict.fromkeys(Gate, True), confidence=0.9)


def refused(*issues: str, decision: Decision = Decision.REVISE) -> Verdict:
    return Verdict(decision=decision, gates={Gate.INTENT: False}, confidence=0.8, issues=issues)


@dataclass(frozen=True)
class Call:
    item: WorkItem
    attempt: int
    guidance: tuple[str, ...]


Answer = Callable[[Call], Awaitable[WorkResult]]


@dataclass
class ToldAgent:
    """An agent whose every answer comes from the test."""

    role: AgentRole
    answer: Answer
    calls: list[Call] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    cancelled: list[str] = field(default_factory=list)
    missing: str | None = None

    async def start_session(self) -> None:
        if self.missing is not None:
            raise OSError(2, "No such file or directory", self.missing)

    async def stop_session(self) -> None:
        pass

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        call = Call(item, attempt, guidance)
        self.calls.append(call)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            return await self.answer(call)
        except asyncio.CancelledError:
            self.cancelled.append(item.id)
            raise
        finally:
            self.at_work -= 1


def done(call: Call, data: Any = "done") -> WorkResult:
    return WorkResult(item_id=call.item.id, attempt=call.attempt, success=True, data=data)


def failed(call: Call, code: str = "crash", *, retryable: bool = True) -> WorkResult:
    failure = Failure(code=code, message=f"{code} of {call.item.id}", retryable=retryable)
    return WorkResult.failed(call.item, failure, attempt=call.attempt)


class Cast:
    """Four agents that succeed and approve, until a test tells one of them otherwise."""

    def __init__(self) -> None:
        self.executor = ToldAgent(AgentRole.EXECUTOR, self._do)
        self.orchestrator = ToldAgent(AgentRole.ORCHESTRATOR, self._do)
        self.reviewer = ToldAgent(AgentRole.REVIEWER, self._review)
        self.optimizer = ToldAgent(AgentRole.OPTIMIZER, self._consolidate)
        self.verdicts: list[Verdict] = []
        """Given in this order; approval when there are none left."""

    def makers(self) -> Mapping[AgentRole, AgentMaker]:
        agents = (self.executor, self.orchestrator, self.reviewer, self.optimizer)
        return {agent.role: (lambda _, agent=agent: agent) for agent in agents}  # type: ignore[misc]

    def tree(self, config: SupervisionConfig | None = None) -> SupervisionTree:
        return SupervisionTree(config, agents=self.makers(), ids=CountedIds())

    async def _do(self, call: Call) -> WorkResult:
        return done(call)

    async def _review(self, call: Call) -> WorkResult:
        verdict = self.verdicts.pop(0) if self.verdicts else APPROVED
        return done(call, verdict.model_dump(mode="json"))

    async def _consolidate(self, call: Call) -> WorkResult:
        findings = call.item.context["findings"]
        assert isinstance(findings, list)
        return done(call, {"guidance": [f"mind: {found}" for found in findings]})
