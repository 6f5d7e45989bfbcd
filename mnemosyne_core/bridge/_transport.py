"""How envelopes reach an agent, and the transport to an agent in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

from mnemosyne_core import lane
from mnemosyne_core.agents import Agent
from mnemosyne_core.bridge._endpoint import handle
from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._source import AgentFactory, AgentSource
from mnemosyne_core.errors import Abort, BridgeError
from mnemosyne_core.supervision import LOOP_BREAKERS

P = ParamSpec("P")
T = TypeVar("T")


class AgentGoneError(BridgeError):
    """The agent ended while it had work, or has not been started."""

    code = "agent_gone"
    hint = "its bridge replaces it, and the item goes round again"


class Transport(Protocol):
    """One agent at a time, at whatever distance."""

    @property
    def is_up(self) -> bool:
        """Whether there is an agent that takes work, as far as is known here."""
        ...

    async def start(self, path: str, settings: BridgeSettings, on_beat: Callable[[], None]) -> None:
        """Bring up a new agent and its session.

        Args:
            path: The agent's path.
            settings: The bridge's bounds; the transport keeps the heartbeat and `cancel_s`.
            on_beat: Called without arguments at once when the agent is up, then at
                every heartbeat as long as it lives.

        Raises:
            Exception: Whatever kept the agent from starting; nothing is left of it then.
        """
        ...

    async def execute(self, envelope: bytes) -> bytes:
        """Put work to the agent and wait for the answer; several may be under way.

        Cancelling it ends the agent's work on it, waiting at most `cancel_s`.

        Raises:
            EnvelopeError: The far side could not read the envelope.
            AgentGoneError: The agent ended before it answered.
        """
        ...

    async def stop(self, timeout_s: float) -> bool:
        """End the agent: cancel its work, let it close its session, then end it anyway.

        Takes bounded time, `timeout_s` for the session and `cancel_s` for what has to
        be cancelled. Harmless when repeated.

        Returns:
            Whether all of it has ended. If not, it was left behind.

        Raises:
            Exception: Whatever the session's end raised; it has ended all the same.
        """
        ...


TransportFactory: TypeAlias = Callable[[AgentSource], Transport]
"""Makes the transport to the agents that come from a source."""


class TaskTransport:
    """The agent in tasks of the same event loop: quick, and no protection from its crashes.

    The session is opened and closed in one task, the agent's home; each piece of
    work has a task of its own beside it.
    """

    def __init__(self, make_agent: AgentFactory) -> None:
        """Reach agents made by `make_agent`."""
        self._make_agent = make_agent
        self._agent: Agent | None = None
        self._home: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self._work: set[asyncio.Task[bytes]] = set()
        self._cancel_s = 0.0

    @property
    def is_up(self) -> bool:
        """Whether its session is open."""
        return self._agent is not None

    async def start(self, path: str, settings: BridgeSettings, on_beat: Callable[[], None]) -> None:
        """Make an agent in a task of its own and open its session there."""
        self._leaving = asyncio.Event()
        self._cancel_s = settings.cancel_s
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        home = asyncio.create_task(
            _kept_from_the_loop(
                self._live, path, settings.heartbeat_s, on_beat, ready, self._leaving
            ),
            name=f"agent {path}",
        )
        self._home = home
        try:
            await asyncio.wait({home, ready}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._home = None
            await _end(home, within_s=self._cancel_s)
            raise
        if not ready.done():
            self._home = None
            if home.cancelled():
                raise AgentGoneError("the agent's task was cancelled from outside during its start")
            _result_of(home)

    async def execute(self, envelope: bytes) -> bytes:
        """Run the agent's work in a task of its own."""
        if self._agent is None:
            raise AgentGoneError("the agent is not running")
        home = self._home
        work = asyncio.create_task(_kept_from_the_loop(handle, self._agent, envelope))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        try:
            await asyncio.wait({work})
        finally:
            if not work.done():
                await _end(work, within_s=self._cancel_s)
        if work.cancelled():
            how = "from outside" if self._home is home else "because the agent was stopped"
            raise AgentGoneError(f"the agent's work was cancelled {how}")
        return _result_of(work)

    async def stop(self, timeout_s: float) -> bool:
        """Cancel all work, then have the home task close the session and end."""
        home, self._home, self._agent = self._home, None, None
        works = tuple(self._work)
        self._work.clear()
        for work in works:
            work.cancel()
        try:
            if works:
                await asyncio.wait(works, timeout=self._cancel_s)
            self._leaving.set()
            if home is not None:
                await asyncio.wait({home}, timeout=timeout_s)
        finally:
            if home is not None and not home.done():
                await _end(home, within_s=self._cancel_s)
        if home is not None and home.done() and not home.cancelled():
            _result_of(home)
        return all(task.done() for task in (*works, *([home] if home else [])))

    async def _live(
        self,
        path: str,
        heartbeat_s: float,
        on_beat: Callable[[], None],
        ready: asyncio.Future[None],
        leaving: asyncio.Event,
    ) -> None:
        with lane.entered(lane.Lane(path)):
            agent = self._make_agent()
            try:
                await agent.start_session()
                self._agent = agent
                on_beat()
                ready.set_result(None)
                while not leaving.is_set():
                    try:
                        async with asyncio.timeout(heartbeat_s):
                            await leaving.wait()
                    except TimeoutError:
                        on_beat()
            finally:
                if self._agent is agent:
                    self._agent = None
                await agent.stop_session()


class _KeptError(BaseException):
    """Something that would break the loop if a task ended with it; raised where it is awaited."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__(str(error))


async def _kept_from_the_loop(
    function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    try:
        return await function(*args, **kwargs)
    except LOOP_BREAKERS as error:
        raise _KeptError(error) from error


def _result_of(task: asyncio.Task[T]) -> T:
    try:
        return task.result()
    except _KeptError as kept:
        raise kept.error from None


async def _end(task: asyncio.Task[Any], *, within_s: float) -> None:
    """Cancel a task and wait for its end, but not for ever.

    An `Abort` of it is raised here, and what would have broken the loop.
    """
    task.cancel()
    await asyncio.wait({task}, timeout=within_s)
    if task.done() and not task.cancelled() and isinstance(task.exception(), Abort | _KeptError):
        _result_of(task)
