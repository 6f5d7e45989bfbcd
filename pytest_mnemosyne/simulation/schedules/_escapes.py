"""What a program asks of the machine although its schedule should decide it.

The wall clock, numbers from the operating system and random uuids differ from run to
run. While the self-check of a search runs, the functions that give them note who calls;
only code of the project under test is told, not the standard library's or a package's.
The module `random` is no escape: it is seeded from the tape.
"""

from __future__ import annotations

import os
import secrets
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_FUNCTIONS: Final[tuple[tuple[ModuleType, tuple[str, ...]], ...]] = (
    (time, ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
    (uuid, ("uuid1", "uuid4")),
    (os, ("urandom",)),
    (secrets, ("token_bytes", "token_hex", "token_urlsafe", "randbelow", "choice")),
)
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
    """Note who calls what differs from run to run: a line for each place, once.

    Functions that a module has imported by name before are not seen.
    """
    found: list[str] = []
    replaced = [
        (module, name, getattr(module, name)) for module, names in _FUNCTIONS for name in names
    ]
    for module, name, function in replaced:
        setattr(module, name, _noting(function, f"{module.__name__}.{name}", found))
    try:
        yield found
    finally:
        for module, name, function in replaced:
            setattr(module, name, function)


def _noting(function: Callable[..., Any], name: str, found: list[str]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        code = sys._getframe(1).f_code
        line = sys._getframe(1).f_lineno
        if _is_ours(code.co_filename):
            told = f"{name}() in {code.co_qualname} ({code.co_filename}:{line})"
            if told not in found:
                found.append(told)
        return function(*args, **kwargs)

    return noted


def _is_ours(filename: str) -> bool:
    path = os.path.realpath(filename)
    return not filename.startswith("<") and not path.startswith((*_NOT_OURS, _THIS_PACKAGE))
