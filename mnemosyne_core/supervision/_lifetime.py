"""The life of a supervisor that has nobody above it: started, waited for, stopped."""

from __future__ import annotations

import abc
import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import Self

from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.errors import (
    ActorDownError,
    ActorStateError,
    ChildSpecError,
    StartError,
    UsageError,
)
from mnemosyne_core.events import Recorder
from mnemosyne_core.failpoints import Failpoints
from mnemosyne_core.supervision._exit import LOOP_BREAKERS
from mnemosyne_core.supervision._incarnation import Body, Given, Incarnation, Place
from mnemosyne_core.supervision._leaks import Leaks
from mnemosyne_core.supervision._news import News
from mnemosyne_core.supervision._spec import ChildKind, ChildSpec


class Lifetime(Body):
    """What a supervisor does as a root; one below another leaves all of it to its parent."""

    kind = ChildKind.SUPERVISOR

    def __init__(
        self,
        *,
        recorder: Recorder | None,
        clock: Clock | None,
        random: Random | None,
        name: str,
        kill_grace_s: float,
        failpoints: Failpoints | None,
    ) -> None:
        """A life that has not begun.

        Args:
            recorder: A root's, or instead of the parent's.
            clock: A root's, or instead of the parent's.
            random: A root's, or instead of the parent's.
            name: A root's path.
            kill_grace_s: A root's grace period.
            failpoints: A root's.
        """
        if not (math.isfinite(kill_grace_s) and kill_grace_s >= 0):
            raise ChildSpecError(
                f"kill_grace_s of supervisor {name} must be 0 s or more, got {kill_grace_s!r}"
            )
        self._recorder = recorder
        self._clock = clock
        self._random = random
        self._name = name
        self._kill_grace_s = kill_grace_s
        self._failpoints = failpoints
        self._place: Place | None = None
        self._life: Incarnation | None = None
        self._waiting = 0
        """How many wait for its end, and will be told of it."""

    async def start(self, *, by: int | None = None) -> None:
        """Start the children, one after the other.

        Cancelling this undoes it.

        Args:
            by: Sequence number of the event that led to this.

        Raises:
            StartError: A child did not start; those before it have been stopped again.
            Abort: A child's start raised it.
            UsageError: There is no recorder, or this supervisor was started before.
        """
        if self._recorder is None:
            raise UsageError(
                f"supervisor {self._name} has nowhere to record what happens; "
                "give it a recorder, or make it the child of a supervisor that has one"
            )
        spec = ChildSpec(id=self._name, start=lambda: self, kind=ChildKind.SUPERVISOR)
        given = Given(
            recorder=self._recorder,
            clock=self._clock or LoopClock(),
            random=self._random or Random(),  # noqa: S311 - spreads restarts, keeps no secret
            kill_grace_s=self._kill_grace_s,
            news=News(),
            leaks=Leaks(),
            failpoints=self._failpoints,
        )
        place = Place(path=self._name, incarnation=1, by=by, given=given)
        self.settle(place, prefix="")
        self._life = life = Incarnation(
            self, place, spec, on_end=lambda life: self._root_ended(life, place)
        )
        with self._awaiting_end():
            try:
                await asyncio.wait((life.started,))
            except asyncio.CancelledError:
                life.kill()
                await _see_out(life)
                raise
        if not life.did_start:
            raise self.failure or StartError(
                path=self._name, reason="it was stopped before its children had started"
            )

    async def stop(self, *, by: int | None = None) -> None:
        """Stop the children, the last one started first, and end; harmless when it has ended.

        Cancelling this cancels the children, waits for them as long as the grace period
        lasts, and passes the cancellation on.

        Args:
            by: Sequence number of the event that led to this.

        Raises:
            Abort: A child has ended with it, now or before; `KeyboardInterrupt` and
                `SystemExit` as well.
        """
        if self._life is None:
            return
        self._life.stop(by=by)
        with self._awaiting_end():
            await _see_out(self._life)
        if self.failure is not None and not isinstance(self.failure, Exception):
            raise self.failure

    async def wait(self) -> None:
        """Wait until the supervisor has ended, without asking it to.

        Raises:
            RestartIntensityError: It gave up.
            Abort: A child has ended with it; `KeyboardInterrupt` and `SystemExit` as well.
            ActorDownError: Somebody cancelled it.
        """
        life = self._life
        if life is None:
            raise self._not_started()
        if not life.ended.done():
            with self._awaiting_end():
                await asyncio.wait((life.ended,))
        if self.failure is not None:
            raise self.failure

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; raise what the supervisor failed of, unless the block has its own error."""
        await self.stop()
        if exc is None and self.failure is not None:
            raise self.failure

    @property
    def path(self) -> str:
        """The supervisor's path; a root's name."""
        return self._place.path if self._place is not None else self._name

    @property
    def failure(self) -> BaseException | None:
        """Why it ended, if that was not what anybody asked for; `None` while it runs."""
        if self._life is None or not self._life.ended.done():
            return None
        end = self._life.ended.result()
        if end.error is None and end.abnormal:
            return ActorDownError(path=self.path, reason=end.reason)
        return end.error

    @abc.abstractmethod
    def settle(self, place: Place, *, prefix: str) -> None:
        """Take the place in the tree, once; whoever starts the incarnation does it before.

        Args:
            place: Where this supervisor stands, and what it is given.
            prefix: What its children's paths begin with.
        """

    def _root_ended(self, life: Incarnation, place: Place) -> None:
        place.given.leaks.close()
        error = life.ended.result().error
        if isinstance(error, LOOP_BREAKERS) and not self._waiting:
            # Nobody would ever learn that the program is to end.
            asyncio.get_running_loop().call_soon(_break_loop, error)

    @contextmanager
    def _awaiting_end(self) -> Iterator[None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _not_started(self) -> ActorStateError:
        return ActorStateError(
            path=self.path, state="a supervisor that has not started", hint="await start first"
        )


def _break_loop(error: BaseException) -> None:
    raise error


async def _see_out(life: Incarnation) -> None:
    """Wait for the end; being cancelled meanwhile hastens it and is passed on afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not life.ended.done():
        try:
            await asyncio.wait((life.ended,))
        except asyncio.CancelledError as error:
            cancelled = error
            life.kill()
    if cancelled is not None:
        raise cancelled
