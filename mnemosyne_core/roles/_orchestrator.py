"""The orchestrator: decides what is worked on, by whom, and what becomes of it.

The way of an item, each arrow an event that is stored before anything follows
from it::

    submitted -> claimed -> returned -> reviewed -> completed
                    ^           |           |
                    |           |           +-- revise -> consolidated --+
                    |           +-- retryable failure -------------------+
                    +-------------------- released <---------------------+

A failure may say when the same may go well again. The released item rests until then,
and others are claimed meanwhile. That moment is stored as one of the wall clock, so a
tree that goes on from the database keeps to it.

An attempt is a task of this actor. If the actor dies, its attempts die with it:
the next incarnation finds their items in the journal, recalls whoever still
works on them, and lets them go round again as a new attempt. That is delivery
at least once; the attempt number says which time it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from mnemosyne_core._value import Value
from mnemosyne_core.errors import ActorDownError, MailboxFullError, WorkError
from mnemosyne_core.events import (
    Event,
    PhaseChanged,
    WorkBlocked,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkSubmitted,
)
from mnemosyne_core.observe import ItemState, StateManager
from mnemosyne_core.roles._agent_actor import AgentActor, BridgeFactory
from mnemosyne_core.roles._alarm import Alarm
from mnemosyne_core.roles._attempt import Attempt, MissingAgent, Outcome
from mnemosyne_core.roles._messages import AdvancePhase, Cancel, Recall, Submit, Wake
from mnemosyne_core.roles._peers import Peers
from mnemosyne_core.roles._steps import (
    Step,
    attempts_exhausted,
    dependency_failed,
    not_retried,
    rest_s,
)
from mnemosyne_core.storage import Journal
from mnemosyne_core.supervision import Context, Exit
from mnemosyne_core.work import (
    AgentRole,
    Failure,
    Phase,
    WorkItem,
    WorkQueue,
    WorkResult,
    WorkState,
)

LEASE_GRACE_S = 30.0
"""How much longer than its own time-out an item is left with a worker that gives no sign."""


class OrchestratorSettings(Value):
    """What an orchestrator may take on."""

    queue_capacity: PositiveInt = 1000
    """Bound on live items."""

    max_concurrent: PositiveInt = 4
    """Bound on attempts under way."""

    default_timeout_s: PositiveFloat = 300.0
    """Bound on an attempt whose item names none, in seconds."""

    max_retry_after_s: NonNegativeFloat = 3600.0
    """How long an item rests at most before it is tried again, in seconds."""

    missing_agent: MissingAgent = MissingAgent.FAIL


class Orchestrator(AgentActor):
    """Keeps the queue, starts attempts, and decides what follows from them."""

    def __init__(
        self,
        bridge: BridgeFactory,
        *,
        journal: Journal,
        state: StateManager,
        peers: Peers,
        settings: OrchestratorSettings | None = None,
    ) -> None:
        """An orchestrator over the items that `journal` holds; `state` follows the same events."""
        super().__init__(bridge)
        self._journal = journal
        self._state = state
        self._peers = peers
        self._settings = settings or OrchestratorSettings()
        self._queue = WorkQueue(capacity=self._settings.queue_capacity)
        self._attempts: dict[str, asyncio.Task[None]] = {}
        self._to_review: dict[str, tuple[Attempt, Outcome]] = {}
        """Results that wait for a place and for the reviewer, oldest first."""
        self._last: dict[str, int] = {}
        """For each live item, the sequence number of the last event about it."""
        self._blocked: set[str] = set()
        """Items whose missing agent has been reported."""
        self._alarm = Alarm()
        """Rings when the first item has rested enough."""

    # --- messages ---

    async def started(self, context: Context) -> None:
        """Take over what the journal holds; a `Wake` follows when this actor is up."""
        self._resume(context)
        await super().started(context)

    async def receive(self, message: object, context: Context) -> object:
        """See `Submit`, `Cancel`, `AdvancePhase` and `Wake`."""
        match message:
            case Submit(items=items):
                return self._submit(items, context)
            case Cancel(item_id=item_id, reason=reason):
                return self._cancel(item_id, reason, context)
            case AdvancePhase(to=phase):
                return self._advance(phase, context)
            case Wake():
                self._dispatch(context)
                return None
            case _:
                return await super().receive(message, context)

    async def stopping(self, reason: Exit) -> None:
        """End the attempts first: they talk to the bridges that close next."""
        self._alarm.unset()
        tasks = tuple(self._attempts.values())
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            # Also when there is no more time for the attempts: the agent must not stay.
            await super().stopping(reason)

    # --- what comes in ---

    def _submit(self, items: tuple[WorkItem, ...], context: Context) -> tuple[int, ...] | None:
        try:
            self._queue.check(items)
        except WorkError as error:
            context.defer().fail(error)
            return None
        events = self._journal.record_all(
            [WorkSubmitted(item=item) for item in items], agent=context.path, by=context.by
        )
        never = self._queue.add(items)
        self._last.update(zip((item.id for item in items), (e.seq for e in events), strict=True))
        self._fail_dependents(never, context)
        self._dispatch(context)
        return tuple(event.seq for event in events)

    def _cancel(self, item_id: str, reason: str, context: Context) -> bool:
        if item_id not in self._queue or self._queue.state(item_id).is_final:
            return False
        event = self._record(WorkCancelled(item_id=item_id, reason=reason), item_id, context)
        dependents = self._queue.cancel(item_id)
        self._to_review.pop(item_id, None)
        if (task := self._attempts.pop(item_id, None)) is not None:
            task.cancel()
        self._forget(item_id)
        self._fail_dependents(dependents, context, cause=event)
        self._dispatch(context)
        return True

    def _advance(self, to: Phase, context: Context) -> Phase | None:
        try:
            previous = self._state.phase
            previous.advance(to)
        except WorkError as error:
            context.defer().fail(error)
            return None
        self._journal.record(
            PhaseChanged(previous=previous, phase=to), agent=context.path, by=context.by
        )
        return to

    # --- attempts ---

    def _dispatch(self, context: Context) -> None:
        """Start reviews, then attempts, while there is work, an agent for it, and room."""
        roles = [role for role in AgentRole if self._peers.ref(role) is not None]
        if self._settings.missing_agent is MissingAgent.WAIT:
            missing = self._missing()
            self._report_blocked(missing, context)
            roles = [role for role in roles if role not in missing]
        while len(self._attempts) < self._settings.max_concurrent:
            if self._to_review and AgentRole.REVIEWER in roles:
                self._begin_review(context)
            elif not self._begin_attempt(list(filter(self._has_room, roles)), context):
                break
        due_s = self._queue.next_due_s(context.clock.monotonic())
        self._alarm.set(due_s, partial(self._dispatch, context), context)

    def _has_room(self, role: AgentRole) -> bool:
        """Whether one more item would be worked on and not only wait elsewhere."""
        # Nearly always nothing is under way, and then there is room for one.
        if not self._attempts or (places := self._peers.places(role)) is None:
            return True
        active = [each for each in self._attempts if self._queue.state(each) is WorkState.ACTIVE]
        return sum(self._queue.item(item_id).role is role for item_id in active) < places

    def _begin_attempt(self, roles: list[AgentRole], context: Context) -> bool:
        """Begin the next attempt; says whether there was one."""
        claim = self._queue.claim(
            now_s=context.clock.monotonic(),
            worker=context.path,
            lease_s=self._settings.default_timeout_s + LEASE_GRACE_S,
            roles=roles,
        )
        if claim is None:
            return False
        item = claim.item
        self._blocked.discard(item.id)
        claimed = self._record(
            WorkClaimed(item_id=item.id, worker=item.role.value), item.id, context, claim.attempt
        )
        attempt = Attempt(
            claim,
            queue=self._queue,
            peers=self._peers,
            recorder=self._journal,
            clock=context.clock,
            path=context.path,
            lease_s=(item.timeout_s or self._settings.default_timeout_s) + LEASE_GRACE_S,
            missing_agent=self._settings.missing_agent,
        )
        self._run(attempt, partial(attempt.work, claimed.seq), context)
        return True

    def _begin_review(self, context: Context) -> None:
        item_id, (attempt, returned) = next(iter(self._to_review.items()))
        del self._to_review[item_id]
        self._blocked.discard(item_id)
        self._run(attempt, partial(attempt.review, returned.result, returned.by), context)

    def _run(
        self, attempt: Attempt, step: Callable[[], Awaitable[Outcome]], context: Context
    ) -> None:
        """Take a step of an attempt in a task of its own, then what follows from it."""
        claim = attempt.claim

        async def run() -> None:
            outcome = await step()
            del self._attempts[claim.item.id]
            self._settle(attempt, outcome, context)
            self._dispatch(context)

        name = f"attempt {claim.item.id}#{claim.attempt}"
        self._attempts[claim.item.id] = context.spawn(run(), name=name)

    def _settle(self, taken: Attempt, outcome: Outcome, context: Context) -> None:
        """Store what the attempt came to, then act on it."""
        item, attempt = taken.claim.item, taken.claim.attempt
        self._last[item.id] = outcome.by
        if outcome.step is Step.REVIEW:
            self._to_review[item.id] = taken, outcome
        elif outcome.step is Step.COMPLETE:
            fact = WorkCompleted(item_id=item.id, result=outcome.result)
            self._record(fact, item.id, context, attempt)
            self._queue.complete(item.id, attempt=attempt)
            self._forget(item.id)
        elif outcome.step is Step.RETRY:
            self._retry(item, attempt, outcome, context)
        else:
            self._fail(item, attempt, outcome.result, context)

    def _retry(self, item: WorkItem, attempt: int, outcome: Outcome, context: Context) -> None:
        """Let the item go round again, at once or later; or fail it, if it may not."""
        failure = outcome.result.error
        assert failure is not None, "a success is not retried"
        most_s = self._settings.max_retry_after_s
        final = not_retried(item, attempt, failure, max_retry_after_s=most_s)
        if final is not None:
            result = outcome.result.model_copy(update={"error": final})
            self._fail(item, attempt, result, context)
            return
        not_before, not_before_s = None, None
        if wait_s := rest_s(failure, attempt=attempt, max_retry_after_s=most_s):
            not_before = context.clock.now() + timedelta(seconds=wait_s)
            not_before_s = context.clock.monotonic() + wait_s
        fact = WorkReleased(item_id=item.id, reason=failure.message, not_before=not_before)
        self._record(fact, item.id, context, attempt)
        self._queue.release(
            item.id, attempt=attempt, guidance=outcome.guidance, not_before_s=not_before_s
        )

    def _fail(self, item: WorkItem, attempt: int, result: WorkResult, context: Context) -> None:
        fact = WorkFailed(item_id=item.id, result=result)
        event = self._record(fact, item.id, context, attempt)
        dependents = self._queue.fail(item.id, attempt=attempt)
        self._forget(item.id)
        self._fail_dependents(dependents, context, cause=event)

    def _fail_dependents(
        self, item_ids: Iterable[str], context: Context, *, cause: Event | None = None
    ) -> None:
        """Fail what waits for something that will never be completed."""
        for item_id in item_ids:
            item = self._queue.item(item_id)
            lost = next(
                d
                for d in item.dependencies
                if self._queue.state(d) in (WorkState.FAILED, WorkState.CANCELLED)
            )
            failure = dependency_failed(lost, self._queue.state(lost).value)
            if cause is not None:
                self._last[item_id] = cause.seq
            fact = WorkFailed(item_id=item_id, result=WorkResult.failed(item, failure))
            self._record(fact, item_id, context)
            self._queue.fail(item_id)
            self._forget(item_id)

    def _missing(self) -> dict[AgentRole, str]:
        """The roles without an agent, and why."""
        reasons = ((role, self._peers.why_missing(role)) for role in AgentRole)
        return {role: reason for role, reason in reasons if reason is not None}

    def _report_blocked(self, missing: Mapping[AgentRole, str], context: Context) -> None:
        """Say once of each item that is ready that its agent is missing."""
        ready = self._queue.ready(missing, now_s=context.clock.monotonic())
        blocked = [(item.id, missing[item.role]) for item in ready]
        if (reason := missing.get(AgentRole.REVIEWER)) is not None:
            blocked += [(item_id, reason) for item_id in self._to_review]
        for item_id, reason in blocked:
            if item_id not in self._blocked:
                self._blocked.add(item_id)
                self._record(WorkBlocked(item_id=item_id, reason=reason), item_id, context)

    # --- after a restart ---

    def _resume(self, context: Context) -> None:
        """Put what the journal holds back into the queue; attempts under way end here."""
        for stored in self._journal.live_items():
            if stored.state is not WorkState.WAITING:
                self._interrupt(stored, context)
        live = self._journal.live_items()
        never = self._queue.restore(
            live, finished=self._journal.finished(), not_before_s=self._moments_s(live, context)
        )
        self._fail_dependents(never, context)

    def _moments_s(self, live: Iterable[ItemState], context: Context) -> dict[str, float]:
        """When those items may be claimed that rest, by id, on this run's clock."""
        now, now_s = context.clock.now(), context.clock.monotonic()
        left_s = {
            each.item.id: (each.not_before - now).total_seconds()
            for each in live
            if each.not_before is not None
        }
        # A wall clock that was set back must not make anybody wait longer than ever.
        most_s = self._settings.max_retry_after_s
        return {item_id: now_s + min(wait_s, most_s) for item_id, wait_s in left_s.items()}

    def _interrupt(self, stored: ItemState, context: Context) -> None:
        """Record the end of an attempt whose orchestrator ended, and recall its worker."""
        item, reason = stored.item, "the orchestrator ended during the attempt"
        for role in (item.role, AgentRole.REVIEWER, AgentRole.OPTIMIZER):
            if (ref := self._peers.ref(role)) is not None and role is not AgentRole.ORCHESTRATOR:
                with suppress(ActorDownError, MailboxFullError):
                    ref.send_nowait(Recall(item_id=item.id), by=context.by)
        if stored.attempt < item.max_attempts:
            fact = WorkReleased(item_id=item.id, reason=reason)
            self._record(fact, item.id, context, stored.attempt)
            return
        interrupted = Failure(code="interrupted", message=reason)
        failure = attempts_exhausted(item, interrupted)
        result = WorkResult.failed(item, failure, attempt=stored.attempt)
        self._record(WorkFailed(item_id=item.id, result=result), item.id, context, stored.attempt)

    # --- bookkeeping ---

    def _record(
        self,
        fact: WorkBlocked | WorkCancelled | WorkClaimed | WorkCompleted | WorkFailed | WorkReleased,
        item_id: str,
        context: Context,
        attempt: int = 1,
    ) -> Event:
        """Store a fact about an item, caused by the last one about it."""
        event = self._journal.record(
            fact, agent=context.path, attempt=attempt, by=self._last.get(item_id, context.by)
        )
        self._last[item_id] = event.seq
        return event

    def _forget(self, item_id: str) -> None:
        """Let go of what is kept about live items only."""
        self._last.pop(item_id, None)
        self._blocked.discard(item_id)
