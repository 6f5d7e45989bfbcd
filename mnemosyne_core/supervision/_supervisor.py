"""Supervisors: who starts, restarts and stops whom, and when it is enough.

Here is what its users see of one. What it does stands in `_loop` and `_restarter`;
what is pure about that (who is restarted, whether that is tolerated, how long it
waits) in `_strategy`, `_restart`, `_intensity` and `_backoff`; how a child starts and
ends in `_children` and `_incarnation`; what is a root's alone in `_lifetime`. The
semantics are those of OTP's `supervisor.erl`, with what an event loop cannot do
(kill) said as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from random import Random

from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import ActorDownError, ActorStateError, ChildSpecError
from mnemosyne_core.events import Recorder
from mnemosyne_core.failpoints import Failpoints
from mnemosyne_core.supervision._actor import Actor
from mnemosyne_core.supervision._cell import ActorCell
from mnemosyne_core.supervision._coroutine import CoroutineBody
from mnemosyne_core.supervision._exit import Exit
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._info import ChildCount, ChildInfo, ChildState
from mnemosyne_core.supervision._intensity import RestartIntensity
from mnemosyne_core.supervision._lifetime import Lifetime
from mnemosyne_core.supervision._loop import Plan, SupervisorLoop
from mnemosyne_core.supervision._ref import Ref
from mnemosyne_core.supervision._restart import AutoShutdown
from mnemosyne_core.supervision._spec import (
    ChildKind,
    ChildSpec,
    check_child_specs,
    check_member,
)
from mnemosyne_core.supervision._strategy import Strategy


class Supervisor(Lifetime):
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

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: RestartIntensity | None = None,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        recorder: Recorder | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        name: str = "tree",
        kill_grace_s: float = 1.0,
        failpoints: Failpoints | None = None,
    ) -> None:
        """A supervisor that has not been started.

        Args:
            children: Specs in start order.
            strategy: Who is restarted with a child that failed.
            intensity: How many restarts are tolerated; by default 3 in 60 s.
            auto_shutdown: Whether the end of significant children ends the supervisor.
            recorder: Where everything that happens is recorded; a root must have one.
            clock: Tells when restarts happen; by default the loop's time.
            random: Where the jitter of delayed restarts comes from; by default an own one,
                different in every run.
            name: A root's name in events and errors; its children's paths do without it.
            kill_grace_s: How long a cancelled child has to end before it is left behind,
                in seconds; a nested supervisor goes by its root's.
            failpoints: Where a test lets things go wrong, in the whole tree; a root's.

        Raises:
            ChildSpecError: The specs cannot be together under one supervisor, or `strategy` or
                `auto_shutdown` is none.
        """
        check_member(f"supervisor {name!r}", "strategy", strategy, Strategy)
        check_member(f"supervisor {name!r}", "auto_shutdown", auto_shutdown, AutoShutdown)
        super().__init__(
            recorder=recorder,
            clock=clock,
            random=random,
            name=name,
            kill_grace_s=kill_grace_s,
            failpoints=failpoints,
        )
        self._plan = Plan(
            specs=check_child_specs(children, auto_shutdown=auto_shutdown),
            strategy=strategy,
            intensity=intensity or RestartIntensity(),
            auto_shutdown=auto_shutdown,
        )
        self._loop: SupervisorLoop | None = None

    @property
    def is_running(self) -> bool:
        """Whether all children were started and it has not begun to end."""
        return (
            self._life is not None
            and self._life.did_start
            and self._loop is not None
            and self._loop.over is None
        )

    # --- by hand: none of it counts as a restart ---------------------------------------

    async def start_child(self, spec: ChildSpec, *, by: int | None = None) -> ChildInfo:
        """Add a child, as the last one, and start it.

        Like everything by hand, this waits for what the supervisor is doing; a child's
        own `started` must not await it.

        Returns:
            The child as it is then; stopped, if its start had nothing to run (`Ignore`).

        Raises:
            ChildExistsError: There is a child of that id.
            ChildSpecError: The spec does not fit here.
            NameInUseError: An incarnation of that name was left behind and still runs.
            StartError: It did not start; its spec is not kept.
        """
        loop = self._running_loop()
        return await loop.call(partial(loop.start_child, spec, by))

    async def terminate_child(self, child_id: str, *, by: int | None = None) -> None:
        """Stop a child, or stop trying to restart it; its spec is kept unless temporary.

        A strategy may start it again together with its siblings. Those that were to be
        restarted after it go on without it.

        Raises:
            UnknownChildError: There is no such child.
        """
        loop = self._running_loop()
        await loop.call(partial(loop.terminate_child, child_id, by))

    async def restart_child(self, child_id: str, *, by: int | None = None) -> ChildInfo:
        """Start a child that is stopped, or at once what is to be restarted later.

        Returns:
            The child as it is then; stopped, if its start had nothing to run (`Ignore`).

        Raises:
            UnknownChildError: There is no such child.
            ActorStateError: It runs.
            NameInUseError: An incarnation of it was left behind and still runs.
            StartError: It did not start, or one that has to start before it; its spec is
                kept, and what was to be restarted is tried again as ever.
        """
        loop = self._running_loop()
        return await loop.call(partial(loop.restart_child, child_id, by))

    async def replace_child(self, child_id: str, *, by: int | None = None) -> ChildInfo:
        """Stop a child, if it runs, and start it again.

        One step, that is finished also when the caller is cancelled: nobody finds the
        child stopped in between. Like a restart by the supervisor it goes on when the old
        incarnation will not end: the new one then says `leaked`.

        Raises:
            UnknownChildError: There is no such child.
            ActorStateError: It is temporary.
            StartError: It did not start; its spec is kept.
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
            path: Its id, or ids joined with `/` for a child of a nested supervisor, or of
                one that an actor owns.

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
        """A child that is a supervisor, or the one that it owns, in its present incarnation.

        Args:
            path: Its id, or ids joined with `/`.

        Raises:
            UnknownChildError: There is no such child.
            ActorDownError: It does not run now; it may be about to be restarted.
            ActorStateError: It is no supervisor and owns none.
        """
        child_id, _, rest = path.partition("/")
        child = self._settled().children.get(child_id)
        body = child.body
        if isinstance(body, ActorCell) and body.owned_supervisor is not None:
            body = body.owned_supervisor
        if not isinstance(body, Supervisor):
            raise ActorStateError(
                path=child.path,
                state="a worker",
                hint="only supervisors, and actors that own one, have children",
            )
        return body.nested(rest) if rest else body

    async def wait_restarted(self, path: str, old: Ref | None) -> Ref:
        """Wait until the actor at `path` runs in another incarnation than `old`.

        Args:
            path: As for `whereis`.
            old: The ref that is dead, or about to be; `None`: any that lives will do.

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
            await place.given.news.wait_changed()

    def _state_at(self, path: str) -> ChildState:
        """The state of the first on the way to `path` that does not run."""
        # Where what follows an end is not decided yet, it may be a restart.
        loop = self._settled()
        if loop.over is not None:
            return ChildState.RESTARTING
        child_id, _, rest = path.partition("/")
        child = loop.children.get(child_id)
        if child.awaits_burial:
            return ChildState.RESTARTING
        if rest and child.state is ChildState.RUNNING:
            return self.nested(child_id)._state_at(rest)
        return child.state

    # --- as a body: what runs inside an incarnation ------------------------------------

    def settle(self, place: Place, *, prefix: str) -> None:
        """Take the place in the tree; the part of whoever starts this supervisor, once.

        Args:
            place: Where it stands, and what it is given.
            prefix: What its children's paths begin with.

        Raises:
            ActorStateError: This supervisor has been started before.
        """
        if self._place is not None:
            raise ActorStateError(
                path=self.path,
                state="a supervisor that was started before",
                hint="one supervisor lives once; make a new one for each start",
            )
        given = replace(
            place.given,
            recorder=self._recorder or place.given.recorder,
            clock=self._clock or place.given.clock,
            random=self._random or place.given.random,
        )
        self._place = place = replace(place, given=given)
        self._loop = SupervisorLoop(self._plan, place, prefix=prefix, embody=_embody)

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
        self._seat().given.news.announce()

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
        return CoroutineBody(made, place)
    raise ChildSpecError(
        f"start of child {spec.id!r} made {made!r}; it must make an Actor, a Supervisor or a "
        "coroutine"
    )
