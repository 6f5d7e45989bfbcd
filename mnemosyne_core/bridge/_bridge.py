"""The bridge: the boundary between a supervised actor and the agent that works for it.

It knows nothing of what an agent is, only how to reach one: a transport that
carries bytes. It watches over what comes back, and keeps this table:

========================  ========================================================
what happens              what the bridge does
========================  ========================================================
the work fails            a failed result; counted as an error if the agent is at
                          fault, see `mnemosyne_core.bridge._health`
an answer is garbage      a failed result, counted
the work takes long       cancelled at its timeout: a failed result, counted
3 errors in 60 s          degraded, until fewer than 3 are that young
5 errors in 60 s          the agent is replaced, its other work fails as agent gone,
                          new work waits; the count starts again
the agent is gone         the same at once: at the first error, or before the next work
no beat for 2.5 beats     stale, until it is heard of again
no beat for 4 beats       dead: replaced, its work fails as agent gone
replaced within 60 s      before the next replacement there is a pause of 1, 2, 4,
                          ... 16 s, so that an agent that dies of everything does
                          not use up the attempts of all items within an instant
it cannot be started      failed: work is refused with `AgentUnavailableError`; tried
                          again after 5, 10, 20, ... 300 s, unless what it lacks
                          cannot come while the process lives
========================  ========================================================

The old session is closed before the new one is opened; settings, path and what makes
the agents stay the same. Replacements and tries are tasks of the bridge: a caller that
is cancelled while it waits for one does not leave a half-replaced agent behind.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from mnemosyne_core.bridge._changes import Changes
from mnemosyne_core.bridge._delegation import Outcome, delegate
from mnemosyne_core.bridge._envelope import WorkEnvelope
from mnemosyne_core.bridge._health import Blame, BridgeState, blame_for
from mnemosyne_core.bridge._log import logger_of
from mnemosyne_core.bridge._pauses import Pauses
from mnemosyne_core.bridge._reporter import HealthReporter
from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._spawning import is_foreseen, late_start_error, spawn_error
from mnemosyne_core.bridge._transport import AgentGoneError, Transport
from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.errors import (
    AgentUnavailableError,
    BridgeSpawnError,
    UsageError,
)
from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRegistered,
    AgentRestarted,
    AgentStopped,
    ChildLeaked,
    Event,
    Fact,
    Recorder,
)
from mnemosyne_core.observe import silence
from mnemosyne_core.work import AgentRole, Failure, WorkItem, WorkResult


class ClaudeAgentBridge:
    """One agent, reached over a transport, watched and replaced when it fails too often."""

    def __init__(
        self,
        role: AgentRole | str,
        *,
        recorder: Recorder,
        transport: Transport,
        path: str | None = None,
        clock: Clock | None = None,
        settings: BridgeSettings | None = None,
    ) -> None:
        """A bridge without an agent; `spawn` brings one up.

        Args:
            role: The agent's role, or its name.
            recorder: Where the bridge says what happens.
            transport: How to reach the agent; belongs to this bridge alone.
            path: The agent's path from the tree's root; absent: the role's name.
            clock: What the window of errors is measured with.
            settings: Bounds.

        Raises:
            UnknownRoleError: There is no such role.
        """
        self._role = AgentRole.parse(role)
        self._path = path or self._role.value
        self._recorder = recorder
        self._transport = transport
        self._clock = clock or LoopClock()
        self._settings = settings or BridgeSettings()
        self._life = BridgeState.NEW
        self._health = HealthReporter(
            self._settings,
            recorder=recorder,
            path=self._path,
            clock=self._clock,
            on_dead=self._died,
        )
        self._failure: BridgeSpawnError | None = None
        """Why there is no agent, after a start that failed."""
        self._incarnation = 0
        self._up_since_s = 0.0
        self._pauses = Pauses(self._settings)
        self._why_replaced = ""
        self._sent = 0
        self._at_work = 0
        self._slots = asyncio.Semaphore(self._settings.max_concurrent)
        self._changing = asyncio.Lock()
        self._changes = Changes()
        self._replacement: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None
        """Goes on trying to start an agent."""
        self._beat: Callable[[], None] | None = None

    @property
    def role(self) -> AgentRole:
        """The agent's role."""
        return self._role

    @property
    def path(self) -> str:
        """The agent's path from the tree's root."""
        return self._path

    @property
    def incarnation(self) -> int:
        """How many agents there have been, with the present one."""
        return self._incarnation

    @property
    def state(self) -> BridgeState:
        """Where the bridge stands at this moment; asking notices a recovery."""
        if not self._is_ready:
            return self._life
        self._health.tell()
        if self._health.is_stale:
            return BridgeState.STALE
        return BridgeState.DEGRADED if self._health.is_degraded else BridgeState.READY

    @property
    def error_count(self) -> int:
        """Errors of the present agent that are still in the window."""
        return self._health.error_count if self._is_ready else 0

    async def spawn(self, *, by: int | None = None, keep_trying: bool = False) -> None:
        """Bring up an agent, unless there is one; also after a failure or a shutdown.

        Args:
            by: Sequence number of the event that led to it.
            keep_trying: Do not raise when it cannot start now: until `shutdown`, the
                bridge tries again as its settings say. The state tells.

        Raises:
            BridgeSpawnError: It cannot start; says what is missing.
        """
        # A replacement that has only begun does not have the lock yet, and there is still
        # the old agent.
        await self._wait_replaced()
        async with self._changing:
            if self._is_ready:
                return
            self._life = BridgeState.STARTING
            try:
                await self._start(by, restart=None, keep_trying=keep_trying)
            except BridgeSpawnError:
                if not keep_trying:
                    raise

    async def send_work(
        self,
        item: WorkItem,
        *,
        attempt: int = 1,
        guidance: tuple[str, ...] = (),
        by: int | None = None,
    ) -> WorkResult:
        """Have the agent make one attempt at `item`; a failure is a result.

        Waits for a free place among `max_concurrent`, and for the new agent while one
        is being replaced. Cancelling it ends the agent's work on the item.

        Args:
            item: The work.
            attempt: Which attempt this is, from 1.
            guidance: What earlier attempts taught.
            by: Sequence number of the event that led to it.

        Raises:
            AgentUnavailableError: There is no agent.
            InvalidWorkItemError: `item` is none.
            UsageError: `attempt` is not 1 or more.
        """
        item = WorkItem.parse(item)
        if attempt < 1:
            raise UsageError(f"attempts count from 1, got {attempt!r}")
        async with self._slots:
            await self._wait_available()
            self._health.tell()
            incarnation = self._incarnation
            active = self._record(AgentActive(item_id=item.id), attempt=attempt, by=by)
            self._at_work += 1
            try:
                outcome = await self._delegate(item, attempt, guidance, active)
            finally:
                self._at_work -= 1
                if not self._at_work and self._is_ready:
                    self._record(AgentIdle(), attempt=attempt, by=active.seq)
            # Whoever was already replaced or stopped has nothing more to answer for.
            if self._is_ready and self._incarnation == incarnation:
                await self._judge(outcome, active)
            return outcome.result

    async def until_broken(self) -> None:
        """Wait until a replacement or a try ends as nothing foreseen may, and raise what it did.

        An agent's `Abort` is such an end. Whoever owns a bridge runs this beside its work;
        otherwise the next sender hears of it, or who shuts the bridge down.
        """
        await self._changes.until_broken()

    async def shutdown(self) -> None:
        """End the agent in bounded time; its work comes back as failed. Harmless when repeated."""
        had_agent = self._life in (BridgeState.READY, BridgeState.RESTARTING)
        self._life = BridgeState.STOPPED
        await self._changes.cancel(self._replacement, self._trying)
        async with self._changing:
            # A spawn that was under way has ended by now, and there may be an agent after all.
            had_agent = had_agent or self._is_ready
            self._life = BridgeState.STOPPED
            if had_agent:
                await self._stop_agent(by=None)
                self._record(AgentStopped())
        self._changes.raise_unheard()

    async def __aenter__(self) -> Self:
        await self.spawn()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.shutdown()

    @property
    def _is_ready(self) -> bool:
        return self._life is BridgeState.READY

    # --- one item ----------------------------------------------------------------------

    async def _wait_available(self) -> None:
        if self._life is BridgeState.STARTING:
            async with self._changing:
                pass
        if self._is_ready and not self._transport.is_up:
            # Work would only find out that it is gone, and lose an attempt over it.
            self._begin_replacement("it had ended by itself", by=self._health.last_sign)
        await self._wait_replaced()
        self._changes.raise_unheard()
        if not self._is_ready:
            raise self._unavailable()

    async def _wait_replaced(self) -> None:
        while self._replacement is not None and not self._replacement.done():
            await self._changes.join(self._replacement)

    def _unavailable(self) -> AgentUnavailableError:
        match self._life, self._failure:
            case BridgeState.NEW, _:
                reason, hint = "its bridge was never spawned; await spawn() first", ""
            case BridgeState.FAILED, BridgeSpawnError() as failure:
                reason, hint = str(failure), failure.hint
            case _:
                reason, hint = f"its bridge is {self._life}", ""
        return AgentUnavailableError(role=self._role, reason=reason, hint=hint)

    async def _delegate(
        self, item: WorkItem, attempt: int, guidance: tuple[str, ...], active: Event
    ) -> Outcome:
        self._sent += 1
        incarnation = self._incarnation
        work = WorkEnvelope(
            seq=self._sent,
            agent=self._path,
            attempt=attempt,
            by=active.seq,
            item=item,
            guidance=guidance,
        )
        timeout_s = item.timeout_s or self._settings.default_timeout_s
        outcome = await delegate(self._transport, work, timeout_s=timeout_s, clock=self._clock)
        replaced = self._life is BridgeState.RESTARTING or self._incarnation != incarnation
        if outcome.agent_gone and replaced:
            # The transport only knows that it was stopped.
            why = f"the agent was replaced while it worked on this: {self._why_replaced}"
            failure = Failure.of(AgentGoneError(why))
            result = outcome.result.model_copy(update={"error": failure})
            return Outcome(result, agent_gone=True)
        return outcome

    # --- health ------------------------------------------------------------------------

    async def _judge(self, outcome: Outcome, active: Event) -> None:
        """Draw from one outcome what it says of the agent."""
        failure = outcome.result.error
        if failure is None:
            self._health.succeeded(active)
            return
        match blame_for(failure):
            case Blame.WORK:
                return
            case Blame.CIRCUMSTANCES:
                self._health.lacks(failure, active)
            case Blame.AGENT:
                erred = self._health.erred(failure, active)
                is_gone = outcome.agent_gone or not self._transport.is_up
                if is_gone or self._health.error_count >= self._settings.restart_after:
                    replacement = self._begin_replacement(failure.message, by=erred.seq)
                    await self._changes.join(replacement)
                else:
                    self._health.tell(attempt=active.attempt, by=erred.seq)

    def _died(self, silent_s: float, died: Event) -> None:
        self._begin_replacement(silence(silent_s), by=died.seq)

    # --- the agent's life --------------------------------------------------------------

    async def _start(
        self, by: int | None, *, restart: AgentRestarted | None, keep_trying: bool
    ) -> None:
        """Bring up an agent; needs the lock.

        Args:
            by: Sequence number of the event that led to it.
            restart: What is recorded before the new agent, if it replaces one.
            keep_trying: Whether to try again later if it cannot start, and it may help.
        """
        self._health.expect()
        self._beat = self._make_beat(by, restart)
        timer = asyncio.timeout(self._settings.start_timeout_s)
        try:
            async with timer:
                await self._transport.start(self._path, self._settings, self._beat)
        except Exception as error:
            self._beat = None
            if not is_foreseen(error):
                logger_of(self._path).error("agent %s cannot start", self._path, exc_info=error)
            found = (
                late_start_error(self._role, self._settings.start_timeout_s)
                if timer.expired()
                else spawn_error(self._role, error)
            )
            self._life = BridgeState.FAILED
            self._say_failed(found, by, keep_trying=keep_trying)
            raise found from error
        except BaseException:
            self._beat = None
            self._life = BridgeState.STOPPED
            raise
        self._failure = None
        self._up_since_s = self._clock.monotonic()
        self._life = BridgeState.READY
        self._health.begin()

    def _say_failed(self, found: BridgeSpawnError, by: int | None, *, keep_trying: bool) -> None:
        """Record why there is no agent, unless that is known, and go on trying if it may help."""
        before, self._failure = self._failure, found
        goes_on = self._trying is not None and not self._trying.done()
        may_help = found.may_pass and self._pauses.tries_again
        tries_again = may_help and (keep_trying or goes_on)
        if not (goes_on and tries_again and str(before) == str(found)):
            failure = Failure.of(found, retryable=False)
            fact = AgentFailed(role=self._role, error=failure, tries_again=tries_again)
            by = self._record(fact, by=by).seq
        if tries_again and not goes_on:
            self._trying = self._changes.begin(self._keep_trying(by))

    async def _keep_trying(self, by: int | None) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(self._pauses.before_try_s(number))
            async with self._changing:
                # Somebody else may have spawned an agent, or tried in vain and said why.
                if self._life is not BridgeState.FAILED:
                    return
                self._life = BridgeState.STARTING
                with suppress(BridgeSpawnError):
                    await self._start(by, restart=None, keep_trying=True)
                if self._failure is None or not self._failure.may_pass:
                    return

    def _begin_replacement(self, reason: str, *, by: int | None) -> asyncio.Task[None]:
        """From now on work waits for the new agent; says why in its events."""
        self._life = BridgeState.RESTARTING
        restart = AgentRestarted(errors=self._health.error_count, reason=reason)
        self._health.end()
        self._why_replaced = reason
        self._pauses.note_end(self._clock.monotonic() - self._up_since_s)
        self._replacement = self._changes.begin(self._replace(restart, by))
        return self._replacement

    async def _replace(self, restart: AgentRestarted, by: int | None) -> None:
        async with self._changing:
            await self._stop_agent(by=by)
            if (pause_s := self._pauses.before_replacement_s()) > 0:
                times = self._pauses.replaced_in_a_row
                reason = f"replaced {times} times in a row, next in {pause_s:g} s"
                reason = f"{reason}; {restart.reason}"
                self._record(AgentDegraded(errors=restart.errors, reason=reason), by=by)
                await asyncio.sleep(pause_s)
            # A failed start is recorded; from now on whoever sends work hears of it.
            with suppress(BridgeSpawnError):
                await self._start(by, restart=restart, keep_trying=True)

    async def _stop_agent(self, *, by: int | None) -> None:
        """End the agent; needs the lock."""
        self._beat = None
        self._health.end()
        try:
            ended = await self._transport.stop(self._settings.shutdown_s)
        except Exception as error:  # noqa: BLE001 - its session broke while it closed; it is over
            fact = AgentErred(error=Failure.of(error), errors=1)
            self._record(fact, by=by)
            return
        if not ended:
            self._record(ChildLeaked(child=self._path, shutdown_s=self._settings.shutdown_s), by=by)

    def _make_beat(self, by: int | None, restart: AgentRestarted | None) -> Callable[[], None]:
        registered: Event | None = None

        def beat() -> None:
            nonlocal registered
            if self._beat is not beat:
                # An agent that was given up is still breathing somewhere.
                return
            if registered is None:
                cause = by if restart is None else self._record(restart, by=by).seq
                self._incarnation += 1
                fact = AgentRegistered(role=self._role, incarnation=self._incarnation)
                registered = self._record(fact, by=cause)
            self._health.heard(self._record(AgentHeartbeat(), by=registered.seq))

        return beat

    def _record(self, fact: Fact, *, attempt: int = 1, by: int | None = None) -> Event:
        return self._recorder.record(fact, agent=self._path, attempt=attempt, by=by)
