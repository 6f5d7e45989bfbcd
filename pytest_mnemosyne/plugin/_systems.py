"""Trees and bridges for tests: wired to the test's Claude, ended and checked with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mnemosyne_core.agents import AgentMaker, AgentPlace, AgentSettings, default_agent
from mnemosyne_core.bridge import (
    AgentFactory,
    AgentSource,
    BridgeSettings,
    ClaudeAgentBridge,
    transport_to,
)
from mnemosyne_core.claude import AnthropicClient, ClaudeClient
from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.errors import Abort, UsageError
from mnemosyne_core.events import Event, Fact
from mnemosyne_core.hooks import hookimpl, plugin_manager
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole
from pytest_mnemosyne.plugin._event_log import EventLog
from pytest_mnemosyne.plugin._leaks import Footprint
from pytest_mnemosyne.simulation.loop import VirtualClock, VirtualLoop

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

    from pytest_mnemosyne.plugin._faults import FaultInjector
    from pytest_mnemosyne.simulation.faults import PlannedFailpoints


@dataclass(kw_only=True)
class Surroundings:
    """What a test lends to the systems that it makes."""

    cleanup: AsyncExitStack
    """Unwound on the test's loop when the test is over."""

    claude: AsyncAnthropic
    log: EventLog
    ids: CountedIds
    folder: Path
    counts_sockets: bool
    """Whether open sockets are leaks: a client that calls Claude keeps some."""

    has_refused: Callable[[], bool]
    """Whether a request to Claude was refused in this test, which fails it by itself."""

    faults: FaultInjector | None
    """The test's plan, if it has one."""

    redact: Callable[[Fact], Fact]
    """Takes secrets out of what is recorded of a system."""

    _watched: bool = field(default=False, init=False)

    def watch(self) -> None:
        """Take stock before the first system starts, and again after the last has ended."""
        if self._watched:
            return
        self._watched = True
        before = Footprint.now()

        async def check() -> None:
            if self.faults is not None:
                await self.faults.release()
            leaked = Footprint.now().leaked_since(before, sockets=self.counts_sockets)
            if leaked:
                listed = "\n".join(f"  {each}" for each in leaked)
                pytest.fail(f"left behind at the end of the test:\n{listed}", pytrace=False)

        self.cleanup.push_async_callback(check)

    @property
    def failpoints(self) -> PlannedFailpoints | None:
        """Where the test's plan lets something go wrong."""
        return None if self.faults is None else self.faults.failpoints

    def end_with_test(self, end: Callable[[], Awaitable[None]]) -> None:
        """End a system with the test; what refused requests did to it is told already."""

        async def ended() -> None:
            try:
                await end()
            except Abort:
                if not self.has_refused():
                    raise

        self.cleanup.push_async_callback(ended)

    def workspace(self) -> Path:
        """The folder of the test's agents."""
        folder = self.folder / "workspace"
        folder.mkdir(exist_ok=True)
        return folder


class TreeMaker(Surroundings):
    """Makes started trees."""

    async def __call__(
        self,
        config: SupervisionConfig | None = None,
        *,
        client: ClaudeClient | None = None,
        agents: Mapping[AgentRole, AgentMaker] | None = None,
        start: bool = True,
        **overrides: Any,
    ) -> SupervisionTree:
        """A tree on the test's Claude, stopped when the test is over.

        Args:
            config: The whole configuration; or leave it out and name fields.
            client: In place of the test's Claude.
            agents: Factories in place of the agents that talk to Claude.
            start: Whether it is started already.
            **overrides: Fields of `SupervisionConfig`.
        """
        if config is not None and overrides:
            raise UsageError(
                f"a whole config and single fields ({', '.join(sorted(overrides))}) contradict "
                "each other; give one of them"
            )
        self.watch()
        tree = SupervisionTree(
            config or SupervisionConfig(**{"workspace": self.workspace(), **overrides}),
            client=client or AnthropicClient(self.claude),
            agents=agents,
            clock=clock_of_test(),
            ids=self.ids,
            plugins=plugin_manager([_Listening(self.log)]),
            failpoints=self.failpoints,
            redact=self.redact,
        )
        self.end_with_test(tree.stop)
        if start:
            await tree.start()
        return tree


class BridgeMaker(Surroundings):
    """Makes bridges with a spawned agent behind them."""

    async def __call__(
        self,
        role: AgentRole | str = AgentRole.EXECUTOR,
        *,
        path: str | None = None,
        client: ClaudeClient | None = None,
        make_agent: AgentFactory | None = None,
        maker: AgentMaker = default_agent,
        settings: BridgeSettings | None = None,
        agent: AgentSettings | None = None,
        spawn: bool = True,
    ) -> ClaudeAgentBridge:
        """A bridge to an agent of `role`, shut down when the test is over.

        Args:
            role: The agent's role, or its name.
            path: The agent's path; absent: the role's name.
            client: In place of the test's Claude.
            make_agent: In place of the agent that talks to Claude; works in this process only.
            maker: The same, told its place; works in every process that can import it.
            settings: The bridge's bounds, and its transport.
            agent: The agent's model and bounds.
            spawn: Whether the agent is brought up already.
        """
        self.watch()
        role = AgentRole.parse(role)
        plugins = plugin_manager()
        place = AgentPlace(
            path=path or role.value,
            role=role,
            client=client or AnthropicClient(self.claude),
            workspace=self.workspace(),
            settings=agent or AgentSettings(),
            ids=self.ids,
            clock=clock_of_test(),
            plugins=plugins,
        )
        source = (
            AgentSource.of(maker, place, failpoints=self.failpoints)
            if make_agent is None
            else AgentSource(make=make_agent)
        )
        bridge = ClaudeAgentBridge(
            role,
            path=path,
            recorder=_LogRecorder(self.log, self.redact),
            transport=transport_to(source, settings=settings, plugins=plugins),
            settings=settings,
        )
        self.end_with_test(bridge.shutdown)
        if spawn:
            await bridge.spawn()
        return bridge


def clock_of_test() -> Clock:
    """The clock of a test's systems: on a virtual loop its dates, too, are the same each time."""
    loop = asyncio.get_running_loop()
    return VirtualClock(loop) if isinstance(loop, VirtualLoop) else LoopClock()


class _Listening:
    """The plug-in of the core through which a tree's events reach the log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    @hookimpl
    def mnemosyne_event_sink(self) -> Callable[[Event], None]:
        return self._log.feed


class _LogRecorder:
    """Gives a bridge without a tree somebody to tell."""

    def __init__(self, log: EventLog, redact: Callable[[Fact], Fact]) -> None:
        self._log = log
        self._redact = redact
        self._clock = clock_of_test()

    def record(self, fact: Fact, *, agent: str, attempt: int = 1, by: int | None = None) -> Event:
        event = Event(
            seq=len(self._log) + 1,
            at=self._clock.now(),
            agent=agent,
            attempt=attempt,
            by=by,
            fact=self._redact(fact),
        )
        self._log.feed(event)
        return event
