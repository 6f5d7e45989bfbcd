"""Who is talking to Claude right now: the agent's path and its attempt.

A request to Claude carries no sign of the agent that made it. The lane says it:
as a context variable inside the process, as two headers through a gateway. Both
headers are stripped before anything is stored or forwarded.

A context variable follows `await`, tasks and `asyncio.to_thread`; it does not
follow `loop.run_in_executor`. Where a request's lane may have been lost so, `is_lost`
says it: to guess would be to mix up two agents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import get_ident

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


_threads: dict[object, int] = {}
"""For each lane that is entered now, the thread in which it was."""


@contextmanager
def entered(lane: Lane) -> Iterator[Lane]:
    """Make `lane` current for the block, and for every task started inside it."""
    token, here = current.set(lane), object()
    _threads[here] = get_ident()
    try:
        yield lane
    finally:
        del _threads[here]
        current.reset(token)


def is_lost() -> bool:
    """Whether the running code has no lane and may be some agent's all the same.

    So it is in a thread of its own while agents are there, which are all in other threads.
    """
    if not _threads or current.get() is not None:
        return False
    return get_ident() not in _threads.copy().values()
