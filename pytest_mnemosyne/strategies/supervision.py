"""A state machine over a supervision tree of one's own: random work, random harm, time.

Derive from `SupervisionMachine`, say how the tree is made and what its work may be, and
add rules for what else may happen to it. After each step the tree is held against the
invariants of `pytest_mnemosyne.simulation.invariants`. At the end of an example faults
stop: then every item has to end and the tree has to be well again, or down with a
reason, within `recovery_s`; stopped, it leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.errors import (
    ActorDownError,
    QueueFullError,
    TreeNotRunningError,
)
from mnemosyne_core.events import Event
from mnemosyne_core.tree import HealthStatus, SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole
from pytest_mnemosyne.simulation.faults import NotRecoveredError, assert_recovers
from pytest_mnemosyne.simulation.invariants import check_history, check_invariants
from pytest_mnemosyne.simulation.loop import LeftoversError, leftovers
from pytest_mnemosyne.strategies.stateful import (
    Bundle,
    SimulatedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

__all__ = ["SupervisionMachine"]

PAUSES_S = (0.0, 0.1, 1.0, 10.0, 100.0)
"""What time is moved by, in seconds; 0 lets everything settle."""


def _batches() -> SearchStrategy[list[Mapping[str, object]]]:
    """Batches of what the machine itself says that its work is like."""
    return st.runner().flatmap(lambda machine: st.lists(machine.work(), min_size=1, max_size=4))


class SupervisionMachine(SimulatedStateMachine):
    """One tree, driven on virtual time; subclass it and override `make_tree`."""

    recovery_s: ClassVar[float] = 3600.0
    """How long the tree has to come back once its faults have stopped, in virtual seconds."""

    items: Bundle[str] = Bundle("items")
    """Ids of the items that the tree has taken."""

    tree: SupervisionTree
    """The example's tree; started before the first step."""

    told: list[Event]
    """What has happened in it, from its start to its end."""

    def make_tree(self, config: SupervisionConfig) -> SupervisionTree:
        """A tree that has not been started, for one example, with `clock=self.clock`."""
        raise NotImplementedError(f"{type(self).__name__} has to say how its tree is made")

    def configs(self) -> SearchStrategy[SupervisionConfig]:
        """How the tree may be configured."""
        return st.just(SupervisionConfig())

    def work(self) -> SearchStrategy[Mapping[str, object]]:
        """What items may be like: the fields of one, without `id` and `dependencies`."""
        return st.fixed_dictionaries(
            {
                "description": st.just("work"),
                "timeout_s": st.just(30.0),
                "priority": st.integers(0, 10),
                "max_attempts": st.integers(1, 3),
                "review": st.booleans(),
            }
        )

    async def stop_faults(self) -> None:
        """Called when the example is over: mend what your own rules have broken."""

    # --- steps -------------------------------------------------------------------------

    @initialize(
        target=items,
        config=st.runner().flatmap(lambda machine: machine.configs()),
        batch=_batches(),
        chained=st.booleans(),
    )
    async def start_tree(
        self,
        config: SupervisionConfig,
        batch: Sequence[Mapping[str, object]],
        chained: bool,
    ) -> object:
        """Make and start the tree, and submit its first items."""
        self.told = []
        self._submitted = 0
        tree = self.make_tree(config)
        tree.broadcaster.attach(self.told.append)
        await tree.start()
        self.tree = tree
        return await self._submit(batch, (), chained=chained)

    @rule(target=items, batch=_batches(), chained=st.booleans())
    async def submit(self, batch: Sequence[Mapping[str, object]], chained: bool) -> object:
        """Submit items together, perhaps each of them after the one before it."""
        return await self._submit(batch, (), chained=chained)

    @rule(
        target=items,
        batch=_batches(),
        after=st.lists(items, min_size=1, max_size=2, unique=True),
        chained=st.booleans(),
    )
    async def submit_after(
        self, batch: Sequence[Mapping[str, object]], after: Sequence[str], chained: bool
    ) -> object:
        """Submit items together, of which the first depends on earlier ones."""
        return await self._submit(batch, after, chained=chained)

    @rule(item=items)
    async def cancel(self, item: str) -> None:
        """Take an item back, whatever has become of it."""
        with suppress(ActorDownError, TreeNotRunningError):
            await self.tree.handle(item).cancel()

    @precondition(lambda self: self.tree.journal.live_items())
    @rule(place=st.integers(0, 3))
    async def cancel_live(self, place: int) -> None:
        """Take an item back that has not ended."""
        live = self.tree.journal.live_items()
        # What was ready to run when the step was chosen has run by now.
        if live:
            await self.cancel(live[place % len(live)].item.id)

    @rule(role=st.sampled_from(AgentRole))
    async def restart_agent(self, role: AgentRole) -> None:
        """Replace an actor, its bridge and its agent by hand."""
        with suppress(ActorDownError, TreeNotRunningError):
            await self.tree.restart_agent(role)

    @rule(role=st.sampled_from(AgentRole))
    def kill_actor(self, role: AgentRole) -> None:
        """Cancel an actor's task, as no one should."""
        for child in self.tree.children():
            if child.id == role.value:
                name = f"{child.path}#{child.incarnation}"
                for task in asyncio.all_tasks(self.loop):
                    if task.get_name() == name:
                        task.cancel()

    @rule(seconds=st.sampled_from(PAUSES_S))
    async def let_time_pass(self, seconds: float) -> None:
        """Move the time; everything that is due happens."""
        await self.clock.advance(seconds)

    # --- what has to hold --------------------------------------------------------------

    @invariant()
    def nothing_happens_that_never_must(self) -> None:
        """The invariants, after each step."""
        check_invariants(self.tree)

    async def teardown(self) -> None:  # type: ignore[override]
        """Let the tree come back, stop it, and look at what it has done and left."""
        if not hasattr(self, "tree"):
            return
        try:
            await self.stop_faults()
            await self._recover()
        finally:
            await self.tree.stop()
        check_history(self.told, config=self.tree.config)
        if left := leftovers(self.clock.loop):
            raise LeftoversError(leftovers=left)

    async def _recover(self) -> None:
        await self.clock.settle()
        for role, agent in self.tree.health().agents.items():
            if agent.status is None or not agent.status.is_there:
                await self.restart_agent(role)
        try:
            await assert_recovers(self.tree, within_s=self.recovery_s)
        except NotRecoveredError as error:
            # Down is an end, too, if it says why.
            if not error.reason or self.tree.health().status is not HealthStatus.DOWN:
                raise
        for item in self.tree.journal.items():
            handle = self.tree.handle(item.item.id)
            assert handle.done, f"{handle!r} keeps its holder waiting"

    async def _submit(
        self, batch: Sequence[Mapping[str, object]], after: Sequence[str], *, chained: bool
    ) -> object:
        items = []
        for fields in batch:
            self._submitted += 1
            items.append({**fields, "id": f"i{self._submitted}", "dependencies": tuple(after)})
            after = (f"i{self._submitted}",) if chained else ()
        live = len(self.tree.journal.live_items())
        try:
            handles = await self.tree.submit_all(items)
        except (ActorDownError, TreeNotRunningError):
            return multiple()
        except QueueFullError:
            # Items may have ended meanwhile; none has come that was not submitted here.
            capacity = self.tree.config.queue_capacity
            assert live + len(items) > capacity, f"{live} of {capacity} places were taken"
            return multiple()
        return multiple(*(handle.id for handle in handles))
