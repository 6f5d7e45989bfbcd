"""What a program asks of the machine although its schedule should decide it.

The wall clock, numbers from the operating system and random uuids differ from run to
run. While the self-check of a search runs, the interpreter's profiler tells of every
call of such a function, however it was imported; nothing is replaced. Only calls by the
project under test are told, not those of the standard library or of a package.

The module `random` is no escape: it is seeded from the tape. Nor is the loop's time.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

_NAMES: Final = {
    time.time: "time.time()",
    time.time_ns: "time.time_ns()",
    time.monotonic: "time.monotonic()",
    time.monotonic_ns: "time.monotonic_ns()",
    time.perf_counter: "time.perf_counter()",
    time.perf_counter_ns: "time.perf_counter_ns()",
    time.localtime: "time.localtime()",
    time.gmtime: "time.gmtime()",
    dt.datetime.now: "datetime.now()",
    dt.datetime.utcnow: "datetime.utcnow()",
    dt.date.today: "date.today()",
    os.urandom: "os.urandom()",
}
"""Functions in C that answer differently in every run, and what they are called."""

_PASS_IT_ON: Final = frozenset({"random", "secrets", "uuid"})
"""Modules of the standard library that ask on behalf of whoever calls them."""

_NOT_OURS: Final = tuple(
    {
        os.path.realpath(folder) + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (folder := sysconfig.get_path(name))
    }
)
_THIS_PACKAGE: Final = f"{Path(__file__).resolve().parents[2]}{os.sep}"


@contextmanager
def noting_escapes() -> Iterator[list[str]]:
    """Note who asks for what differs from run to run: a line for each place, once.

    It listens in this thread alone, and takes the place of another profiler for the time.
    """
    found: dict[str, None] = {}
    told: list[str] = []
    before = sys.getprofile()

    def listen(frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and (name := _name_of(function)) is not None:
            line = _told(frame, name)
            if line is not None:
                found[line] = None

    sys.setprofile(listen)
    try:
        yield told
    finally:
        sys.setprofile(before)
        told += found


def _name_of(function: object) -> str | None:
    try:
        return _NAMES.get(function)  # type: ignore[call-overload,no-any-return]
    except TypeError:
        # A method of something that has no hash.
        return None


def _told(frame: FrameType | None, name: str) -> str | None:
    """Who asked, if it was the project; through which function, if that is known better."""
    while frame is not None and frame.f_globals.get("__name__") in _PASS_IT_ON:
        name = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}()"
        frame = frame.f_back
    if frame is None or not _is_ours(frame.f_code.co_filename):
        return None
    return f"{name} in {frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


def _is_ours(filename: str) -> bool:
    path = os.path.realpath(filename)
    return not filename.startswith("<") and not path.startswith((*_NOT_OURS, _THIS_PACKAGE))
