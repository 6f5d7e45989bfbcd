"""A supervisor's loop: one command after the other, until it is over.

A command is the exit of a child, a restart that is due, or a request by hand.
The loop has a task of its own and finishes one command before it takes the next,
so a group of children is always taken through a restart as a whole, whatever
happens meanwhile to whoever asked. Between two tries at a restart, and while one
is delayed, the others have their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mnemosyne_core.errors import (
    ActorDownError,
    ActorStateError,
    ChildExistsError,
    NameInUseError,
    TooManyChildrenError,
)
from mnemosyne_core.events import Occasion
from mnemosyne_core.supervision._child import Child
from mnemosyne_core.supervision._children import Children
from mnemosyne_core.supervision._ending import Ending
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._info import ChildInfo, ChildState
from mnemosyne_core.supervision._intensity import RestartIntensity
from mnemosyne_core.supervision._mailbox import Mailbox
from mnemosyne_core.supervision._restart import (
    AutoShutdown,
    Restart,
    should_restart,
    should_shut_down,
)
from mnemosyne_core.supervision._restarter import Restarter
from mnemosyne_core.supervision._spec import ChildSpec, check_child_specs
from mnemosyne_core.supervision._strategy import Strategy

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a supervisor was made with."""

    specs: tuple[ChildSpec, ...]
    strategy: Strategy
    intensity: RestartIntensity
    auto_shutdown: AutoShutdown
    dynamic: bool = False
    """Whether its children come and go: those that ended for good are forgotten, and at the
    end they are stopped together."""

    max_children: int | None = None
    """How many there may be; `None` for any number."""


_Command = Callable[[], Awaitable[Ending | None]]


class SupervisorLoop:
    """What a supervisor does from its start to its end."""

    def __init__(
        self, plan: Plan, place: Place, *, prefix: str, embody: Callable[[ChildSpec, Place], Body]
    ) -> None:
        """The loop of the supervisor at `place`, not yet running.

        Args:
            plan: What the supervisor was made with.
            place: Where it stands; its children are given the same things.
            prefix: What its children's paths begin with.
            embody: Calls a spec's `start` and makes something that can run of the result.
        """
        self.over: Ending | None = None
        """Set once the end has begun."""
        self.children = Children(
            place,
            prefix=prefix,
            forgets=plan.dynamic,
            embody=embody,
            on_exit=self._note_exit,
        )
        self._plan = plan
        self._place = place
        self._inbox: Mailbox[_Command] = Mailbox(path=place.path)
        self._restarter = Restarter(
            self.children,
            place,
            strategy=plan.strategy,
            intensity=plan.intensity,
            later=self._inbox.put_nowait,
        )
        self._calls: dict[asyncio.Future[Any], None] = {}

    async def run(self, life: Incarnation) -> Exit:
        """Start the children, serve, and stop them, whatever happens on the way."""
        children = self.children
        try:
            self.over = await self._until_ending(life)
            children.forbid_starts()
            if self._place.given.failpoints is not None:
                await self._place.given.failpoints.stopping(self._place.path, children.paths)
            if self._plan.dynamic:
                await children.stop_together(by=self.over.by)
            else:
                await children.stop_all(by=self.over.by)
        except asyncio.CancelledError:
            self.over = self.over or Ending()
            children.forbid_starts()
            await children.kill_all(by=self.over.by)
            if children.failure is None:
                raise
        return self.over.exit(children.failure)

    def ask_to_stop(self, *, by: int | None) -> None:
        """Stop before anything else that waits; a start under way is interrupted."""

        async def end() -> Ending:
            return Ending(by=by)

        self.children.forbid_starts()
        self._inbox.put_system(end)

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Have the loop run `operation`, which is finished also when the caller is cancelled.

        Raises:
            ActorDownError: The loop is over, or is before it came to that.
        """
        if self.over is not None:
            raise ActorDownError(path=self._place.path, reason="it is ending")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def command() -> None:
            try:
                result = await operation()
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - the caller's, not the supervisor's
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self._calls[future] = None
        self._inbox.put_nowait(command)
        try:
            return await future
        finally:
            self._calls.pop(future, None)

    def fail_calls(self, end: Exit) -> None:
        """Tell those who still wait for what they asked by hand."""
        for future in tuple(self._calls):
            if not future.done():
                future.set_exception(end.down(self._place.path))

    # --- commands ----------------------------------------------------------------------

    async def _until_ending(self, life: Incarnation) -> Ending:
        try:
            ending = await self._start_all()
            if ending is None:
                life.announce_started()
            while ending is None:
                command = await self._inbox.get()
                ending = await command()
                if ending is None and self.children.failure is not None:
                    ending = Ending(self.children.failure)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - a defect here must not orphan the children
            return Ending(error)
        return ending

    async def _start_all(self) -> Ending | None:
        children = self.children
        for spec in self._plan.specs:
            failed = await children.start(
                children.add(spec), by=self._place.by, occasion=Occasion.START
            )
            if children.failure is not None:
                return Ending(children.failure)
            if failed is not None:
                return Ending(failed.error(undone=True), failed.seq)
        return None

    def _note_exit(self, child: Child, life: Incarnation) -> None:
        command = partial(self._handle_exit, child, life)
        if life.ended.result().kind is ExitKind.ABORT:
            self._inbox.put_system(command)
        else:
            self._inbox.put_nowait(command)

    async def _handle_exit(self, child: Child, life: Incarnation) -> Ending | None:
        if child.life is not life:
            # Somebody was quicker to bury it; a late exit says nothing of the new one.
            return None
        end = life.ended.result()
        seq = self.children.bury(child)
        if self.children.failure is not None:
            return Ending(self.children.failure, seq)
        if should_restart(child.spec.restart, end):
            return await self._restarter.restart(child, reason=end.reason, by=seq)
        self.children.retire(child)
        return Ending(by=seq) if self._ends_with(child) else None

    def _ends_with(self, child: Child) -> bool:
        """Whether the supervisor is over now that `child` has ended for good."""
        if not child.spec.significant:
            return False
        others_active = sum(
            other.spec.significant and other.state is not ChildState.STOPPED
            for other in self.children.all()
            if other is not child
        )
        return should_shut_down(
            self._plan.auto_shutdown, significant=True, others_active=others_active
        )

    # --- requests by hand, run by `call` -----------------------------------------------

    async def start_child(self, spec: ChildSpec, by: int | None) -> ChildInfo:
        """Add a child and start it."""
        check_child_specs((spec,), auto_shutdown=self._plan.auto_shutdown)
        children, path = self.children, self._place.path
        if self._place.given.failpoints is not None:
            again = partial(self.start_child, spec, by)
            await self._place.given.failpoints.starting_child(children.path_of(spec.id), again)
        present = children.find(spec.id)
        if present is not None:
            raise ChildExistsError(supervisor=path, child=spec.id, state=present.state)
        most = self._plan.max_children
        if most is not None and len(children) >= most:
            raise TooManyChildrenError(supervisor=path, max_children=most, count=len(children))
        child = children.add(spec)
        try:
            await self._start_by_hand(child, by)
        except BaseException:
            # Not while it is starting: what interrupts the loop has to find it.
            if child.life is None:
                children.remove(child)
            raise
        return child.info()

    async def terminate_child(self, child_id: str, by: int | None) -> None:
        """Stop a child, or stop trying to restart it."""
        child = self.children.get(child_id)
        await self.children.stop(child, by=by, occasion=Occasion.SHUTDOWN)
        await self._restarter.leave_out(child)
        self.children.retire(child)

    async def restart_child(self, child_id: str, by: int | None) -> ChildInfo:
        """Start a child that is stopped, or is to be restarted later."""
        child = self.children.get(child_id)
        if child.restarting:
            failed = await self._restarter.hurry(child)
            if failed is not None:
                raise failed.error(undone=False)
        else:
            await self._start_by_hand(self.children.get_stopped(child_id), by)
        return child.info()

    async def replace_child(self, child_id: str, by: int | None) -> ChildInfo:
        """Stop a child and start it again, as one step."""
        child = self.children.get(child_id)
        if child.restarting:
            return await self.restart_child(child_id, by)
        if child.spec.restart is Restart.TEMPORARY:
            raise ActorStateError(
                path=child.path,
                state="temporary",
                hint="it is forgotten when it stops; start another one",
            )
        child.await_restart(by=by)
        await self.children.stop(child, by=by, occasion=Occasion.SHUTDOWN)
        await self._start_now(child, by)
        return child.info()

    async def delete_child(self, child_id: str) -> None:
        """Forget a child that is stopped."""
        self.children.remove(self.children.get_stopped(child_id))

    async def _start_by_hand(self, child: Child, by: int | None) -> None:
        if child.leaked:
            raise NameInUseError(path=child.path, leaked=child.leaked)
        await self._start_now(child, by)

    async def _start_now(self, child: Child, by: int | None) -> None:
        failed = await self.children.start(child, by=by, occasion=Occasion.START)
        if failed is not None:
            child.forget_restart()
            self.children.retire(child)
            raise failed.error(undone=False)
