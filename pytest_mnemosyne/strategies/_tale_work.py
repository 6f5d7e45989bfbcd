"""The part of a history that is about work: items, attempts, reviews.

The real `WorkQueue` says what may happen to which item, so there is one set of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mnemosyne_core.events import (
    AgentActive,
    AgentIdle,
    Fact,
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
from mnemosyne_core.tree import SupervisionConfig
from mnemosyne_core.work import (
    AgentRole,
    Claim,
    Decision,
    Failure,
    Verdict,
    WorkItem,
    WorkQueue,
    WorkResult,
    WorkState,
)
from pytest_mnemosyne.strategies._telling import Telling

_ORCHESTRATOR, _REVIEWER, _OPTIMIZER = (
    role.value for role in (AgentRole.ORCHESTRATOR, AgentRole.REVIEWER, AgentRole.OPTIMIZER)
)
_MAX_AT_WORK = SupervisionConfig().max_concurrent_agents
_LEASE_S = 60.0


class Work:
    """The items of a tree, and how far each of them has come."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._queue = WorkQueue()
        self._submitted = 0
        self._last: dict[str, int] = {}
        """The number of the last event about each item."""
        self._returned: dict[str, WorkResult] = {}
        """Results that wait for a review, by item."""

    # --- what there is ---

    @property
    def ready(self) -> tuple[WorkItem, ...]:
        """The items that could be claimed now."""
        return self._queue.ready(now_s=self._telling.now_s)

    @property
    def live(self) -> dict[str, WorkItem]:
        """The items that have not ended, by id."""
        return {each.item.id: each.item for each in self._queue.snapshot().live}

    @property
    def busy(self) -> set[str]:
        """The paths of those who have an item in hand; the orchestrator waits for all of them."""
        held = {path for claim in self._claims for path in (claim.item.role.value, claim.worker)}
        return {_ORCHESTRATOR, *held}

    # --- what may happen ---

    def go_on(
        self,
        which: int,
        item: WorkItem,
        back: frozenset[int],
        outcome: Callable[[Claim], WorkResult],
        verdict: Verdict,
    ) -> None:
        """An attempt goes on, or one begins, or there is a new item.

        Args:
            which: Which of these, attempts under way first.
            item: The new item.
            back: How many places back those stand that it depends on.
            outcome: What the agent returns, if it is its turn; may tell how it came to that.
            verdict: What the reviewer says, if it is theirs.
        """
        claims = self._claims
        can_begin = bool(self.ready) and len(self._at_work) < _MAX_AT_WORK
        choice = which % (len(claims) + can_begin + 1)
        if choice >= len(claims) + can_begin:
            self._submit(item, back)
        elif choice >= len(claims):
            self._claim()
        elif claims[choice].item.id in self._returned:
            self._review(claims[choice], verdict)
        else:
            self._return(claims[choice], outcome(claims[choice]))

    def cancel(self, item_id: str) -> None:
        """Somebody takes an item back."""
        live = self.live
        self._tell(item_id, WorkCancelled(item_id=item_id, reason="no longer wanted"))
        self._returned.pop(item_id, None)
        self._fail_all(self._queue.cancel(item_id), live)

    def block(self, item_id: str) -> None:
        """An item is ready, but its agent is missing."""
        self._tell(item_id, WorkBlocked(item_id=item_id, reason="no agent"))

    # --- within ---

    @property
    def _claims(self) -> tuple[Claim, ...]:
        """The attempts under way, those that wait for a review among them."""
        return self._queue.claims()

    @property
    def _at_work(self) -> tuple[Claim, ...]:
        """The attempts that an agent works on."""
        return tuple(claim for claim in self._claims if claim.item.id not in self._returned)

    def _tell(
        self, item_id: str, fact: Fact, *, agent: str = _ORCHESTRATOR, attempt: int = 1
    ) -> None:
        """Tell something about an item, caused by what was last told about it."""
        by = self._last.get(item_id)
        self._last[item_id] = self._telling.tell(fact, agent=agent, attempt=attempt, by=by)

    def _submit(self, item: WorkItem, back: frozenset[int]) -> None:
        self._submitted += 1
        awaited = (self._submitted - step for step in sorted(back))
        dependencies = tuple(f"item-{number}" for number in awaited if number > 0)
        item = item.model_copy(
            update={"id": f"item-{self._submitted}", "dependencies": dependencies}
        )
        self._tell(item.id, WorkSubmitted(item=item))
        self._fail_all(self._queue.add([item]), {item.id: item})

    def _claim(self) -> None:
        claim = self._queue.claim(now_s=self._telling.now_s, worker=_ORCHESTRATOR, lease_s=_LEASE_S)
        assert claim is not None, "an item is ready"
        worker = claim.item.role.value
        claimed = WorkClaimed(item_id=claim.item.id, worker=worker)
        self._tell(claim.item.id, claimed, attempt=claim.attempt)
        active = AgentActive(item_id=claim.item.id)
        self._tell(claim.item.id, active, agent=worker, attempt=claim.attempt)

    def _return(self, claim: Claim, result: WorkResult) -> None:
        item = claim.item
        result = result.model_copy(update={"item_id": item.id, "attempt": claim.attempt})
        if [held.item.role for held in self._at_work].count(item.role) == 1:
            self._tell(item.id, AgentIdle(), agent=item.role.value, attempt=claim.attempt)
        returned = WorkReturned(item_id=item.id, result=result)
        self._tell(item.id, returned, attempt=claim.attempt)
        if result.success and item.wants_review:
            self._queue.begin_review(
                item.id,
                attempt=claim.attempt,
                now_s=self._telling.now_s,
                reviewer=_REVIEWER,
                lease_s=_LEASE_S,
            )
            self._returned[item.id] = result
        elif result.success:
            self._complete(claim, result)
        else:
            self._retry_or_fail(claim, result)

    def _review(self, claim: Claim, verdict: Verdict) -> None:
        item_id, attempt = claim.item.id, claim.attempt
        result = self._returned.pop(item_id)
        reviewed = WorkReviewed(item_id=item_id, verdict=verdict)
        self._tell(item_id, reviewed, agent=_REVIEWER, attempt=attempt)
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
            self._tell(item_id, consolidated, agent=_OPTIMIZER, attempt=attempt)
        self._retry_or_fail(claim, result, guidance)

    def _complete(self, claim: Claim, result: WorkResult) -> None:
        completed = WorkCompleted(item_id=claim.item.id, result=result)
        self._tell(claim.item.id, completed, attempt=claim.attempt)
        self._queue.complete(claim.item.id, attempt=claim.attempt)

    def _retry_or_fail(
        self, claim: Claim, result: WorkResult, guidance: tuple[str, ...] | None = None
    ) -> None:
        item_id, attempt, error = claim.item.id, claim.attempt, result.error
        assert error is not None, "only a failure is tried again"
        if error.retryable and attempt < claim.item.max_attempts:
            self._release(claim, error, guidance)
            return
        self._tell(item_id, WorkFailed(item_id=item_id, result=result), attempt=attempt)
        self._fail_all(self._queue.fail(item_id, attempt=attempt), self.live)

    def _release(self, claim: Claim, error: Failure, guidance: tuple[str, ...] | None) -> None:
        item_id, rest_s = claim.item.id, error.retry_after_s
        released = WorkReleased(
            item_id=item_id,
            reason=error.message,
            not_before=None if rest_s is None else self._telling.in_s(rest_s),
        )
        self._tell(item_id, released, attempt=claim.attempt)
        self._queue.release(
            item_id,
            attempt=claim.attempt,
            guidance=guidance,
            not_before_s=None if rest_s is None else self._telling.now_s + rest_s,
        )

    def _fail_all(self, lost: Iterable[str], items: Mapping[str, WorkItem]) -> None:
        """Fail what waits for something that will never be completed."""
        for item_id in lost:
            cause = next(
                self._last[awaited]
                for awaited in items[item_id].dependencies
                if self._queue.state(awaited) in (WorkState.FAILED, WorkState.CANCELLED)
            )
            failure = Failure(code="dependency_failed", message="lost", retryable=False)
            result = WorkResult.failed(items[item_id], failure)
            failed = WorkFailed(item_id=item_id, result=result)
            self._last[item_id] = self._telling.tell(failed, agent=_ORCHESTRATOR, by=cause)
            self._queue.fail(item_id)
