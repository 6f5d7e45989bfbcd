"""A supervisor that belongs to an actor, for the helpers that the actor starts itself.

It stands at its owner's path, so a helper of `executor` is found at `executor/helper`.
It lives no longer than its owner: it is stopped once the owner has said goodbye, it is
killed with an owner whose time is up, and nobody is left of it when the owner is over.
The other way round, an owner does not outlive its supervisor's failure.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from mnemosyne_core.errors import ActorDownError, StartError
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._incarnation import Incarnation, Place
from mnemosyne_core.supervision._spec import ChildKind, ChildSpec

if TYPE_CHECKING:
    from mnemosyne_core.supervision._supervisor import Supervisor


class OnFailure(Protocol):
    """Where the failure of an owned supervisor goes."""

    def __call__(self, fate: Exit, *, by: int | None) -> None:
        """It failed, and so its owner ends with `fate`, because of the event `by`."""
        ...


class OwnedSupervisor:
    """A supervisor from its start to its end, seen by the actor that owns it."""

    def __init__(
        self,
        supervisor: Supervisor,
        place: Place,
        *,
        by: int | None,
        on_failure: OnFailure,
    ) -> None:
        """Begin to start `supervisor`.

        Args:
            supervisor: One that has not been started before.
            place: Its owner's.
            by: Sequence number of the event that led to this.
            on_failure: Told how its owner ends, should it fail after its start, or abort.

        Raises:
            ActorStateError: It has been started before.
        """
        self.supervisor = supervisor
        self._path = place.path
        self._on_failure = on_failure
        own_place = replace(place, by=by)
        supervisor.settle(own_place, prefix=f"{place.path}/")
        child_id = place.path.rpartition("/")[2]
        spec = ChildSpec(id=child_id, start=lambda: supervisor, kind=ChildKind.SUPERVISOR)
        self.life = Incarnation(supervisor, own_place, spec, on_end=self._ended)
        # The owner's own task is called path#incarnation.
        self.life.task.set_name(f"{place.path}:supervisor")

    async def wait_started(self) -> None:
        """Wait until its children have started; cancelling this undoes the start.

        Raises:
            StartError: One of them did not.
            Abort: A child's start raised it.
        """
        try:
            await asyncio.wait((self.life.started,))
        except asyncio.CancelledError:
            self.life.kill()
            await self.stop(by=None)
            raise
        if not self.life.did_start:
            end = self.life.ended.result()
            raise end.error or StartError(path=self._path, reason=end.reason)

    async def stop(self, *, by: int | None) -> bool:
        """Stop it and wait until it has ended; being cancelled hastens that.

        Returns:
            Whether this was cancelled meanwhile; the caller passes it on.
        """
        cancelled = False
        self.life.stop(by=by)
        while not self.life.ended.done():
            try:
                await asyncio.wait((self.life.ended,))
            except asyncio.CancelledError:
                cancelled = True
                self.life.kill()
        return cancelled

    def _ended(self, life: Incarnation) -> None:
        end = life.ended.result()
        if end.kind is not ExitKind.ABORT:
            if life.asked or not life.did_start or (end.error is None and not end.abnormal):
                # It was wanted, or is told where the start is awaited.
                return
            error = end.error or ActorDownError(path=self._path, reason=end.reason)
            end = Exit(ExitKind.CRASH, error)
        self._on_failure(end, by=self.supervisor.by)
