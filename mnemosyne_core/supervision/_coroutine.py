"""A plain coroutine as a child: no mailbox, started as soon as it runs."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine

from mnemosyne_core.supervision._exit import LOOP_BREAKERS, Exit
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place


class CoroutineBody(Body):
    """One run of a coroutine."""

    def __init__(self, coroutine: Coroutine[object, object, object], place: Place) -> None:
        """The body of `coroutine`, which must not have been awaited."""
        self._coroutine = coroutine
        self._place = place
        self._asked = False

    async def run(self, life: Incarnation) -> Exit | None:
        """Await the coroutine."""
        life.announce_started()
        try:
            if self._place.given.failpoints is not None:
                await self._place.given.failpoints.coroutine(self._place)
            await self._coroutine
        except LOOP_BREAKERS as error:
            return Exit.of(error)
        return None

    def ask_to_stop(self, life: Incarnation, *, by: int | None) -> None:  # noqa: ARG002
        """Cancel it; without a mailbox there is no other way to ask."""
        # Only once: a second cancellation would interrupt its clean-up.
        if not self._asked:
            self._asked = True
            life.task.cancel()

    def ended(self, end: Exit) -> None:  # noqa: ARG002
        """Close a coroutine that never got to run; it would complain when collected."""
        if inspect.getcoroutinestate(self._coroutine) == inspect.CORO_CREATED:
            self._coroutine.close()
