"""The supervision tree: the whole system on one page.

::

    tree (supervisor, one_for_one)
      reviewer      judges results
      optimizer     words guidance from verdicts
      executor      does the work; further items at once go to agents of its own
        sub-1, ...  (dynamic supervisor)
      orchestrator  decides what is worked on; started last, stopped first

Each is an actor in front of a bridge, behind which its agent talks to Claude.
Everything that happens is an event: stored by the journal, then published to the
state, the metrics, the callers' handles and whoever subscribed.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random, getrandbits
from types import TracebackType
from typing import Self

from pluggy import PluginManager

from mnemosyne_core.agents import AgentMaker
from mnemosyne_core.claude import AnthropicClient, ClaudeClient
from mnemosyne_core.claude.policies import with_policies
from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.errors import (
    ActorDownError,
    MailboxFullError,
    StorageError,
    TreeNotRunningError,
    UnknownWorkItemError,
    UsageError,
)
from mnemosyne_core.events import (
    AgentFailed,
    AgentRecovered,
    AgentRegistered,
    AgentStopped,
    ChildStarted,
    Event,
    Fact,
    TreeStarted,
    TreeStopped,
    WorkCancelled,
    WorkCompleted,
    WorkFailed,
)
from mnemosyne_core.failpoints import Failpoints
from mnemosyne_core.hooks import event_sinks, plugin_manager
from mnemosyne_core.ids import IdSource, RandomIds
from mnemosyne_core.observe import EventBroadcaster, ItemState, Metrics, StateManager
from mnemosyne_core.roles import (
    AdvancePhase,
    Cancel,
    Submit,
    Wake,
)
from mnemosyne_core.storage import Journal
from mnemosyne_core.supervision import (
    ChildInfo,
    ChildState,
    Exit,
    Ref,
    Supervisor,
    Watchdog,
    keeps_real_time,
)
from mnemosyne_core.tree._cast import Cast
from mnemosyne_core.tree._config import SupervisionConfig
from mnemosyne_core.tree._handle import WorkHandle
from mnemosyne_core.tree._health import Health, HealthStatus, health_of
from mnemosyne_core.tree._roster import Roster
from mnemosyne_core.work import AgentRole, Failure, Phase, WorkItem, WorkResult, WorkState

TREE = "tree"
"""Path of the tree itself in events."""


class SupervisionTree:
    """A supervised system of agents, from submission to result.

    Use it as an async context manager, on one event loop, once. Nothing outlives
    it: no task, thread, process, connection or temporary folder.
    """

    def __init__(
        self,
        config: SupervisionConfig | None = None,
        *,
        client: ClaudeClient | None = None,
        agents: Mapping[AgentRole, AgentMaker] | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        random: Random | None = None,
        plugins: PluginManager | None = None,
        failpoints: Failpoints | None = None,
        redact: Callable[[Fact], Fact] | None = None,
    ) -> None:
        """A tree that has not been started.

        Args:
            config: Settings.
            client: Claude for all agents; stays the caller's to close. Absent: one of the
                tree's own, on the SDK with the environment's key, opened by the first agent.
            agents: Makers for roles that are to have other agents than this package's.
            clock: Where durations and dates come from.
            ids: Where the ids of items and memories come from.
            random: Where jitter comes from; absent: one that the module `random` seeds.
            plugins: Plug-ins of the core; absent: the installed ones.
            failpoints: Where a test lets things go wrong, in all that belongs to the tree.
            redact: Takes secrets out of each fact, before it is stored or told to anybody.

        Raises:
            UnknownRoleError: There is no role of a name in `agents`.
        """
        self._config = config or SupervisionConfig()
        self._client = client
        self._makers = {AgentRole.parse(role): make for role, make in (agents or {}).items()}
        self._clock = clock or LoopClock()
        self._ids = ids or RandomIds()
        # Whoever has seeded the module, as a test does, has seeded the tree.
        self._random = random or Random(getrandbits(64))  # noqa: S311 - jitter is no secret
        self._plugins = plugins or plugin_manager()
        self._failpoints = failpoints
        self._redact = redact
        self._broadcaster = EventBroadcaster(failpoints=failpoints)
        self._state = StateManager(self._broadcaster)
        self._metrics = Metrics()
        self._roster = Roster(self._running_supervisor, self._state)
        self._handles: dict[str, WorkHandle] = {}
        self._outcomes: dict[str, asyncio.Future[WorkResult]] = {}
        self._resources = AsyncExitStack()
        self._journal: Journal | None = None
        self._supervisor: Supervisor | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_over = False
        self._stopped = asyncio.Event()
        self._end: BaseException | None = None
        """What those hear who wait for a result that will not come any more."""

    # --- its life --------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the storage and start the roles; items of an earlier run go on.

        An agent that cannot start does not keep the tree from running: it is degraded.

        Raises:
            StorageError: The database cannot be used.
            StartError: A role's actor did not start.
            TreeNotRunningError: The tree was started before.
        """
        if self._journal is not None or self._is_over:
            raise TreeNotRunningError(reason="a tree is started once; make a new one")
        try:
            await self._start()
        except BaseException:
            self._is_over = True
            await self._resources.aclose()
            self._stopped.set()
            raise

    async def _start(self) -> None:
        journal = self._open_journal()
        workspace = self._open_workspace()
        for sink in (self._metrics.apply, *event_sinks(self._plugins), self._follow):
            self._resources.callback(self._broadcaster.attach(sink))
        await self._open_watchdog(journal)
        started = journal.record(TreeStarted(), agent=TREE)
        cast = Cast(
            config=self._config,
            client=self._open_claude(journal),
            makers=self._makers,
            workspace=workspace,
            journal=journal,
            state=self._state,
            peers=self._roster,
            clock=self._clock,
            ids=self._ids,
            plugins=self._plugins,
            failpoints=self._failpoints,
        )
        self._supervisor = Supervisor(
            cast.child_specs(),
            strategy=self._config.strategy,
            intensity=self._config.intensity,
            recorder=journal,
            clock=self._clock,
            random=self._random,
            name=TREE,
            failpoints=self._failpoints,
        )
        await self._supervisor.start(by=started.seq)
        self._watch = asyncio.create_task(self._watch_over(self._supervisor), name="tree watch")

    async def stop(self, reason: str = "stopped") -> None:
        """Stop the roles in bounded time and close everything.

        Harmless when repeated; who calls it while somebody else does waits for the end, too.

        Handles that wait get `ActorDownError`; with a database their items go on at the
        next start.

        Cancelling this cancels the roles, and passes the cancellation on when they have
        ended.

        Raises:
            Abort: An agent has ended with it.
        """
        if self._is_over:
            await self._stopped.wait()
            return
        self._is_over = True
        try:
            async with self._resources:
                await self._stop(reason)
        finally:
            self._stopped.set()

    async def _stop(self, reason: str) -> None:
        try:
            await self._stop_roles()
        except BaseException:
            # What the tree ended of must not be hidden by a file that fails as well.
            with suppress(StorageError):
                self._say_stopped(reason)
            raise
        self._say_stopped(reason)

    def _say_stopped(self, reason: str) -> None:
        self._settle_all(ActorDownError(path=TREE, reason=reason))
        if self._journal is not None:
            self._journal.record(TreeStopped(reason=reason), agent=TREE)

    async def _stop_roles(self) -> None:
        try:
            if self._supervisor is not None:
                await self._supervisor.stop()
        finally:
            if self._watch is not None:
                # It ends with the supervisor, and with what that ended of.
                await asyncio.wait((self._watch,))
                if not self._watch.cancelled():
                    # Reading the exception tells asyncio that somebody cares.
                    self._watch.exception()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    # --- work ------------------------------------------------------------------------------

    async def submit(self, item: WorkItem | Mapping[str, object]) -> WorkHandle:
        """Take one item; it is stored when this returns.

        Args:
            item: A work item, or a mapping with its fields; without an `id` one is minted.

        Raises:
            InvalidWorkItemError: It is no work item; nothing was stored.
            WorkError: It cannot be taken (duplicate, unknown dependency, queue full);
                nothing was stored.
            TreeNotRunningError: The tree does not run.
            ActorDownError: The orchestrator died over it before it was stored.
        """
        (handle,) = await self.submit_all((item,))
        return handle

    async def submit_all(
        self, items: Iterable[WorkItem | Mapping[str, object]]
    ) -> tuple[WorkHandle, ...]:
        """Take items, all or none; they may depend on each other in any order.

        Raises:
            DependencyCycleError: They wait for each other.
            WorkError: As for `submit`.
        """
        self._running_supervisor()
        parsed = tuple(self._parse(item) for item in items)
        known = {item.id for item in parsed if self._state.item(item.id) is not None}
        try:
            await self._ask(Submit(items=parsed))
        except ActorDownError:
            # An orchestrator that died after it had stored them goes on with them.
            if known or not all(map(self._is_stored, parsed)):
                raise
        return tuple(self.handle(item.id) for item in parsed)

    def handle(self, item_id: str) -> WorkHandle:
        """The handle of an item that was submitted, in this run or an earlier one.

        Raises:
            UnknownWorkItemError: No item has this id.
        """
        item = self._state.item(item_id)
        if item is None:
            raise UnknownWorkItemError(item_id=item_id)
        if item_id not in self._handles:
            outcome = self._outcomes[item_id] = asyncio.get_running_loop().create_future()
            if item.state.is_final:
                outcome.set_result(_final_result(item))
            elif self._end is not None:
                _break(outcome, self._end)
            self._handles[item_id] = WorkHandle(
                item_id, outcome=outcome, state=self._state_of, cancel=self._cancel
            )
        return self._handles[item_id]

    async def advance_phase(self, to: Phase) -> None:
        """Enter the project's next phase.

        Raises:
            IllegalPhaseTransitionError: `to` may not follow the present phase.
        """
        await self._ask(AdvancePhase(to=to))

    async def restart_agent(self, role: AgentRole | str) -> None:
        """Replace a role's actor, bridge and agent by hand; it does not count as a restart.

        What the agent was working on goes round again. Use it when whatever an agent was
        missing is there now. It is finished also when the caller is cancelled.

        Raises:
            UnknownRoleError: There is no such role.
            TreeNotRunningError: The tree does not run.
            StartError: The actor did not start; ask again.
        """
        await self._running_supervisor().replace_child(AgentRole.parse(role).value)

    # --- what can be asked -----------------------------------------------------------------

    @property
    def config(self) -> SupervisionConfig:
        """The tree's settings."""
        return self._config

    @property
    def journal(self) -> Journal:
        """Every event and item; closed when the tree has stopped.

        Raises:
            TreeNotRunningError: The tree was never started.
        """
        if self._journal is None:
            raise TreeNotRunningError(reason="it was never started; await start() first")
        return self._journal

    @property
    def broadcaster(self) -> EventBroadcaster:
        """Where events can be followed."""
        return self._broadcaster

    @property
    def state(self) -> StateManager:
        """The tree's state, kept up to date by its events."""
        return self._state

    @property
    def metrics(self) -> Metrics:
        """What is counted and measured."""
        return self._metrics

    @property
    def phase(self) -> Phase:
        """How far the project has come."""
        return self._state.phase

    @property
    def is_running(self) -> bool:
        """Whether items can be submitted."""
        return not self._is_over and self._supervisor is not None and self._supervisor.is_running

    def is_healthy(self) -> bool:
        """Whether every role has a working agent, and every sub-agent works."""
        return self.health().status is HealthStatus.HEALTHY

    def health(self) -> Health:
        """How the tree and each agent are doing."""
        failure = self._supervisor.failure if self._supervisor is not None else None
        reason = str(failure) if failure is not None else "not running"
        # One that is starting for the first time lacks nothing yet.
        sub_agents = [
            child.path for child in self.sub_agents() if child.state is not ChildState.STOPPED
        ]
        paths = [*(role.value for role in AgentRole), *sub_agents]
        return health_of(
            {path: agent for path in paths if (agent := self._state.agent(path))},
            running=self.is_running,
            missing_agent=self._config.missing_agent,
            sub_agents=sub_agents,
            reason=reason,
        )

    def children(self) -> tuple[ChildInfo, ...]:
        """The roles' actors in start order: states, incarnations, restarts, reasons."""
        return self._supervisor.which_children() if self._supervisor is not None else ()

    def sub_agents(self) -> tuple[ChildInfo, ...]:
        """The actors of the agents that the executor has at the moment beside its own.

        They are started when several items come at once, and kept. None of them counts
        among `children`.
        """
        return self._roster.sub_agents(AgentRole.EXECUTOR)

    # --- within ----------------------------------------------------------------------------

    def _open_journal(self) -> Journal:
        path = self._config.database or ":memory:"
        self._journal = Journal.open(
            path, broadcaster=self._broadcaster, clock=self._clock, redact=self._redact
        )
        self._resources.callback(self._journal.close)
        for event in self._journal.events():
            self._state.apply(event)
        return self._journal

    def _open_claude(self, journal: Journal) -> ClaudeClient:
        """Claude for all agents, behind one set of policies."""
        client = self._client
        if client is None:
            client = AnthropicClient()
            self._resources.push_async_callback(client.aclose)
        return with_policies(
            client, self._config.claude, recorder=journal, clock=self._clock, random=self._random
        )

    def _open_workspace(self) -> Path:
        if self._config.workspace is not None:
            return self._config.workspace
        folder = tempfile.TemporaryDirectory(prefix="mnemosyne-", ignore_cleanup_errors=True)
        self._resources.callback(folder.cleanup)
        return Path(folder.name)

    async def _open_watchdog(self, journal: Journal) -> None:
        after_s = self._config.watchdog_s
        if after_s is not None and keeps_real_time():
            await self._resources.enter_async_context(Watchdog(journal, after_s=after_s, path=TREE))

    def _follow(self, event: Event) -> None:
        """Settle the handles, and wake those who give out work when somebody comes or goes."""
        match event.fact:
            case WorkCompleted(item_id=item_id, result=result):
                self._settle(item_id, result)
            case WorkFailed(item_id=item_id, result=result):
                self._settle(item_id, result)
            case WorkCancelled(item_id=item_id, reason=reason):
                if (item := self._state.item(item_id)) is not None:
                    self._settle(item_id, _cancelled(item, reason))
            case (
                AgentRegistered()
                | AgentRecovered()
                | AgentFailed()
                | AgentStopped()
                | ChildStarted()
            ):
                self._wake(event)

    def _wake(self, event: Event) -> None:
        """Have those look again who give out work: the executor does, among its agents."""
        wakes = [AgentRole.ORCHESTRATOR]
        if isinstance(event.fact, AgentRegistered) and event.fact.role is AgentRole.EXECUTOR:
            wakes.insert(0, AgentRole.EXECUTOR)
        for role in wakes:
            if (ref := self._roster.ref(role)) is not None:
                with suppress(ActorDownError, MailboxFullError):
                    ref.send_nowait(Wake(), by=event.seq)

    def _settle(self, item_id: str, result: WorkResult) -> None:
        outcome = self._outcomes.get(item_id)
        if outcome is not None and not outcome.done():
            outcome.set_result(result)

    def _settle_all(self, error: BaseException) -> None:
        self._end = self._end or error
        for outcome in self._outcomes.values():
            if not outcome.done():
                _break(outcome, self._end)

    async def _watch_over(self, supervisor: Supervisor) -> None:
        """Let everybody know at once when the tree ends by itself."""
        try:
            await supervisor.wait()
        except asyncio.CancelledError:
            raise
        except (KeyboardInterrupt, SystemExit) as error:
            # It ends the program: whoever stops the tree raises it, or else it is raised here.
            self._settle_all(ActorDownError(path=TREE, reason=Exit.of(error).reason))
            if not self._is_over:
                raise
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            self._settle_all(error)

    def _running_supervisor(self) -> Supervisor:
        if self._is_over:
            raise TreeNotRunningError(reason="it has stopped; make a new one")
        if self._supervisor is None:
            raise TreeNotRunningError(reason="it was never started; await start() first")
        return self._supervisor

    async def _ask(self, message: object) -> object:
        """The orchestrator's answer; waits for it while it is being restarted."""
        self._running_supervisor()
        ref = self._roster.ref(AgentRole.ORCHESTRATOR) or await self._restarted_orchestrator()
        return await ref.ask(message)

    async def _restarted_orchestrator(self) -> Ref:
        supervisor = self._running_supervisor()
        assert self._watch is not None, "a started tree is watched"
        reach = asyncio.create_task(self._roster.reach(AgentRole.ORCHESTRATOR, with_agent=False))
        try:
            await asyncio.wait({reach, self._watch}, return_when=asyncio.FIRST_COMPLETED)
            if not reach.done():
                raise TreeNotRunningError(reason=str(supervisor.failure or "it was stopped"))
            return reach.result()
        finally:
            reach.cancel()
            await asyncio.wait({reach})

    def _parse(self, item: WorkItem | Mapping[str, object]) -> WorkItem:
        needs_id = isinstance(item, Mapping) and item.get("id") is None
        return WorkItem.parse(item, mint_id=self._ids.mint("work") if needs_id else None)

    def _state_of(self, item_id: str) -> WorkState:
        item = self._state.item(item_id)
        if item is None:
            raise UnknownWorkItemError(item_id=item_id)
        return item.state

    def _is_stored(self, item: WorkItem) -> bool:
        stored = self._state.item(item.id)
        return stored is not None and stored.item == item

    async def _cancel(self, item_id: str, reason: str) -> bool:
        if not isinstance(reason, str):
            raise UsageError(f"the reason of a cancellation is a text, got {reason!r}")
        reason = reason.encode(errors="backslashreplace").decode()
        return bool(await self._ask(Cancel(item_id=item_id, reason=reason)))


def _break(outcome: asyncio.Future[WorkResult], error: BaseException) -> None:
    outcome.set_exception(error)
    # Nobody may be waiting; the item's state says what became of it.
    outcome.exception()


def _final_result(item: ItemState) -> WorkResult:
    if item.state is WorkState.CANCELLED or item.result is None:
        return _cancelled(item, "cancelled")
    return item.result


def _cancelled(item: ItemState, reason: str) -> WorkResult:
    failure = Failure(code="cancelled", message=reason, retryable=False)
    return WorkResult.failed(item.item, failure, attempt=item.attempt)
