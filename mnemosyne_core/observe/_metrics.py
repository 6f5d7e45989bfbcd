"""What it took, as a fold over the events: work, time, tokens, tools, trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from mnemosyne_core.events import (
    Event,
    FeedbackConsolidated,
    WorkBlocked,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkReviewed,
    WorkSubmitted,
)
from mnemosyne_core.observe._groups import AgentFact, ChildFact, ClaudeFact, TreeFact, WorkFact
from mnemosyne_core.observe._items import item_id_of
from mnemosyne_core.work import Decision, Usage, WorkResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Some durations, in seconds, summed up."""

    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0

    @property
    def mean_s(self) -> float:
        """The mean; 0 without any."""
        return self.total_s / self.count if self.count else 0.0

    def and_one(self, duration_s: float) -> Durations:
        """These durations and one more."""
        return Durations(
            count=self.count + 1,
            total_s=self.total_s + duration_s,
            longest_s=max(self.longest_s, duration_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSnapshot:
    """What a run has come to so far."""

    facts: Mapping[str, int] = field(default_factory=dict)
    """How many there are of each kind, such as `work_completed` or `agent_restarted`."""

    reviews: Mapping[Decision, int] = field(default_factory=dict)
    attempts: Durations = Durations()
    """Attempts that came to a result, by the time that each took."""

    items: Durations = Durations()
    """Items that came to their end, by the time from submission to end."""

    usage: Usage = field(default_factory=Usage)
    """Tokens of everything: attempts, reviews and consolidations."""

    counted: Mapping[str, float] = field(default_factory=dict)
    """The sum of what agents counted: `turns`, `tool_calls`, `tool_errors`, ..."""

    memories: int = 0

    @property
    def submitted(self) -> int:
        """Items accepted."""
        return self.facts.get("work_submitted", 0)

    @property
    def completed(self) -> int:
        """Items done."""
        return self.facts.get("work_completed", 0)

    @property
    def failed(self) -> int:
        """Items that will not be done."""
        return self.facts.get("work_failed", 0)

    @property
    def cancelled(self) -> int:
        """Items taken back."""
        return self.facts.get("work_cancelled", 0)

    @property
    def claimed(self) -> int:
        """Attempts begun."""
        return self.facts.get("work_claimed", 0)

    @property
    def agent_errors(self) -> int:
        """Errors that bridges counted."""
        return self.facts.get("agent_erred", 0)

    @property
    def agent_restarts(self) -> int:
        """Agents that their bridge replaced."""
        return self.facts.get("agent_restarted", 0)


class Metrics:
    """Counts what happens; attach `apply` to the broadcaster."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        """Begin with `events`, in their order."""
        self._facts: Counter[str] = Counter()
        self._reviews: Counter[Decision] = Counter()
        self._counted: dict[str, float] = {}
        self._attempts = Durations()
        self._items = Durations()
        self._usage = Usage()
        self._memories = 0
        self._seq = 0
        self._submitted_at: dict[str, datetime] = {}
        self._last_result: dict[str, int] = {}
        """The latest attempt at each item whose result is counted."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take an event in; one that was taken in before changes nothing."""
        if event.seq <= self._seq:
            return
        self._seq = event.seq
        self._facts[event.kind] += 1
        fact = event.fact
        if isinstance(fact, WorkFact):
            self._apply_work(fact, event)
        elif isinstance(fact, AgentFact | ChildFact | ClaudeFact | TreeFact):
            return  # counting them by kind is all
        else:
            assert_never(fact)

    def snapshot(self) -> MetricsSnapshot:
        """The numbers right now; they do not change afterwards."""
        return MetricsSnapshot(
            facts=dict(self._facts),
            reviews=dict(self._reviews),
            attempts=self._attempts,
            items=self._items,
            usage=self._usage,
            counted=dict(self._counted),
            memories=self._memories,
        )

    def _apply_work(self, fact: WorkFact, event: Event) -> None:
        match fact:
            case WorkSubmitted(item=item):
                self._submitted_at.setdefault(item.id, event.at)
            case WorkReturned(result=result):
                self._count_result(fact.item_id, result)
            case WorkCompleted(result=result) | WorkFailed(result=result):
                self._count_result(fact.item_id, result)
                self._count_end(fact, event)
            case WorkCancelled():
                self._count_end(fact, event)
            case WorkReviewed(verdict=verdict, usage=usage):
                self._reviews[verdict.decision] += 1
                self._usage += usage
            case FeedbackConsolidated(usage=usage):
                self._usage += usage
            case WorkBlocked() | WorkClaimed() | WorkReleased():
                pass
            case _:
                assert_never(fact)

    def _count_result(self, item_id: str, result: WorkResult) -> None:
        # A result is told twice, when it is handed in and when the item ends with it.
        if result.attempt <= self._last_result.get(item_id, 0):
            return
        self._last_result[item_id] = result.attempt
        self._attempts = self._attempts.and_one(result.duration_s)
        self._usage += result.usage
        self._memories += len(result.memory_ids)
        for name, value in result.metrics.items():
            self._counted[name] = self._counted.get(name, 0.0) + value

    def _count_end(self, fact: WorkFact, event: Event) -> None:
        submitted_at = self._submitted_at.pop(item_id_of(fact), None)
        if submitted_at is not None:
            self._items = self._items.and_one((event.at - submitted_at).total_seconds())
