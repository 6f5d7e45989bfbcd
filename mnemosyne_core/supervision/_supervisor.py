"""Supervisors: who starts, restarts and stops whom, and when it is enough.

Here is what its users see of one. What it does stands in `_loop`; what is pure
about that (who is restarted, whether that is tolerated) in `_strategy`, `_restart`
and `_intensity`; how a child starts and ends in `_children` and `_incarnation`.
The semantics are those of OTP's `supervisor.erl`, with what an event loop cannot
do (kill) said as it is.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Iterable
from functools import partial
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
from mnemosyne_core.supervision._actor import Actor
from mnemosyne_core.supervision._cell import ActorCell
from mnemosyne_core.supervision._children import ChildCount, ChildInfo, ChildState
from mnemosyne_core.supervision._coroutine import CoroutineBody
from mnemosyne_core.supervision._exit import Exit
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._intensity import RestartIntensity
from mnemosyne_core.supervision._loop import Plan, SupervisorLoop
from mnemosyne_core.supervision._news import News
from mnemosyne_core.supervision._ref import Ref
from mnemosyne_core.supervision._restart import AutoShutdown
from mnemosyne_core.supervision._spec import ChildKind, ChildSpec, check_child_specs
from mnemosyne_core.supervision._strategy import Strategy


class Supervisor(Body):
    """Starts children in order, restarts those that fail, stops them in reverse.

    A root is started with `start` and stopped with `stop`, or used as an async
    context manager. A nested one is made by its child spec's `start` and is its
    parent's to start and stop; it takes recorder, clock and grace period from there.

    Stopping takes bounded time: each child is asked, has its shutdown time, is
    cancelled, has the grace period, and is then reported (`ChildLeaked`) and left
    behind. Cancelling the supervisor cancels all children at once.

    More restarts than the intensity tolerates, and the supervisor stops its children
    and ends; its parent takes that as the end of a child, a root shows it in `failure`
    and raises it from `wait`. An `Abort` is no reason to restart anybody: everything
    stops, and whoever waits for the root gets it.
    """

    kind = ChildKind.SUPERVISOR

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: RestartIntensity | None = None,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        recorder: Recorder | None = None,
        clock: Clock | None = None,
        name: str = "tree",
        kill_grace_s: float = 1.0,
    ) -> None:
        """A supervisor that has not been started.

        Args:
            children: Specs in start order.
            strategy: Who is restarted with a child that failed.
            intensity: How many restarts are tolerated; by default 3 in 60 s.
            auto_shutdown: Whether the end of significant children ends the supervisor.
            recorder: Where everything that happens is recorded; a root must have one.
            clock: Tells when restarts happen; by default the loop's time.
            name: A root's name in events and errors; its children's paths do without it.
            kill_grace_s: How long a cancelled child has to end before it is left behind,
                in seconds; a nested supervisor goes by its root's.

        Raises:
            ChildSpecError: The specs cannot be together under one supervisor.
        """
        if not (math.isfinite(kill_grace_s) and kill_grace_s >= 0):
            raise ChildSpecError(
                f"kill_grace_s of supervisor {name} must be 0 s or more, got {kill_grace_s!r}"
            )
        self._plan = Plan(
            specs=check_child_specs(children, auto_shutdown=auto_shutdown),
            strategy=strategy,
            intensity=intensity or RestartIntensity(),
            auto_shutdown=auto_shutdown,
        )
        self._recorder = recorder
        self._clock = clock
        self._name = name
        self._kill_grace_s = kill_grace_s
        self._place: Place | None = None
        self._loop: SupervisorLoop | None = None
        self._life: Incarnation | None = None

    # --- a root's life -----------------------------------------------------------------

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
        place = Place(
            path=self._name,
            incarnation=1,
            by=by,
            recorder=self._recorder,
            clock=self._clock or LoopClock(),
            kill_grace_s=self._kill_grace_s,
            news=News(),
        )
        self.settle(place, prefix="")
        self._life = Incarnation(self, place, spec, on_end=lambda _: None)
        try:
            await asyncio.wait((self._life.started,))
        except asyncio.CancelledError:
            self._life.kill()
            await _see_out(self._life)
            raise
        if not self._life.did_start:
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
            Abort: A child has ended with it, now or before.
        """
        if self._life is None:
            return
        self._life.stop(by=by)
        await _see_out(self._life)
        if self.failure is not None and not isinstance(self.failure, Exception):
            raise self.failure

    async def wait(self) -> None:
        """Wait until the supervisor has ended, without asking it to.

        Raises:
            RestartIntensityError: It gave up.
            Abort: A child has ended with it.
            ActorDownError: Somebody cancelled it.
        """
        life = self._life
        if life is None:
            raise self._not_started()
        if not life.ended.done():
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
    def is_running(self) -> bool:
        """Whether all children were started and it has not begun to end."""
        return (
            self._life is not None
            and self._life.did_start
            and self._loop is not None
            and self._loop.over is None
        )

    @property
    def failure(self) -> BaseException | None:
        """Why it ended, if that was not what anybody asked for; `None` while it runs."""
        if self._life is None or not self._life.ended.done():
            return None
        end = self._life.ended.result()
        if end.error is None and end.abnormal:
            return ActorDownError(path=self.path, reason=end.reason)
        return end.error

    # --- by hand: none of it counts as a restart ---------------------------------------

    async def start_child(self, spec: ChildSpec, *, by: int | None = None) -> ChildInfo:
        """Add a child, as the last one, and start it.

        Like everything by hand, this waits for what the supervisor is doing; a child's
        own `started` must not await it.

        Raises:
            ChildSpecError: There is a child of that id, or the spec does not fit here.
            StartError: It did not start; its spec is not kept.
        """
        loop = self._running_loop()
        return await loop.call(partial(loop.start_child, spec, by))

    async def terminate_child(self, child_id: str, *, by: int | None = None) -> None:
        """Stop a child, or stop trying to restart it; its spec is kept unless temporary.

        A strategy may start it again together with its siblings.

        Raises:
            UnknownChildError: There is no such child.
        """
        loop = self._running_loop()
        await loop.call(partial(loop.terminate_child, child_id, by))

    async def restart_child(self, child_id: str, *, by: int | None = None) -> ChildInfo:
        """Start a child that is stopped.

        Raises:
            UnknownChildError: There is no such child.
            ActorStateError: It is not stopped.
            StartError: It did not start; its spec is kept.
        """
        loop = self._running_loop()
        return await loop.call(partial(loop.restart_child, child_id, by))

    async def replace_child(self, child_id: str, *, by: int | None = None) -> ChildInfo:
        """Stop a child, if it runs, and start it again.

        One step, that is finished also when the caller is cancelled: nobody finds the
        child stopped in between.

        Raises:
            UnknownChildError: There is no such child.
            ActorStateError: It is temporary.
            StartError: It did not start; its spec is kept, and it is stopped.
        """
        loop = self._running_loop()
        return await loop.call(partial(loop.replace_child, child_id, by))

    async def delete_child(self, child_id: str) -> None:
        """Forget a child that is stopped.

        Raises:
            UnknownChildError: There is no such child.
            ActorStateError: It is not stopped.
        """
        loop = self._running_loop()
        await loop.call(partial(loop.delete_child, child_id))

    # --- what there is: answered at once, whatever the supervisor is doing --------------

    def which_children(self) -> tuple[ChildInfo, ...]:
        """The children in start order; none before the supervisor has begun to start."""
        if self._loop is None:
            return ()
        return tuple(child.info() for child in self._loop.children.all())

    def count_children(self) -> ChildCount:
        """How many children there are, and how many of them run."""
        children = self.which_children()
        supervisors = sum(child.kind is ChildKind.SUPERVISOR for child in children)
        return ChildCount(
            specs=len(children),
            active=sum(child.state is ChildState.RUNNING for child in children),
            supervisors=supervisors,
            workers=len(children) - supervisors,
        )

    def get_childspec(self, child_id: str) -> ChildSpec:
        """A child's spec.

        Raises:
            UnknownChildError: There is no such child.
        """
        return self._settled().children.get(child_id).spec

    def whereis(self, path: str) -> Ref:
        """The address of a child that is an actor, in its present incarnation.

        Args:
            path: Its id, or ids joined with `/` for a child of a nested supervisor.

        Raises:
            UnknownChildError: There is no such child.
            ActorDownError: It does not run now; it may be about to be restarted.
            ActorStateError: It is no actor.
        """
        child_id, _, rest = path.partition("/")
        if rest:
            return self.nested(child_id).whereis(rest)
        child = self._settled().children.get(child_id)
        body = child.body
        if isinstance(body, ActorCell):
            return body.ref
        raise ActorStateError(
            path=child.path,
            state="a supervisor" if isinstance(body, Supervisor) else "a plain coroutine",
            hint="it has no mailbox; only actors have a ref",
        )

    def nested(self, path: str) -> Supervisor:
        """A child that is a supervisor, in its present incarnation.

        Args:
            path: Its id, or ids joined with `/`.

        Raises:
            UnknownChildError: There is no such child.
            ActorDownError: It does not run now; it may be about to be restarted.
            ActorStateError: It is no supervisor.
        """
        child_id, _, rest = path.partition("/")
        child = self._settled().children.get(child_id)
        body = child.body
        if not isinstance(body, Supervisor):
            raise ActorStateError(
                path=child.path, state="a worker", hint="only supervisors have children"
            )
        return body.nested(rest) if rest else body

    async def wait_restarted(self, path: str, old: Ref) -> Ref:
        """Wait until the actor at `path` runs in another incarnation than `old`.

        Args:
            path: As for `whereis`.
            old: The ref that is dead, or about to be.

        Returns:
            The new incarnation's ref.

        Raises:
            ActorDownError: It is stopped, or the supervisor has ended: it will not come.
            UnknownChildError: There is no such child, or there is none any more.
            ActorStateError: It is no actor.
        """
        loop, place = self._settled(), self._seat()
        while True:
            if loop.over is not None:
                raise ActorDownError(path=self.path, reason="it is ending")
            if self._state_at(path) is not ChildState.RESTARTING:
                ref = self.whereis(path)
                if ref is not old and ref.is_alive:
                    return ref
            await place.news.wait_changed()

    def _state_at(self, path: str) -> ChildState:
        """The state of the first on the way to `path` that does not run."""
        loop = self._settled()
        if loop.over is not None:
            # What follows is the parent's to decide, and not decided yet.
            return ChildState.RESTARTING
        child_id, _, rest = path.partition("/")
        child = loop.children.get(child_id)
        if rest and child.state is ChildState.RUNNING:
            return self.nested(child_id)._state_at(rest)
        return child.state

    # --- as a body: what runs inside an incarnation ------------------------------------

    def settle(self, place: Place, *, prefix: str) -> None:
        """Take the place in the tree; the parent's part, once.

        Raises:
            ActorStateError: This supervisor has been started before.
        """
        if self._place is not None:
            raise ActorStateError(
                path=self.path,
                state="a supervisor that was started before",
                hint="one supervisor lives once; make a new one for each start",
            )
        self._place = place
        self._loop = SupervisorLoop(
            self._plan,
            place,
            prefix=prefix,
            recorder=self._recorder or place.recorder,
            clock=self._clock or place.clock,
            embody=_embody,
        )

    @property
    def by(self) -> int | None:
        """The event that led to its end."""
        return self._loop.over.by if self._loop is not None and self._loop.over else None

    async def run(self, life: Incarnation) -> Exit:
        """Start the children, serve, and stop them, whatever happens on the way."""
        self._life = life
        return await self._settled().run(life)

    def ask_to_stop(self, life: Incarnation, *, by: int | None) -> None:  # noqa: ARG002
        """Stop before anything else that waits; a start under way is interrupted."""
        self._settled().ask_to_stop(by=by)

    def ended(self, end: Exit) -> None:
        """Tell those who still wait for something asked by hand, or for a restart."""
        self._settled().fail_calls(end)
        self._seat().news.announce()

    # --- small things ------------------------------------------------------------------

    def _running_loop(self) -> SupervisorLoop:
        life = self._life
        if life is None or not (life.did_start or life.ended.done()):
            raise self._not_started()
        if life.ended.done():
            raise life.ended.result().down(self.path)
        return self._settled()

    def _settled(self) -> SupervisorLoop:
        if self._loop is None:
            raise self._not_started()
        return self._loop

    def _seat(self) -> Place:
        if self._place is None:
            raise self._not_started()
        return self._place

    def _not_started(self) -> ActorStateError:
        return ActorStateError(
            path=self.path, state="a supervisor that has not started", hint="await start first"
        )


def _embody(spec: ChildSpec, place: Place) -> Body:
    made = spec.start()
    if isinstance(made, Supervisor):
        if spec.kind is not ChildKind.SUPERVISOR:
            raise ChildSpecError(
                f"start of child {spec.id!r} made a supervisor, but its spec says {spec.kind}; "
                "give it kind=ChildKind.SUPERVISOR"
            )
        made.settle(place, prefix=f"{place.path}/")
        return made
    if spec.kind is ChildKind.SUPERVISOR:
        if inspect.iscoroutine(made):
            made.close()
        raise ChildSpecError(
            f"the spec of child {spec.id!r} says supervisor, but its start made {made!r}; "
            "return a Supervisor there, or leave kind out"
        )
    if isinstance(made, Actor):
        return ActorCell(made, place)
    if inspect.iscoroutine(made):
        return CoroutineBody(made)
    raise ChildSpecError(
        f"start of child {spec.id!r} made {made!r}; it must make an Actor, a Supervisor or a "
        "coroutine"
    )


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
