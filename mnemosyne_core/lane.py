"""Who is talking to Claude right now: the agent's path and its attempt.

A request to Claude carries no sign of the agent that made it. The lane says it:
as a context variable inside the process, as two headers through a gateway. Both
headers are stripped before anything is stored or forwarded.

A context variable follows `await`, tasks and `asyncio.to_thread`; it does not
follow `loop.run_in_executor`. Where a request's lane may have been lost so, `is_lost`
says it: to guess would be to mix up two agents.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass

AGENT_HEADER = "x-mnemosyne-agent"
ATTEMPT_HEADER = "x-mnemosyne-attempt"


@dataclass(frozen=True, slots=True)
class Lane:
    """One agent's attempt at one piece of work."""

    agent: str
    """The agent's path from the tree's root, such as `executor` or `executor/sub-1`."""

    attempt: int = 1
    """Counts from 1."""

    @property
    def role(self) -> str:
        """The agent that stands below the root: `executor`, also for `executor/sub-1`."""
        return self.agent.partition("/")[0]

    def headers(self) -> dict[str, str]:
        """The lane as request headers."""
        return {AGENT_HEADER: self.agent, ATTEMPT_HEADER: str(self.attempt)}


current: ContextVar[Lane | None] = ContextVar("mnemosyne_lane", default=None)
"""The lane of the running code; `None` outside any agent."""


class _Place:
    """Where a lane was entered."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self._loop: asyncio.AbstractEventLoop | None = None
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    @property
    def is_deserted(self) -> bool:
        """Whether nothing goes on there any more, so that the lane was never left."""
        return not self.thread.is_alive() or (self._loop is not None and self._loop.is_closed())


_places: set[_Place] = set()
"""Where lanes are entered now."""


@contextmanager
def entered(lane: Lane) -> Iterator[Lane]:
    """Make `lane` current for the block, and for every task started inside it."""
    token, here = current.set(lane), _Place()
    _places.add(here)
    try:
        yield lane
    finally:
        _places.discard(here)
        current.reset(token)


def is_lost() -> bool:
    """Whether the running code has no lane and may be some agent's all the same.

    So it is in a thread of its own while agents are there, which are all in other threads.
    """
    if not _places or current.get() is not None:
        return False
    threads = {place.thread for place in _places.copy() if not place.is_deserted}
    return bool(threads) and threading.current_thread() not in threads
