"""A supervisor's loop: one command after the other, until it is over.

A command is the exit of a child, another try at a restart, or a request by hand.
The loop has a task of its own and finishes one command before it takes the next,
so a group of children is always taken through a restart as a whole, whatever
happens meanwhile to whoever asked. Between two tries at a restart the others have
their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import (
    ActorDownError,
    ActorStateError,
    ChildSpecError,
    RestartIntensityError,
)
from mnemosyne_core.events import Recorder, RestartIntensityReached
from mnemosyne_core.supervision._children import (
    Child,
    ChildInfo,
    Children,
    ChildState,
    FailedStart,
)
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._incarnation import Body, Incarnation, Place
from mnemosyne_core.supervision._intensity import RestartIntensity, RestartWindow
from mnemosyne_core.supervision._mailbox import Mailbox
from mnemosyne_core.supervision._restart import (
    AutoShutdown,
    Restart,
    should_restart,
    should_shut_down,
)
from mnemosyne_core.supervision._spec import ChildSpec, check_child_specs
from mnemosyne_core.supervision._strategy import Strategy, affected

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a supervisor was made with."""

    specs: tuple[ChildSpec, ...]
    strategy: Strategy
    intensity: RestartIntensity
    auto_shutdown: AutoShutdown


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the loop is over."""

    failure: BaseException | None = None
    """What was not asked for; `None` for a stop."""

    by: int | None = None
    """Sequence number of the event that led to it."""


_Command = Callable[[], Awaitable[Ending | None]]


class SupervisorLoop:
    """What a supervisor does from its start to its end."""

    def __init__(
        self,
        plan: Plan,
        place: Place,
        *,
        prefix: str,
        recorder: Recorder,
        clock: Clock,
        embody: Callable[[ChildSpec, Place], Body],
    ) -> None:
        """The loop of the supervisor at `place`, not yet running.

        Args:
            plan: What the supervisor was made with.
            place: Where it stands.
            prefix: What its children's paths begin with.
            recorder: Where everything is recorded.
            clock: Tells when restarts happen.
            embody: Calls a spec's `start` and makes something that can run of the result.
        """
        self.over: Ending | None = None
        """Set once the end has begun."""
        self.children = Children(
            supervisor=place.path,
            prefix=prefix,
            recorder=recorder,
            clock=clock,
            kill_grace_s=place.kill_grace_s,
            news=place.news,
            embody=embody,
            on_exit=self._note_exit,
        )
        self._plan = plan
        self._place = place
        self._clock = clock
        self._window = RestartWindow(plan.intensity)
        self._inbox: Mailbox[_Command] = Mailbox(path=place.path)
        self._calls: dict[asyncio.Future[Any], None] = {}

    async def run(self, life: Incarnation) -> Exit:
        """Start the children, serve, and stop them, whatever happens on the way."""
        children = self.children
        try:
            self.over = await self._until_ending(life)
            children.forbid_starts()
            await children.stop_all(by=self.over.by)
        except asyncio.CancelledError:
            self.over = self.over or Ending()
            children.forbid_starts()
            await children.kill_all(by=self.over.by)
            if children.failure is None:
                raise
        return _exit_for(children.failure or self.over.failure)

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
            failed = await children.start(children.add(spec), by=self._place.by)
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
            return await self._restart(child, reason=end.reason, by=seq)
        others_active = sum(
            other.spec.significant and other.state is not ChildState.STOPPED
            for other in self.children.all()
            if other is not child
        )
        ends = should_shut_down(
            self._plan.auto_shutdown,
            significant=child.spec.significant,
            others_active=others_active,
        )
        return Ending(by=seq) if ends else None

    async def _restart(self, child: Child, *, reason: str, by: int | None) -> Ending | None:
        if not self._window.record(self._clock.monotonic()):
            return self._give_up(child, reason=reason, by=by)
        child.restarting = True
        children = self.children
        ids = affected(self._plan.strategy, children.ids, child.spec.id)
        group = [children.get(child_id) for child_id in ids]
        for member in reversed(group):
            await children.stop(member, by=by)
            member.restarting = member.spec.restart is not Restart.TEMPORARY
        for member in group:
            if children.failure is not None:
                return Ending(children.failure, by)
            if member.restarting:
                failed = await children.start(member, by=by)
                if failed is not None:
                    self._try_again_later(failed, group)
                    return None
                member.restarts += 1
        return None

    def _try_again_later(self, failed: FailedStart, group: list[Child]) -> None:
        # Through the inbox, so that requests by hand are served between two tries.
        for member in group:
            member.restarting = member is failed.child
        tried = failed.child.incarnation

        async def try_again() -> Ending | None:
            child = failed.child
            if not child.restarting or child.incarnation != tried:
                return None
            return await self._restart(child, reason=failed.end.reason, by=failed.seq)

        self._inbox.put_nowait(try_again)

    def _give_up(self, child: Child, *, reason: str, by: int | None) -> Ending:
        child.restarting = False
        path, intensity = self._place.path, self._plan.intensity
        fact = RestartIntensityReached(
            supervisor=path, max_restarts=intensity.max_restarts, period_s=intensity.period_s
        )
        seq = self.children.record(fact, agent=path, by=by)
        error = RestartIntensityError(
            path=path,
            max_restarts=intensity.max_restarts,
            period_s=intensity.period_s,
            reason=f"{child.path}: {reason}",
        )
        return Ending(error, seq)

    # --- requests by hand, run by `call` -----------------------------------------------

    async def start_child(self, spec: ChildSpec, by: int | None) -> ChildInfo:
        """Add a child and start it."""
        check_child_specs((spec,), auto_shutdown=self._plan.auto_shutdown)
        children = self.children
        present = children.find(spec.id)
        if present is not None:
            hint = (
                "use restart_child, or delete_child first"
                if present.state is ChildState.STOPPED
                else "give the new one an id of its own"
            )
            raise ChildSpecError(
                f"supervisor {self._place.path} has a child {spec.id!r}, which is "
                f"{present.state}; {hint}"
            )
        child = children.add(spec)
        failed = await children.start(child, by=by)
        if failed is not None:
            children.remove(child)
            raise failed.error(undone=False)
        return child.info()

    async def terminate_child(self, child_id: str, by: int | None) -> None:
        """Stop a child, or stop trying to restart it."""
        child = self.children.get(child_id)
        child.restarting = False
        await self.children.stop(child, by=by)

    async def restart_child(self, child_id: str, by: int | None) -> ChildInfo:
        """Start a child that is stopped."""
        child = self.children.get_stopped(child_id)
        failed = await self.children.start(child, by=by)
        if failed is not None:
            raise failed.error(undone=False)
        return child.info()

    async def replace_child(self, child_id: str, by: int | None) -> ChildInfo:
        """Stop a child and start it again, as one step."""
        child = self.children.get(child_id)
        if child.spec.restart is Restart.TEMPORARY:
            raise ActorStateError(
                path=child.path,
                state="temporary",
                hint="it is forgotten when it stops; start another one",
            )
        await self.terminate_child(child_id, by)
        return await self.restart_child(child_id, by)

    async def delete_child(self, child_id: str) -> None:
        """Forget a child that is stopped."""
        self.children.remove(self.children.get_stopped(child_id))


def _exit_for(failure: BaseException | None) -> Exit:
    if failure is None or isinstance(failure, RestartIntensityError):
        return Exit(ExitKind.SHUTDOWN, failure)
    return Exit.of(failure)
