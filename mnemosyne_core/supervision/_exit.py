"""How a child ended.

========  ==================================================  ========
kind      when                                                abnormal
========  ==================================================  ========
normal    it returned                                         no
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

from mnemosyne_core.errors import ActorDownError


class ExitKind(StrEnum):
    """The ways to end."""

    NORMAL = auto()
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
        text = f"{type(self.error).__name__}: {self.error}"
        return text if self.abnormal else f"{self.kind.value} ({text})"

    def down(self, path: str) -> BaseException:
        """The error for whoever waits for an answer from the actor at `path`.

        An `Abort` is passed on as itself, so that nobody mistakes it for a crash.
        """
        unheeded = (KeyboardInterrupt, SystemExit, asyncio.CancelledError)
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
