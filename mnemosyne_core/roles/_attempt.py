"""One attempt at one item: hand it over, have the result judged, say what is next.

The two steps are apart, so that a result that waits for its reviewer keeps no other
item from being worked on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum, auto

from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import (
    ActorDownError,
    AgentUnavailableError,
    AskTimeoutError,
    MailboxFullError,
    MnemosyneError,
)
from mnemosyne_core.events import FeedbackConsolidated, Recorder, WorkReturned, WorkReviewed
from mnemosyne_core.roles._messages import (
    Consolidate,
    Consolidated,
    Delegate,
    Judged,
    Recall,
    Review,
)
from mnemosyne_core.roles._peers import Peers
from mnemosyne_core.roles._reviewer import ReviewFailedError
from mnemosyne_core.roles._steps import Step, after_attempt, after_review, not_approved
from mnemosyne_core.work import (
    AgentRole,
    Claim,
    Failure,
    Verdict,
    WorkItem,
    WorkQueue,
    WorkResult,
)


class MissingAgent(StrEnum):
    """What happens to an item whose agent is not there."""

    FAIL = auto()
    """It fails with code `agent_unavailable`."""

    WAIT = auto()
    """It waits until the agent is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step of an attempt came to; the orchestrator acts on it."""

    step: Step
    """What comes next."""

    result: WorkResult
    by: int
    """Sequence number of the event that decided it."""

    guidance: tuple[str, ...] | None = None
    """What the next attempt should know; `None`: nothing new."""


class Attempt:
    """The steps of one claim; cancelling one recalls the item from whoever has it."""

    def __init__(
        self,
        claim: Claim,
        *,
        queue: WorkQueue,
        peers: Peers,
        recorder: Recorder,
        clock: Clock,
        path: str,
        lease_s: float,
        missing_agent: MissingAgent,
    ) -> None:
        """An attempt on behalf of the actor at `path`, which owns `queue`.

        Each actor that it asks has `lease_s` seconds to answer, from when it is there.
        """
        self._claim = claim
        self._queue = queue
        self._peers = peers
        self._recorder = recorder
        self._clock = clock
        self._path = path
        self._lease_s = lease_s
        self._missing_agent = missing_agent

    @property
    def claim(self) -> Claim:
        """What it is an attempt at."""
        return self._claim

    async def work(self, by: int) -> Outcome:
        """Have the work done; `by` is the claim's event."""
        result = await self._result(by)
        returned = self._recorder.record(
            WorkReturned(item_id=self._item.id, result=result),
            agent=self._path,
            attempt=self._claim.attempt,
            by=by,
        )
        return Outcome(step=after_attempt(self._item, result), result=result, by=returned.seq)

    async def review(self, result: WorkResult, by: int) -> Outcome:
        """Have a reviewer look at `result`; without its approval nothing is complete.

        What it wants to be changed goes through the optimizer on the way.
        """
        claim = self._claim
        try:
            self._queue.begin_review(
                self._item.id,
                attempt=claim.attempt,
                now_s=self._clock.monotonic(),
                reviewer=AgentRole.REVIEWER.value,
                lease_s=self._lease_s,
            )
            message = Review(item=self._item, attempt=claim.attempt, result=result)
            judged = await self._ask(AgentRole.REVIEWER, message, by)
        except MnemosyneError as error:
            failed = _refused(result, self._failure_of(error))
            return Outcome(step=after_attempt(self._item, failed), result=failed, by=by)
        assert isinstance(judged, Judged), f"a Review was answered with {judged!r}"
        verdict = judged.verdict
        reviewed = self._recorder.record(
            WorkReviewed(item_id=self._item.id, verdict=verdict, usage=judged.usage),
            agent=AgentRole.REVIEWER.value,
            attempt=claim.attempt,
            by=by,
        )
        step = after_review(verdict)
        if step is Step.COMPLETE:
            return Outcome(step=step, result=result, by=reviewed.seq)
        refused = _refused(result, not_approved(verdict))
        if step is Step.FAIL or claim.attempt >= self._item.max_attempts:
            return Outcome(step=step, result=refused, by=reviewed.seq)
        return await self._consolidate(verdict, result, refused, reviewed.seq)

    @property
    def _item(self) -> WorkItem:
        return self._claim.item

    async def _result(self, by: int) -> WorkResult:
        claim = self._claim
        started_s = self._clock.monotonic()
        message = Delegate(item=self._item, attempt=claim.attempt, guidance=claim.guidance)
        try:
            answer = await self._ask(self._item.role, message, by)
        except MnemosyneError as error:
            return WorkResult.failed(
                self._item,
                self._failure_of(error),
                attempt=claim.attempt,
                duration_s=max(self._clock.monotonic() - started_s, 0.0),
            )
        assert isinstance(answer, WorkResult), f"a Delegate was answered with {answer!r}"
        return answer

    async def _consolidate(
        self, verdict: Verdict, result: WorkResult, refused: WorkResult, by: int
    ) -> Outcome:
        message = Consolidate(
            item=self._item, attempt=self._claim.attempt, result=result, verdict=verdict
        )
        try:
            answer = await self._ask(AgentRole.OPTIMIZER, message, by)
        except MnemosyneError:
            # The optimizer is a help, not a condition: the verdict's own words will do.
            answer = Consolidated(guidance=verdict.issues)
        assert isinstance(answer, Consolidated), f"a Consolidate was answered with {answer!r}"
        guidance = self._claim.guidance + answer.guidance
        consolidated = self._recorder.record(
            FeedbackConsolidated(item_id=self._item.id, guidance=guidance, usage=answer.usage),
            agent=AgentRole.OPTIMIZER.value,
            attempt=self._claim.attempt,
            by=by,
        )
        return Outcome(step=Step.RETRY, result=refused, by=consolidated.seq, guidance=guidance)

    async def _ask(self, role: AgentRole, message: object, by: int) -> object:
        """The answer of the role's actor, within a lease of its own; recalls the item otherwise."""
        # Nobody waits for the optimizer's agent: its actor has an answer without one.
        waits = self._missing_agent is MissingAgent.WAIT and role is not AgentRole.OPTIMIZER
        ref = await self._peers.reach(role, with_agent=waits)
        self._queue.extend(
            self._item.id,
            attempt=self._claim.attempt,
            now_s=self._clock.monotonic(),
            lease_s=self._lease_s,
        )
        try:
            return await ref.ask(message, timeout_s=self._lease_s, by=by)
        except (AskTimeoutError, asyncio.CancelledError):
            with suppress(ActorDownError, MailboxFullError):
                ref.send_nowait(Recall(item_id=self._item.id), by=by)
            raise

    def _failure_of(self, error: MnemosyneError) -> Failure:
        if isinstance(error, ReviewFailedError):
            return error.failure
        missing = isinstance(error, AgentUnavailableError)
        return Failure.of(error, retryable=not missing or self._missing_agent is MissingAgent.WAIT)


def _refused(result: WorkResult, failure: Failure) -> WorkResult:
    """`result` as a failure: what was made is kept, but it does not count."""
    return result.model_copy(update={"success": False, "error": failure})
