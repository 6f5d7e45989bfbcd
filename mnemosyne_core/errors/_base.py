"""The root of all errors, and what they have in common."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Any, ClassVar


class Recovery(StrEnum):
    """Who can mend an error."""

    LATER = auto()
    """Time: the same again, after a while, may go well."""

    WORK = auto()
    """Whoever wrote the work item: it is too large, malformed or unwanted."""

    CONFIGURATION = auto()
    """Whoever runs the system: a key, a package, a folder, a setting."""

    RESTART = auto()
    """A new agent in place of this one; its bridge sees to that."""

    NONE = auto()
    """Nobody while the program runs: it is a mistake in the code, or final."""


def _restore(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    # `TimeoutError` and the like take their arguments in the constructor only.
    error.args = args
    error.__dict__.update(state)
    return error


class _Portable:
    """Pickling for exceptions whose constructor takes facts, not the finished text.

    The default replays `args` (the text) into the constructor; this restores the
    attributes without calling it, so every subclass crosses a process boundary.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), getattr(self, "args", ()), dict(self.__dict__))


class MnemosyneError(_Portable, Exception):
    """Base of every exception raised on purpose by this project."""

    code: ClassVar[str] = "error"

    recovery: Recovery = Recovery.NONE
    """Who can mend it."""

    hint: str = ""
    """What to do, for people; empty where the text says it all."""

    retry_after_s: float | None = None
    """Seconds after which the same may go well again, where that is known."""


class Abort(_Portable, BaseException):
    """The run itself has become meaningless; everybody passes this on, nobody handles it.

    Supervisors do not restart for it, actors, bus and bridge do not absorb it, and
    it is no `Exception`, so that `except Exception` in the code under test cannot
    turn a run that asked the impossible into a green one.
    """
