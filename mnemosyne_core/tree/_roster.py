"""Who is there: the roles' actors and their agents, as the orchestrator sees them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mnemosyne_core.errors import ActorError, ActorStateError, UnknownChildError
from mnemosyne_core.observe import StateManager, TreeState
from mnemosyne_core.supervision import ChildInfo, ChildState, Ref, Supervisor
from mnemosyne_core.tree._health import why_missing
from mnemosyne_core.work import AgentRole


class Roster:
    """The `Peers` of a tree: actors from its supervisor, agents from its state."""

    def __init__(self, supervisor: Callable[[], Supervisor], state: StateManager) -> None:
        """Look actors up in `supervisor()`, which exists once the tree starts."""
        self._supervisor = supervisor
        self._state = state

    def ref(self, role: AgentRole) -> Ref | None:
        """The present incarnation of the role's actor; `None` while there is none."""
        try:
            ref = self._supervisor().whereis(role.value)
        except (ActorError, UnknownChildError):
            return None
        return ref if ref.is_alive else None

    def sub_agents(self, role: AgentRole) -> tuple[ChildInfo, ...]:
        """The actors of the agents that a role has beside its own; none while it is down."""
        try:
            return self._supervisor().nested(role.value).which_children()
        except (ActorError, ActorStateError, UnknownChildError):
            return ()

    def why_missing(self, role: AgentRole) -> str | None:
        """Why the role has no working agent, in words; `None` when it has one."""
        missing = why_missing(self._state.agent(role.value))
        if missing is not None and any(map(self._works, self.sub_agents(role))):
            return None
        return missing

    def _works(self, child: ChildInfo) -> bool:
        is_up = child.state is ChildState.RUNNING
        return is_up and why_missing(self._state.agent(child.path)) is None

    def places(self, role: AgentRole) -> int | None:
        """How many items the role's agents can do at once; `None` for as many as there are."""
        if role is not AgentRole.EXECUTOR:
            return None
        subs = self.sub_agents(role)
        work = sum(map(self._works, subs)) + (why_missing(self._state.agent(role.value)) is None)
        # Where all work, others are started at need; where none does, items need not wait.
        return None if work in (0, 1 + len(subs)) else work

    async def reach(self, role: AgentRole, *, with_agent: bool) -> Ref:
        """The role's actor once it is up, and once its agent works too if `with_agent`."""

        def is_there(state: TreeState) -> bool:
            child = state.children.get(role.value)
            if child is None or not child.alive:
                return False
            return not with_agent or self.why_missing(role) is None

        # Nearly always it is there; then nothing has to be waited for, and no state copied.
        ref = self.ref(role)
        if ref is not None and with_agent and self.why_missing(role) is not None:
            ref = None
        while ref is None:
            # An actor that is ending is still in the state; its end is a later event.
            seq = (await self._state.wait_until(is_there)).seq
            ref = self.ref(role)
            if ref is None:
                await self._state.wait_until(partial(_is_after, seq))
        return ref


def _is_after(seq: int, state: TreeState) -> bool:
    return state.seq > seq
