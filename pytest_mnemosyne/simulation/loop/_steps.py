"""What a loop runs, one callback at a time: whose it is, and how it is called.

asyncio tells no one which callbacks are steps of tasks. The marks used here are those
of CPython 3.11 to 3.14, for tasks in C and in Python; a test runs them on whatever
Python is at hand.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

AnyTask = asyncio.Task[Any]

_FIRST_STEP: Final = "TaskStepMethWrapper"
_OTHER_STEPS: Final = frozenset({"task_wakeup", "__step", "__wakeup"})
_NAMES_OF_NUMBERS: Final = "Task-"


def task_of(handle: asyncio.Handle) -> AnyTask | None:
    """The task whose next step a callback is; `None` for any other callback."""
    callback = cast("Any", handle)._callback
    kind = type(callback).__name__
    if kind == _FIRST_STEP or getattr(callback, "__name__", None) in _OTHER_STEPS:
        owner = getattr(callback, "__self__", None)
        if asyncio.isfuture(owner) and hasattr(owner, "get_coro"):
            return cast("AnyTask", owner)
    return None


def name_of(function: object) -> str:
    """What a callback is called in its source; partials by what they call."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def work_of(task: AnyTask) -> str:
    """What a task's coroutine is called in its source."""
    return name_of(task.get_coro())


class Labels:
    """Names for the steps of one loop that are the same in every run of a program.

    Tasks are numbered per loop in the order of their first steps: asyncio's own numbers
    go on from loop to loop, and addresses differ anyway.
    """

    def __init__(self) -> None:
        self._numbers: WeakKeyDictionary[AnyTask, int] = WeakKeyDictionary()
        self._count = 0

    def number_of(self, task: AnyTask) -> int:
        """The task's number in this loop, from 1."""
        number = self._numbers.get(task)
        if number is None:
            self._count += 1
            number = self._numbers[task] = self._count
        return number

    def label_of(self, handle: asyncio.Handle, task: AnyTask | None) -> str:
        """A callback's name; that of a task's step begins with the task's."""
        if task is None:
            callback: Callable[..., object] = cast("Any", handle)._callback
            return name_of(callback)
        name = task.get_name()
        named = "" if name.startswith(_NAMES_OF_NUMBERS) else f" {name}"
        return f"task {self.number_of(task)}{named} {work_of(task)}"
