"""One child of a supervisor: its spec, its present incarnation, and what it waits for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mnemosyne_core.errors import ActorDownError, StartError
from mnemosyne_core.supervision._exit import Exit
from mnemosyne_core.supervision._incarnation import Body, Incarnation
from mnemosyne_core.supervision._info import ChildInfo, ChildState
from mnemosyne_core.supervision._leaks import Leaks
from mnemosyne_core.supervision._spec import ChildSpec


class Child:
    """One row of a supervisor's table."""

    def __init__(self, spec: ChildSpec, path: str, leaks: Leaks) -> None:
        """A child that has not been started."""
        self.spec = spec
        self.path = path
        self.life: Incarnation | None = None
        # A new supervisor counts anew, but not what a leak below the old one is still called.
        self.incarnation = leaks.last_number(path)
        self.restarts = 0
        self.last_exit: Exit | None = None
        self.in_a_row = 0
        """Its delayed restarts since it ran stably last."""
        self.restarting = False
        """Whether it is to be started again."""
        self.may_start = False
        """Whether it does not hold up that restart itself."""
        self.restart_by: int | None = None
        """Sequence number of the event that led to that restart."""
        self.timer: asyncio.TimerHandle | None = None
        """Until its delay is over."""
        self._leaks = leaks

    @property
    def state(self) -> ChildState:
        """What it is doing, as far as its supervisor knows."""
        if self.life is not None and self.life.did_start:
            return ChildState.RUNNING
        return ChildState.RESTARTING if self.restarting else ChildState.STOPPED

    @property
    def awaits_burial(self) -> bool:
        """Whether it has ended, and its supervisor has not come to that yet."""
        return self.life is not None and self.life.ended.done()

    @property
    def body(self) -> Body:
        """What runs in its present incarnation.

        Raises:
            ActorDownError: Nothing does.
        """
        if self.life is None or not self.life.did_start:
            last = f", last exit: {self.last_exit.reason}" if self.last_exit is not None else ""
            raise ActorDownError(path=self.path, reason=f"{self.state}{last}")
        if self.awaits_burial:
            raise ActorDownError(path=self.path, reason=self.life.ended.result().reason)
        return self.life.body

    @property
    def leaked(self) -> int:
        """How many incarnations under its name were left behind and still run."""
        return self._leaks.count(self.path)

    def await_restart(self, *, by: int | None) -> None:
        """It is to be started again, as soon as nothing holds that up."""
        # Who waits already is held up by a delay or a decision of its own.
        if not self.restarting:
            self.restarting = self.may_start = True
            self.restart_by = by

    def forget_restart(self) -> None:
        """It is not to be started again, or has been."""
        self.restarting = self.may_start = False
        self.disarm()

    def disarm(self) -> None:
        """Do not wait for the end of a delay any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def info(self) -> ChildInfo:
        """The child as it is now."""
        return ChildInfo(
            id=self.spec.id,
            path=self.path,
            kind=self.spec.kind,
            state=self.state,
            incarnation=self.incarnation,
            restarts=self.restarts,
            last_exit=self.last_exit.reason if self.last_exit is not None else None,
            leaked=self.leaked,
        )


@dataclass(frozen=True, slots=True)
class FailedStart:
    """A start that came to nothing, and the event that says so."""

    child: Child
    end: Exit
    seq: int | None

    def error(self, *, undone: bool) -> BaseException:
        """What to raise for it: a `StartError`, or an abort as itself.

        Args:
            undone: Whether the whole supervisor was starting, and is undone.
        """
        cause = self.end.error
        if cause is not None and not isinstance(cause, Exception):
            return cause
        start_error = StartError(path=self.child.path, reason=self.end.reason, undone=undone)
        start_error.__cause__ = cause
        return start_error
