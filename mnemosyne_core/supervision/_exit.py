"""How a child ended.

========  ==================================================  ========
kind      when                                                abnormal
========  ==================================================  ========
normal    it returned                                         no
ignored   its start said that there is nothing to run         no
shutdown  its supervisor stopped it, or it is a supervisor    no
          that gave up or was shut down by a child's end
killed    somebody else cancelled it, or it outlived its      yes
          shutdown time and was cancelled for that
crash     it raised an `Exception`                            yes
abort     it raised anything else, such as `Abort`            yes
========  ==================================================  ========

A supervisor that gives up exits with `shutdown`, as in OTP: its parent restarts
it when it is permanent, and leaves it be when it is transient. The exit carries
the error all the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

from mnemosyne_core.errors import ActorDownError

LOOP_BREAKERS: Final = (KeyboardInterrupt, SystemExit)
"""What asyncio, when a task ends with it, throws through the whole loop at once.

A child hands them over as its exit instead: the root stops everybody in order
first, and raises them where it is waited for.
"""


class Ignore(Exception):  # noqa: N818 - it is no error
    """Raised by a start that has nothing to run now, such as a feature that is turned off.

    From a spec's `start` or an actor's `started`. It is not a failure: siblings go on
    starting, and the spec is kept without an incarnation, unless it is temporary.
    """


class ExitKind(StrEnum):
    """The ways to end."""

    NORMAL = auto()
    IGNORED = auto()
    SHUTDOWN = auto()
    KILLED = auto()
    CRASH = auto()
    ABORT = auto()


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one incarnation of a child."""

    kind: ExitKind
    error: BaseException | None = None
    """What it raised; for a supervisor that gave up, why it did."""

    @property
    def abnormal(self) -> bool:
        """Whether a transient child is restarted for it."""
        return self.kind in (ExitKind.KILLED, ExitKind.CRASH, ExitKind.ABORT)

    @property
    def reason(self) -> str:
        """The reason in words."""
        if self.error is None:
            return self.kind.value
        if self.kind is ExitKind.IGNORED:
            return f"{self.kind.value} ({self.error})"
        text = f"{type(self.error).__name__}: {self.error}"
        return text if self.abnormal else f"{self.kind.value} ({text})"

    def down(self, path: str) -> BaseException:
        """The error for whoever waits for an answer from the actor at `path`.

        An `Abort` is passed on as itself, so that nobody mistakes it for a crash.
        """
        unheeded = (*LOOP_BREAKERS, asyncio.CancelledError)
        if (
            self.kind is ExitKind.ABORT
            and self.error is not None
            and not isinstance(self.error, unheeded)
        ):
            return self.error
        return ActorDownError(path=path, reason=self.reason)

    @classmethod
    def of(cls, error: BaseException) -> Exit:
        """The exit of a task that raised `error` and was not asked to stop."""
        if isinstance(error, asyncio.CancelledError):
            return cls(ExitKind.KILLED)
        return cls(ExitKind.CRASH if isinstance(error, Exception) else ExitKind.ABORT, error)

    @classmethod
    def of_start(cls, error: BaseException) -> Exit:
        """The exit of a start that raised `error`."""
        return cls(ExitKind.IGNORED, error) if isinstance(error, Ignore) else cls.of(error)
