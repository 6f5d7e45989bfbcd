"""The living state: follows the bus, can be asked, waited for and followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mnemosyne_core.errors import StateTimeoutError
from mnemosyne_core.events import Event
from mnemosyne_core.observe._agents import AgentState
from mnemosyne_core.observe._broadcaster import EventBroadcaster, Subscription
from mnemosyne_core.observe._items import ItemState
from mnemosyne_core.observe._state import Tables, TreeState
from mnemosyne_core.work import Phase


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    holds: Callable[[TreeState], object]
    found: asyncio.Future[TreeState]

    def look(self, tables: Tables) -> None:
        if self.found.done():
            return
        try:
            if self.holds(tables.view):
                self.found.set_result(tables.snapshot())
        except Exception as error:  # noqa: BLE001 - it is the waiter's own, not the publisher's
            self.found.set_exception(error)


class StateManager:
    """The state of a tree, kept up to date by its events."""

    def __init__(self, broadcaster: EventBroadcaster, *, start: TreeState | None = None) -> None:
        """Follow `broadcaster` from now on, beginning with `start` (default: an empty tree)."""
        self._broadcaster = broadcaster
        self._tables = Tables(start or TreeState())
        self._waiters: list[_Waiter] = []
        broadcaster.attach(self.apply)

    def apply(self, event: Event) -> None:
        """Take an event in; one that was taken in before changes nothing.

        The broadcaster calls this. Call it for the events of an earlier run, before the
        tree starts.
        """
        if self._tables.fold(event):
            for waiter in tuple(self._waiters):
                waiter.look(self._tables)

    def snapshot(self) -> TreeState:
        """The state right now; it does not change afterwards."""
        return self._tables.snapshot()

    @property
    def seq(self) -> int:
        """Sequence number of the last event that was taken in; 0 before the first."""
        return self._tables.view.seq

    @property
    def phase(self) -> Phase:
        """The project's phase."""
        return self._tables.view.phase

    def agent(self, path: str) -> AgentState | None:
        """One agent right now; `None` if nobody has heard of it."""
        return self._tables.view.agents.get(path)

    def item(self, item_id: str) -> ItemState | None:
        """One item right now; `None` if it was never submitted."""
        return self._tables.view.items.get(item_id)

    def follow(self, *, capacity: int = 1024) -> tuple[TreeState, Subscription]:
        """The state right now and every event after it: none missing, none twice.

        Args:
            capacity: As for `EventBroadcaster.subscribe`.
        """
        state = self.snapshot()
        return state, self._broadcaster.subscribe(capacity=capacity, after=state.seq)

    async def wait_until(
        self, predicate: Callable[[TreeState], object], timeout_s: float | None = None
    ) -> TreeState:
        """Wait for a state that `predicate` says yes to.

        Every state is looked at, however short it lasts.

        Args:
            predicate: Called with the state, now and after each event. It must not keep
                what it is given, which changes with the next event.
            timeout_s: Patience, in seconds of the loop; without end if absent.

        Returns:
            The first state that holds, as a snapshot.

        Raises:
            StateTimeoutError: No such state came in time.
            Exception: What `predicate` raised.
        """
        if predicate(self._tables.view):
            return self.snapshot()
        waiter = _Waiter(predicate, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await asyncio.wait((waiter.found,), timeout=timeout_s)
            if timeout_s is not None and not waiter.found.done():
                raise StateTimeoutError(timeout_s=timeout_s, found=self._tables.view.describe())
            return waiter.found.result()
        finally:
            self._waiters.remove(waiter)
            waiter.found.cancel()
