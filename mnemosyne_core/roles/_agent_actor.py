"""The actor in front of an agent: one bridge, many items at once, recall.

The four roles share it. It keeps the bridge as long as it lives itself: a
restarted actor brings up a new one. A bridge that cannot start is no crash; the
actor lives on and answers what it can without its agent, which the bridge goes on
trying to start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mnemosyne_core.bridge import ClaudeAgentBridge
from mnemosyne_core.errors import ActorDownError, MnemosyneError, UsageError
from mnemosyne_core.roles._messages import Delegate, Recall
from mnemosyne_core.supervision import Actor, Context, Exit
from mnemosyne_core.work import WorkItem, WorkResult

BridgeFactory = Callable[[], ClaudeAgentBridge]


class AgentActor(Actor):
    """Hands items to its agent and answers with results; see `Delegate` and `Recall`."""

    def __init__(self, bridge: BridgeFactory) -> None:
        """Make the bridge with `bridge` at each start, so that every incarnation has its own."""
        self._make_bridge = bridge
        self._bridge: ClaudeAgentBridge | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def started(self, context: Context) -> None:
        """Bring up the bridge; without it the actor runs on."""
        self._bridge = self._make_bridge()
        # If it cannot, it records AgentFailed; whoever asks hears AgentUnavailableError.
        await self._bridge.spawn(by=context.by, keep_trying=True)
        context.spawn(self._bridge.until_broken(), name="bridge")

    async def stopping(self, reason: Exit) -> None:  # noqa: ARG002 - the base's signature
        """Close the bridge; its agent's session ends here."""
        if self._bridge is not None:
            await self._bridge.shutdown()

    async def receive(self, message: object, context: Context) -> object:
        """Start on a `Delegate`, stop on a `Recall`."""
        match message:
            case Delegate(item=item):
                self._answer_later(
                    item.id, self.work(item, message.attempt, message.guidance, context.by), context
                )
            case Recall(item_id=item_id):
                if (task := self._tasks.get(item_id)) is not None:
                    reply = context.defer()
                    task.add_done_callback(lambda _: reply.answer(None))
                    task.cancel()
            case _:
                refusal = UsageError(
                    f"{context.path} does not understand a {type(message).__name__}"
                )
                context.defer().fail(refusal)
        return None

    async def work(
        self, item: WorkItem, attempt: int, guidance: tuple[str, ...], by: int | None
    ) -> WorkResult:
        """One attempt by the agent behind this actor.

        Raises:
            AgentUnavailableError: There is no agent.
        """
        assert self._bridge is not None, "started() makes the bridge before any message arrives"
        return await self._bridge.send_work(item, attempt=attempt, guidance=guidance, by=by)

    def _answer_later(
        self, item_id: str, answer: Coroutine[Any, Any, object], context: Context
    ) -> None:
        """Answer the message in hand with what `answer` comes to, while others are served."""
        reply = context.defer()

        async def run() -> None:
            try:
                reply.answer(await answer)
            except MnemosyneError as error:
                # If the actor itself ends, its end is what the asker hears: its bridge is
                # closed by then, and that is nobody's fault who asks again.
                if context.ref.is_alive:
                    reply.fail(error)

        def ended(task: asyncio.Task[None]) -> None:
            # Not in `run`: a task that is recalled before its first step never gets there.
            answer.close()
            # If the actor itself ends, its end is what the asker hears.
            if task.cancelled() and context.ref.is_alive:
                reply.fail(ActorDownError(path=context.path, reason="the item was recalled"))
            if self._tasks.get(item_id) is task:
                del self._tasks[item_id]

        task = self._tasks[item_id] = context.spawn(run())
        task.add_done_callback(ended)
