"""Reports that say what is wrong with a cassette or a marker, and not how we noticed."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from _pytest._code import ExceptionInfo

_NOT_THE_READERS: Final = frozenset(
    {
        "_pytest",
        "aiohttp",
        "anthropic",
        "anyio",
        "asyncio",
        "contextlib",
        "http",
        "httpcore",
        "httpcore2",
        "httpx",
        "httpx2",
        "mnemosyne_core",
        "pluggy",
        "pytest_asyncio",
        "pytest_mnemosyne",
        "requests",
        "socket",
        "ssl",
        "urllib",
        "urllib3",
        "vcr",
    }
)
"""Packages on a request's way to the cassette, and on pytest's way to a test."""


class _Plainly:
    """A block of the plug-in's own: what it raises on purpose is told by its words alone.

    Its errors are about a file or a setting of the user's, and thirty frames of ours would
    stand above the one line that helps.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            from mnemosyne_core.errors import MnemosyneError

            if isinstance(error, MnemosyneError):
                raise pytest.fail.Exception(str(error), pytrace=False) from None


PLAINLY: Final = _Plainly()


def end_at_the_readers_code(excinfo: ExceptionInfo[BaseException]) -> None:
    """Cut a traceback behind its last frame that is neither ours, the SDK's nor a transport's."""
    last = _last_of_the_readers(excinfo)
    if last is not None:
        # The traceback itself and not pytest's list of its frames: that is made anew from it.
        last.tb_next = None
        excinfo.traceback = type(excinfo.traceback)(excinfo.tb)


def tells_all_by_itself(excinfo: ExceptionInfo[BaseException]) -> bool:
    """Whether an error is ours and was raised beside the reader's code, as by an event loop."""
    from mnemosyne_core.errors import MnemosyneError

    return isinstance(excinfo.value, MnemosyneError) and _last_of_the_readers(excinfo) is None


def _last_of_the_readers(excinfo: ExceptionInfo[BaseException]) -> TracebackType | None:
    last: TracebackType | None = None
    here: TracebackType | None = excinfo.tb
    while here is not None:
        module = str(here.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _NOT_THE_READERS:
            last = here
        here = here.tb_next
    return last
