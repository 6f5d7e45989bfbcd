"""The bridge: the boundary between a supervised actor and the agent that works for it.

It knows nothing of what an agent is, only how to reach one: a transport that
carries bytes. It watches over what comes back, and keeps this table:

=====================  ===========================================================
what happens           what the bridge does
=====================  ===========================================================
the work fails         a failed result; counts as an error, unless the work itself
                       was at fault (too large, refused)
an answer is garbage   a failed result, counted
the work takes long    cancelled at its timeout: a failed result, counted
3 errors in 60 s       degraded, until fewer than 3 are that young
5 errors in 60 s       the agent is replaced, its other work fails, new work waits;
                       the count starts again
the agent is gone      replaced at once
it cannot be replaced  failed: work is refused with `AgentUnavailableError`
=====================  ===========================================================

The replacement is a task of the bridge: a caller that is cancelled while it waits
for it does not leave a half-replaced agent behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mnemosyne_core.agents import is_items_fault
from mnemosyne_core.bridge._envelope import ResultEnvelope, WorkEnvelope
from mnemosyne_core.bridge._health import BridgeState, ErrorWindow
from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._spawning import late_start_error, spawn_error
from mnemosyne_core.bridge._transport import AgentGoneError, Transport
from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.errors import (
    AgentUnavailableError,
    BridgeSpawnError,
    UsageError,
    WorkTimeoutError,
)
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
    Event,
    Fact,
    Recorder,
)
from mnemosyne_core.work import AgentRole, Failure, WorkItem, WorkResult


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What putting one item to the agent came to."""

    result: WorkResult
    agent_gone: bool = False


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
        self._degraded = False
        self._errors = ErrorWindow(self._settings.window_s)
        self._failure = ""
        self._incarnation = 0
        self._sent = 0
        self._at_work = 0
        self._slots = asyncio.Semaphore(self._settings.max_concurrent)
        self._changing = asyncio.Lock()
        self._replacement: asyncio.Task[None] | None = None
        self._unheard: BaseException | None = None
        """What a replacement failed of, until somebody was told."""
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
        self._notice_recovery()
        if self._degraded and self._is_ready:
            return BridgeState.DEGRADED
        return self._life

    @property
    def error_count(self) -> int:
        """Errors of the present agent that are still in the window."""
        if not self._is_ready:
            return 0
        return self._errors.count(self._clock.monotonic())

    async def spawn(self, *, by: int | None = None) -> None:
        """Bring up an agent, unless there is one; also after a failure or a shutdown.

        Args:
            by: Sequence number of the event that led to it.

        Raises:
            BridgeSpawnError: It cannot start; says what is missing.
        """
        async with self._changing:
            if not self._is_ready:
                self._life = BridgeState.STARTING
                await self._start(by, restart=None)

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
            self._notice_recovery()
            incarnation = self._incarnation
            active = self._record(AgentActive(item_id=item.id), attempt=attempt, by=by)
            self._at_work += 1
            try:
                outcome = await self._delegate(item, attempt, guidance, active)
            finally:
                self._at_work -= 1
                if not self._at_work and self._is_ready:
                    self._record(AgentIdle(), attempt=attempt, by=active.seq)
            failure = outcome.result.error
            # Whoever was already replaced or stopped has nothing more to answer for.
            present = self._is_ready and self._incarnation == incarnation
            if failure is not None and present and not is_items_fault(failure):
                await self._count_error(failure, active, agent_gone=outcome.agent_gone)
            return outcome.result

    async def shutdown(self) -> None:
        """End the agent in bounded time; its work comes back as failed. Harmless when repeated."""
        had_agent = self._life in (BridgeState.READY, BridgeState.RESTARTING)
        self._life = BridgeState.STOPPED
        if self._replacement is not None and not self._replacement.done():
            self._replacement.cancel()
            await asyncio.wait({self._replacement})
        async with self._changing:
            # A spawn that was under way has ended by now, and there may be an agent after all.
            had_agent = had_agent or self._is_ready
            self._life = BridgeState.STOPPED
            if had_agent:
                await self._stop_agent(by=None)
                self._record(AgentStopped())
        self._raise_unheard()

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
        while self._replacement is not None and not self._replacement.done():
            await self._join(self._replacement)
        self._raise_unheard()
        if not self._is_ready:
            raise AgentUnavailableError(role=self._role, reason=self._why_unavailable())

    def _why_unavailable(self) -> str:
        match self._life:
            case BridgeState.NEW:
                return "its bridge was never spawned; await spawn() first"
            case BridgeState.FAILED:
                return self._failure
            case _:
                return f"its bridge is {self._life}"

    async def _delegate(
        self, item: WorkItem, attempt: int, guidance: tuple[str, ...], active: Event
    ) -> _Outcome:
        self._sent += 1
        started_s = self._clock.monotonic()
        timeout_s = item.timeout_s or self._settings.default_timeout_s
        gone = False
        timer = asyncio.timeout(timeout_s)
        try:
            work = WorkEnvelope(
                seq=self._sent,
                agent=self._path,
                attempt=attempt,
                by=active.seq,
                item=item,
                guidance=guidance,
            )
            async with timer:
                content = await self._transport.execute(work.to_bytes())
            answer = ResultEnvelope.from_bytes(content)
            answer.check_answers(work)
            return _Outcome(answer.result)
        except Exception as error:  # noqa: BLE001 - a transport is a stranger's code; its end is data
            gone = isinstance(error, AgentGoneError)
            if timer.expired():
                error = WorkTimeoutError(item_id=item.id, timeout_s=timeout_s)
            failure = Failure.of(error)
        duration_s = self._clock.monotonic() - started_s
        result = WorkResult.failed(item, failure, attempt=attempt, duration_s=duration_s)
        return _Outcome(result, agent_gone=gone)

    # --- health ------------------------------------------------------------------------

    async def _count_error(self, failure: Failure, active: Event, *, agent_gone: bool) -> None:
        errors = self._errors.record(self._clock.monotonic())
        erred = self._record(
            AgentErred(error=failure, errors=errors), attempt=active.attempt, by=active.seq
        )
        if agent_gone or errors >= self._settings.restart_after:
            self._life = BridgeState.RESTARTING
            restart = AgentRestarted(errors=errors, reason=failure.message)
            self._replacement = asyncio.create_task(self._replace(restart, by=erred.seq))
            self._replacement.add_done_callback(self._replaced)
            await self._join(self._replacement)
        elif errors >= self._settings.degraded_after and not self._degraded:
            self._degraded = True
            self._record(
                AgentDegraded(errors=errors, reason=failure.message),
                attempt=active.attempt,
                by=erred.seq,
            )

    def _notice_recovery(self) -> None:
        if not self._degraded or not self._is_ready:
            return
        if self._errors.count(self._clock.monotonic()) < self._settings.degraded_after:
            self._degraded = False
            self._record(AgentRecovered())

    # --- the agent's life --------------------------------------------------------------

    async def _start(self, by: int | None, *, restart: AgentRestarted | None) -> None:
        """Bring up an agent; needs the lock."""
        self._errors.clear()
        self._degraded = False
        self._beat = self._make_beat(by, restart)
        timer = asyncio.timeout(self._settings.start_timeout_s)
        try:
            async with timer:
                await self._transport.start(self._path, self._settings, self._beat)
        except Exception as error:
            self._beat = None
            found = (
                late_start_error(self._role, self._settings.start_timeout_s)
                if timer.expired()
                else spawn_error(self._role, error)
            )
            self._life = BridgeState.FAILED
            self._failure = str(found)
            failure = Failure.of(found, retryable=False)
            self._record(AgentFailed(role=self._role, error=failure), by=by)
            raise found from error
        except BaseException:
            self._beat = None
            self._life = BridgeState.STOPPED
            raise
        self._life = BridgeState.READY

    async def _replace(self, restart: AgentRestarted, *, by: int) -> None:
        async with self._changing:
            await self._stop_agent(by=by)
            try:
                await self._start(by, restart=restart)
            except BridgeSpawnError:
                # Recorded; from now on whoever sends work hears that there is no agent.
                return

    def _replaced(self, task: asyncio.Task[None]) -> None:
        self._unheard = None if task.cancelled() else task.exception()

    async def _join(self, task: asyncio.Task[None]) -> None:
        """Wait for a task that goes on if we are cancelled; its own cancellation is not ours."""
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            self._unheard = None
            raise error

    def _raise_unheard(self) -> None:
        # Whoever waited for the replacement may have left before it failed.
        error, self._unheard = self._unheard, None
        if error is not None:
            raise error

    async def _stop_agent(self, *, by: int | None) -> None:
        """End the agent; needs the lock."""
        self._beat = None
        self._degraded = False
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
            self._record(AgentHeartbeat(), by=registered.seq)
            self._notice_recovery()

        return beat

    def _record(self, fact: Fact, *, attempt: int = 1, by: int | None = None) -> Event:
        return self._recorder.record(fact, agent=self._path, attempt=attempt, by=by)
