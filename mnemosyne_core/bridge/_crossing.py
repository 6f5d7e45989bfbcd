"""Errors as data: what an exception on one side of a pipe becomes on the other.

An error of this project arrives as itself, with its class, its text and its attributes.
So do the errors of the operating system and of imports, because they say what is
missing. Everything else arrives as a `RemoteError` that tells what it was. No class is
imported for it and none is called: what comes out of a pipe chooses among the classes
of errors that are loaded here, and does nothing more.

An `Abort` of whatever class arrives as an `Abort`.
"""

from __future__ import annotations

import sys
import traceback
from typing import Final, TypeVar, cast

from pydantic import Field, JsonValue
from pydantic_core import to_jsonable_python

from mnemosyne_core._value import Value
from mnemosyne_core.errors import Abort, MnemosyneError, RemoteError

_OF_SYSTEM: Final = ("errno", "strerror", "filename")
_OF_IMPORT: Final = ("name", "path")
_TRACEBACK_CHARS: Final = 4_000

_ErrorT = TypeVar("_ErrorT", bound=BaseException)


class ErrorData(Value):
    """An exception on its way through a pipe."""

    kind: str
    """Its class, as `module:qualified.name`."""

    code: str
    """The stable word of its class; `crash` for one that is not ours."""

    message: str
    attributes: dict[str, JsonValue] = Field(default_factory=dict)
    is_abort: bool = False
    trace: str = ""
    """The end of its traceback, for people."""

    @classmethod
    def of(cls, error: BaseException, *, with_trace: bool = False) -> ErrorData:
        """The data of `error`.

        Args:
            error: Any exception.
            with_trace: Whether the other side gets to see where it came from.
        """
        trace = "".join(traceback.format_exception(error)) if with_trace else ""
        return cls(
            kind=f"{type(error).__module__}:{type(error).__qualname__}",
            code=error.code if isinstance(error, MnemosyneError) else "crash",
            message=_text(_said(error)),
            attributes=_attributes(error),
            is_abort=isinstance(error, Abort),
            trace=_text(trace[-_TRACEBACK_CHARS:]),
        )

    def to_exception(self) -> BaseException:
        """The exception that this is, or the nearest thing to it."""
        error = self._rebuilt()
        if self.trace:
            error.add_note(f"raised in another process:\n{self.trace.rstrip()}")
        return error

    def _rebuilt(self) -> BaseException:
        found = _loaded_class(self.kind)
        if found is not None and issubclass(found, Abort if self.is_abort else MnemosyneError):
            error = self._made(found)
            error.__dict__.update({name: _frozen(it) for name, it in self.attributes.items()})
            return error
        if self.is_abort:
            return Abort(self.message)
        if found is not None and issubclass(found, ImportError):
            missing, name = self._made(found), self.attributes.get("name")
            missing.name = name if isinstance(name, str) else None
            return missing
        if found is not None and issubclass(found, OSError) and "errno" in self.attributes:
            # The number chooses the class again: of a missing file, of a refused permission.
            return OSError(*(self.attributes.get(name) for name in _OF_SYSTEM))
        return RemoteError(kind=self.kind.partition(":")[2], problem=self.message)

    def _made(self, found: type[_ErrorT]) -> _ErrorT:
        """One of a class whose constructor, which may ask for anything, is not called."""
        error = found.__new__(found, self.message)
        # Errors of the system leave it to the constructor.
        error.args = (self.message,)
        return error


def _attributes(error: BaseException) -> dict[str, JsonValue]:
    if isinstance(error, (MnemosyneError, Abort)):
        facts = {name: it for name, it in vars(error).items() if name != "__notes__"}
    elif isinstance(error, ImportError):
        facts = {name: getattr(error, name) for name in _OF_IMPORT}
    elif isinstance(error, OSError) and error.errno is not None:
        facts = {name: getattr(error, name) for name in _OF_SYSTEM}
    else:
        facts = {}
    return {_text(name): _cleaned(_plain(it)) for name, it in facts.items()}


def _plain(value: object) -> JsonValue:
    """What is no JSON crosses as the words for it, rather than not at all."""
    try:
        plain = to_jsonable_python(value, fallback=repr, inf_nan_mode="constants", by_alias=False)
    except Exception:  # noqa: BLE001 - a circle, undecodable bytes, a `repr` that is broken
        return f"<{type(value).__name__}>"
    return cast("JsonValue", plain)


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a stranger's code, which must not hide the error
        return f"it cannot say what happened ({type(broken).__name__})"


def _cleaned(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    if isinstance(value, dict):
        return {_text(name): _cleaned(part) for name, part in value.items()}
    if isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        return repr(value)
    return value


def _frozen(value: JsonValue) -> object:
    # Errors keep their lists as tuples, which JSON does not know.
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _loaded_class(kind: str) -> type[BaseException] | None:
    module, _, name = kind.partition(":")
    found: object = sys.modules.get(module)
    for part in name.split("."):
        # Not by `getattr`, which may run code: that of a module which imports lazily.
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
