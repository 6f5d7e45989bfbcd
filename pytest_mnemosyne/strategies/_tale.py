"""A history in the making: what has been told, and what may happen next.

The real `WorkQueue` says what may happen to which item, so there is one set of rules. A move
says "the third of those to whom it can happen" rather than a name, and where there is nobody,
nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from enum import Enum, auto
from typing import TypeVar, assert_never

from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStopped,
    ChildLeaked,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Event,
    Fact,
    FeedbackConsolidated,
    MessageDropped,
    PhaseChanged,
    RestartIntensityReached,
    TreeStarted,
    TreeStopped,
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
from mnemosyne_core.work import (
    AgentRole,
    Claim,
    Decision,
    Failure,
    Phase,
    Verdict,
    WorkItem,
    WorkQueue,
    WorkResult,
    WorkState,
)
from pytest_mnemosyne.strategies._texts import EPOCH

_ORCHESTRATOR, _REVIEWER, _OPTIMIZER = (
    role.value for role in (AgentRole.ORCHESTRATOR, AgentRole.REVIEWER, AgentRole.OPTIMIZER)
)
_DEGRADED_AT, REPLACED_AT = 3, 5
"""How many errors make an agent degraded, and how many have it replaced."""

_LEASE_S = 60.0

_T = TypeVar("_T")


class Mishap(Enum):
    """What may go wrong besides while an actor crashes and comes back."""

    MESSAGE_DROPPED = auto()
    START_FAILED = auto()
    LEAKED = auto()


class Tale:
    """What has been told, and what may come next.

    `which` chooses among those to whom a thing can happen; where there is nobody, it does not.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._now = EPOCH
        self._queue = WorkQueue()
        self._submitted = 0
        self._last: dict[str, int] = {}
        """The number of the last event about each item."""
        self._returned: dict[str, WorkResult] = {}
        """Results that wait for a review, by item."""
        self._incarnations: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        """How often each agent has erred, where it has."""
        self._phase = Phase.PROMPT_TO_SPEC
        self._start = self._tell(TreeStarted(), agent="tree", by=None)
        for role in AgentRole:
            self._bring_up(role.value, incarnation=1, by=self._start)

    def wait(self, passed_ms: int) -> None:
        """Time passes."""
        self._now += timedelta(milliseconds=passed_ms)

    def end(self, reason: str) -> None:
        """The tree stops, or its supervisor gives up."""
        cause: int = self._start
        if reason == "restart intensity":
            reached = RestartIntensityReached(supervisor="root", max_restarts=3, period_s=60.0)
            cause = self._tell(reached, agent="root", by=None)
        for path, incarnation in reversed(self._incarnations.items()):
            self._tell(AgentStopped(), agent=path, by=cause)
            ended = ChildTerminated(
                child=path, incarnation=incarnation, reason="shutdown", abnormal=False
            )
            self._tell(ended, agent=path, by=cause)
        self._tell(TreeStopped(reason=reason), agent="tree", by=cause)

    # --- telling ---

    def _tell(self, fact: Fact, *, agent: str, by: int | None, attempt: int = 1) -> int:
        seq = len(self.events) + 1
        event = Event(seq=seq, at=self._now, agent=agent, attempt=attempt, by=by, fact=fact)
        self.events.append(event)
        return seq

    def _tell_of(
        self, item_id: str, fact: Fact, *, agent: str = _ORCHESTRATOR, attempt: int = 1
    ) -> int:
        """Tell something about an item, caused by what was last told about it."""
        seq = self._tell(fact, agent=agent, attempt=attempt, by=self._last.get(item_id))
        self._last[item_id] = seq
        return seq

    # --- work ---

    def work(
        self,
        which: int,
        item: WorkItem,
        back: frozenset[int],
        result: WorkResult,
        verdict: Verdict,
    ) -> None:
        """An attempt goes on, or one begins, or there is a new item.

        Args:
            which: Which of these, attempts under way first.
            item: The new item.
            back: How many places back those stand that it depends on.
            result: What the agent returns, if it is its turn.
            verdict: What the reviewer says, if it is theirs.
        """
        claims = self._queue.claims()
        can_begin = bool(self._queue.ready())
        choice = which % (len(claims) + can_begin + 1)
        if choice >= len(claims) + can_begin:
            self._submit(item, back)
        elif choice >= len(claims):
            self._claim()
        elif (returned := self._returned.pop(claims[choice].item.id, None)) is None:
            self._return(claims[choice], result)
        else:
            self._review(claims[choice], returned, verdict)

    def _submit(self, item: WorkItem, back: frozenset[int]) -> None:
        self._submitted += 1
        awaited = (self._submitted - step for step in sorted(back))
        dependencies = tuple(f"item-{number}" for number in awaited if number > 0)
        item = item.model_copy(
            update={"id": f"item-{self._submitted}", "dependencies": dependencies}
        )
        self._tell_of(item.id, WorkSubmitted(item=item))
        self._fail_all(self._queue.add([item]), {item.id: item})

    def _claim(self) -> None:
        claim = self._queue.claim(now_s=0.0, worker=_ORCHESTRATOR, lease_s=_LEASE_S)
        assert claim is not None, "an item is ready"
        worker = claim.item.role.value
        claimed = WorkClaimed(item_id=claim.item.id, worker=worker)
        self._tell_of(claim.item.id, claimed, attempt=claim.attempt)
        active = AgentActive(item_id=claim.item.id)
        self._tell_of(claim.item.id, active, agent=worker, attempt=claim.attempt)

    def _return(self, claim: Claim, result: WorkResult) -> None:
        item = claim.item
        result = result.model_copy(update={"item_id": item.id, "attempt": claim.attempt})
        self._tell_of(item.id, AgentIdle(), agent=item.role.value, attempt=claim.attempt)
        returned = WorkReturned(item_id=item.id, result=result)
        self._tell_of(item.id, returned, attempt=claim.attempt)
        if result.success and item.wants_review:
            self._queue.begin_review(
                item.id, attempt=claim.attempt, now_s=0.0, reviewer=_REVIEWER, lease_s=_LEASE_S
            )
            self._returned[item.id] = result
        elif result.success:
            self._complete(claim, result)
        else:
            self._retry_or_fail(claim, result)

    def _review(self, claim: Claim, result: WorkResult, verdict: Verdict) -> None:
        item_id, attempt = claim.item.id, claim.attempt
        reviewed = WorkReviewed(item_id=item_id, verdict=verdict)
        self._tell_of(item_id, reviewed, agent=_REVIEWER, attempt=attempt)
        if verdict.decision is Decision.APPROVE:
            self._complete(claim, result)
            return
        retryable = verdict.decision is Decision.REVISE
        refused = Failure(code="not_approved", message="no", retryable=retryable)
        result = result.model_copy(update={"success": False, "error": refused})
        guidance = None
        if retryable and attempt < claim.item.max_attempts:
            guidance = (*claim.guidance, *verdict.issues)
            consolidated = FeedbackConsolidated(item_id=item_id, guidance=guidance)
            self._tell_of(item_id, consolidated, agent=_OPTIMIZER, attempt=attempt)
        self._retry_or_fail(claim, result, guidance)

    def _complete(self, claim: Claim, result: WorkResult) -> None:
        completed = WorkCompleted(item_id=claim.item.id, result=result)
        self._tell_of(claim.item.id, completed, attempt=claim.attempt)
        self._queue.complete(claim.item.id, attempt=claim.attempt)

    def _retry_or_fail(
        self, claim: Claim, result: WorkResult, guidance: tuple[str, ...] | None = None
    ) -> None:
        item_id, attempt, error = claim.item.id, claim.attempt, result.error
        assert error is not None, "only a failure is tried again"
        if error.retryable and attempt < claim.item.max_attempts:
            self._tell_of(item_id, WorkReleased(item_id=item_id, reason="again"), attempt=attempt)
            self._queue.release(item_id, attempt=attempt, guidance=guidance)
            return
        self._tell_of(item_id, WorkFailed(item_id=item_id, result=result), attempt=attempt)
        self._fail_all(self._queue.fail(item_id, attempt=attempt), self._live())

    def cancel(self, which: int) -> None:
        """Somebody takes an item back."""
        live = self._live()
        if (item_id := _chosen(live, which)) is not None:
            self._tell_of(item_id, WorkCancelled(item_id=item_id, reason="no longer wanted"))
            self._returned.pop(item_id, None)
            self._fail_all(self._queue.cancel(item_id), live)

    def block(self, which: int) -> None:
        """An item is ready, but its agent is missing."""
        if (item := _chosen(self._queue.ready(), which)) is not None:
            self._tell_of(item.id, WorkBlocked(item_id=item.id, reason="no agent"))

    def _live(self) -> dict[str, WorkItem]:
        return {each.item.id: each.item for each in self._queue.snapshot().live}

    def _fail_all(self, lost: Iterable[str], items: dict[str, WorkItem]) -> None:
        """Fail what waits for something that will never be completed."""
        for item_id in lost:
            cause = next(
                self._last[awaited]
                for awaited in items[item_id].dependencies
                if self._queue.state(awaited) in (WorkState.FAILED, WorkState.CANCELLED)
            )
            failure = Failure(code="dependency_failed", message="lost", retryable=False)
            result = WorkResult.failed(items[item_id], failure)
            self._last[item_id] = self._tell(
                WorkFailed(item_id=item_id, result=result), agent=_ORCHESTRATOR, by=cause
            )
            self._queue.fail(item_id)

    # --- agents ---

    def _bring_up(self, path: str, *, incarnation: int, by: int) -> None:
        started = self._tell(ChildStarted(child=path, incarnation=incarnation), agent=path, by=by)
        registered = AgentRegistered(role=AgentRole(path), incarnation=incarnation)
        self._tell(registered, agent=path, by=started)
        self._incarnations[path] = incarnation
        self._errors.pop(path, None)

    def beat(self, which: int) -> None:
        """An agent gives a sign of life."""
        self._tell(AgentHeartbeat(), agent=self._path(which), by=None)

    def err(self, which: int, error: Failure, times: int) -> None:
        """An agent errs so many times in a row; at the fifth its bridge replaces it."""
        path = self._path(which)
        for _ in range(times):
            count = self._errors[path] = self._errors.get(path, 0) + 1
            erred = self._tell(AgentErred(error=error, errors=count), agent=path, by=None)
            if count == _DEGRADED_AT:
                degraded = AgentDegraded(errors=count, reason="it fails often")
                self._tell(degraded, agent=path, by=erred)
            elif count == REPLACED_AT:
                restarted = AgentRestarted(errors=count, reason="it fails too often")
                self._tell(restarted, agent=path, by=erred)
                del self._errors[path]
                return

    def recover(self, which: int) -> None:
        """The errors of an agent have passed out of the window."""
        path = _chosen(self._errors, which)
        if path is not None and self._errors.pop(path) >= _DEGRADED_AT:
            self._tell(AgentRecovered(), agent=path, by=None)

    def crash(self, which: int, mishaps: Iterable[Mishap]) -> None:
        """An actor without work ends by itself and comes back."""
        path = _chosen(self._idle_paths(), which)
        if path is None:
            return
        incarnation = self._incarnations[path]
        ended = ChildTerminated(child=path, incarnation=incarnation, reason="crash", abnormal=True)
        cause = self._tell(ended, agent=path, by=None)
        for mishap in mishaps:
            self._tell(_fact_of(mishap, path), agent=path, by=cause)
        self._bring_up(path, incarnation=incarnation + 1, by=cause)

    def lose_agent(self, which: int, error: Failure) -> None:
        """The agent behind an actor without work is not there for a while; the actor lives on."""
        path = _chosen(self._idle_paths(), which)
        if path is None:
            return
        role = AgentRole(path)
        lost = self._tell(AgentFailed(role=role, error=error), agent=path, by=None)
        registered = AgentRegistered(role=role, incarnation=self._incarnations[path])
        self._tell(registered, agent=path, by=lost)
        self._errors.pop(path, None)

    def advance(self) -> None:
        """The project enters its next phase."""
        if self._phase.successors:
            previous, self._phase = self._phase, self._phase.successors[0]
            changed = PhaseChanged(previous=previous, phase=self._phase)
            self._tell(changed, agent=_ORCHESTRATOR, by=None)

    def _path(self, which: int) -> str:
        return list(self._incarnations)[which % len(self._incarnations)]

    def _idle_paths(self) -> list[str]:
        """The actors that nobody waits for; the orchestrator waits for all."""
        busy = {_ORCHESTRATOR}
        for claim in self._queue.claims():
            busy |= {claim.item.role.value, claim.worker}
        return [path for path in self._incarnations if path not in busy]


def _chosen(candidates: Iterable[_T], which: int) -> _T | None:
    listed = list(candidates)
    return listed[which % len(listed)] if listed else None


def _fact_of(mishap: Mishap, path: str) -> Fact:
    match mishap:
        case Mishap.MESSAGE_DROPPED:
            return MessageDropped(message="Delegate", reason=f"{path} is down")
        case Mishap.START_FAILED:
            return ChildStartFailed(child=path, reason="not yet")
        case Mishap.LEAKED:
            return ChildLeaked(child=path, shutdown_s=5.0)
        case _:
            assert_never(mishap)
