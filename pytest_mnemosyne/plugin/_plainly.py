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
        "pytest_mnemosyne",
        "requests",
        "socket",
        "ssl",
        "urllib",
        "urllib3",
        "vcr",
    }
)
"""Packages on a request's way to the cassette."""


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
    last: TracebackType | None = None
    here: TracebackType | None = excinfo.tb
    while here is not None:
        module = str(here.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _NOT_THE_READERS:
            last = here
        here = here.tb_next
    if last is not None:
        # The traceback itself and not pytest's list of its frames: that is made anew from it.
        last.tb_next = None
        excinfo.traceback = type(excinfo.traceback)(excinfo.tb)
