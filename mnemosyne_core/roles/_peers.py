"""How the orchestrator reaches the other roles."""

from __future__ import annotations

from typing import Protocol

from mnemosyne_core.supervision import Ref
from mnemosyne_core.work import AgentRole


class Peers(Protocol):
    """Who is there right now; the tree is the real one."""

    def ref(self, role: AgentRole) -> Ref | None:
        """The present incarnation of the role's actor; `None` while there is none."""
        ...

    def why_missing(self, role: AgentRole) -> str | None:
        """Why the role has no working agent, in words; `None` when it has one."""
        ...

    def places(self, role: AgentRole) -> int | None:
        """How many items the role's agents can do at once; `None` for as many as there are.

        Less than they may be while one of them cannot work. What is beyond that is better
        left in the queue, where it waits by priority and its time does not run.
        """
        ...

    async def reach(self, role: AgentRole, *, with_agent: bool) -> Ref:
        """The role's actor once it is up, and once its agent works too if `with_agent`.

        Waits as long as that takes: an actor that is down is being restarted, or the
        whole tree ends.
        """
        ...
