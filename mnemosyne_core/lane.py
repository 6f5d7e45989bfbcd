"""Who is talking to Claude right now: the agent's path and its attempt.

A request to Claude carries no sign of the agent that made it. The lane says it:
as a context variable inside the process, as two headers through a gateway. Both
headers are stripped before anything is stored or forwarded.

A context variable follows `await`, tasks and `asyncio.to_thread`; it does not
follow `loop.run_in_executor`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def entered(lane: Lane) -> Iterator[Lane]:
    """Make `lane` current for the block, and for every task started inside it."""
    token = current.set(lane)
    try:
        yield lane
    finally:
        current.reset(token)
