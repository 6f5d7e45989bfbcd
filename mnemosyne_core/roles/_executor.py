"""The executor: does the work, with as many agents as it may have.

Its own agent takes one item at a time. While it is busy, further items go to
sub-agents, each an actor with a bridge, a path and a health of its own::

    executor              the actor, and its own agent
      executor/sub-1      an actor for one more agent, under a dynamic supervisor
      executor/sub-2

They are started when they are needed and kept for later items; see `Crew`. The crash of
one concerns the item that it had, which comes back as failed. They end with the
executor, all at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from mnemosyne_core.bridge import ClaudeAgentBridge
from mnemosyne_core.errors import ActorDownError, MnemosyneError
from mnemosyne_core.roles._agent_actor import AgentActor, BridgeFactory
from mnemosyne_core.roles._crew import Crew
from mnemosyne_core.roles._messages import Delegate, Recall, Wake
from mnemosyne_core.supervision import (
    ChildSpec,
    Context,
    DynamicSupervisor,
    Exit,
    RestartIntensity,
    Shutdown,
)
from mnemosyne_core.work import WorkItem, WorkResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SubAgents:
    """What an executor's sub-agents are made from, and how many there may be."""

    most: int
    """How many there may be beside the executor's own agent."""

    bridge: Callable[[str], ClaudeAgentBridge]
    """Makes the bridge of the sub-agent at a path; called for each start of its actor."""

    intensity: RestartIntensity | None = None
    """How many crashes of their actors are tolerated, over all of them; beyond them the
    executor itself ends."""

    shutdown: float | Shutdown | None = None
    """How long each of them has to end, as for `ChildSpec`."""


class Executor(AgentActor):
    """Has its agents do the items; without any it can do none."""

    def __init__(self, bridge: BridgeFactory, *, sub_agents: SubAgents) -> None:
        """An executor whose own agent is behind `bridge`."""
        super().__init__(bridge)
        self._spec = sub_agents
        self._supervisor = DynamicSupervisor(
            max_children=sub_agents.most, intensity=sub_agents.intensity
        )
        self._crew = Crew(1 + sub_agents.most, start=self._begin_start)
        self._context: Context | None = None

    async def started(self, context: Context) -> None:
        """Get ready for sub-agents, and bring up the own agent's bridge."""
        self._context = context
        await context.supervise(self._supervisor)
        await super().started(context)

    async def stopping(self, reason: Exit) -> None:
        """Let go of the items, then end all agents at the same time."""
        for task in self._tasks.values():
            # Whoever waits hears of the executor's end, not of an agent's that comes with it.
            task.cancel()
        assert self._context is not None, "started() comes before any end"
        ending = []
        with suppress(ActorDownError):  # an executor that was left behind has none any more
            ending.append(self._context.spawn(self._supervisor.stop(), name="end sub-agents"))
        try:
            await super().stopping(reason)
        finally:
            # Also when the time is up: they have been cancelled as well by then.
            if ending:
                await asyncio.wait(ending)

    async def receive(self, message: object, context: Context) -> object:
        """As every `AgentActor`; a `Wake` says that one of its agents came or went."""
        if isinstance(message, Wake):
            self._crew.look_again()
            return None
        return await super().receive(message, context)

    async def work(
        self, item: WorkItem, attempt: int, guidance: tuple[str, ...], by: int | None
    ) -> WorkResult:
        """One attempt by whichever agent is free first.

        Raises:
            AgentUnavailableError: None of them is there.
            ActorDownError: The sub-agent that worked on it crashed.
        """

        async def have_done_by(number: int) -> WorkResult:
            if number == 0:
                return await AgentActor.work(self, item, attempt, guidance, by)
            message = Delegate(item=item, attempt=attempt, guidance=guidance)
            return await self._delegate(number, message, by)

        return await self._crew.employ(have_done_by, by=by)

    # --- sub-agents --------------------------------------------------------------------

    async def _delegate(self, number: int, message: Delegate, by: int | None) -> WorkResult:
        """The result of a sub-agent; a crashed one is being restarted and waited for.

        Cancelled, it recalls the item and waits until the sub-agent has let go of it: only
        then is that one free.
        """
        ref = await self._supervisor.wait_restarted(_sub_id(number), None)
        try:
            answer = await ref.ask(message, by=by)
        except asyncio.CancelledError:
            with suppress(ActorDownError):
                await ref.ask(Recall(item_id=message.item.id), by=by)
            raise
        assert isinstance(answer, WorkResult), f"a Delegate was answered with {answer!r}"
        return answer

    def _begin_start(self, number: int, by: int | None) -> None:
        assert self._context is not None, "started() comes before any message"
        self._context.spawn(self._start_sub_agent(number, by), name=f"start {_sub_id(number)}")

    async def _start_sub_agent(self, number: int, by: int | None) -> None:
        assert self._context is not None, "started() comes before any message"
        bridge = partial(self._spec.bridge, f"{self._context.path}/{_sub_id(number)}")
        spec = ChildSpec(
            id=_sub_id(number), start=lambda: AgentActor(bridge), shutdown=self._spec.shutdown
        )
        try:
            await self._supervisor.start_child(spec, by=by)
        except MnemosyneError:
            # It has been recorded; the other agents do the work.
            self._crew.stayed_away(number)
        else:
            self._crew.came(number)


def _sub_id(number: int) -> str:
    return f"sub-{number}"
