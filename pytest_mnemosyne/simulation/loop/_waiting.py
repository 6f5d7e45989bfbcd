"""Who waits for what: the tasks of a loop, told from the outside.

The chain of awaits of a task ends in a future that nobody can name. But the frames on
the way know: the innermost one is that of `Queue.get`, `Event.wait` or `Ref.ask`, and
its `self` says of which. So a task is told by its innermost awaits and by the object
that they belong to; what it asks of an actor, by the actor's path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, cast

from pytest_mnemosyne.simulation.loop._steps import AnyTask, work_of

_FRAMES = 4
"""How many of a task's innermost awaits are told."""

_ASK = "Ref.ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One task that waits."""

    name: str
    awaits: tuple[str, ...]
    """Its awaits with file and line, the innermost one last."""

    what: str
    """What the innermost one waits for."""

    tasks: tuple[str, ...] = field(default=())
    """Names of the tasks that it waits for, if it does; the tasks of an actor it asks, too."""

    def __str__(self) -> str:
        lines = [f"{self.name} waits for {self.what}"]
        lines += [f"    {each}" for each in self.awaits]
        return "\n".join(lines)


def waiting_tasks(loop: asyncio.AbstractEventLoop) -> tuple[Waiting, ...]:
    """Every task of `loop` that has not ended, in order of their names."""
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    found = [_waiting(task, tasks) for task in tasks]
    return tuple(sorted(found, key=lambda each: (_is_main(each.name), each.name)))


def circle(waiting: tuple[Waiting, ...]) -> tuple[str, ...]:
    """Names of tasks that wait for each other in a circle; empty where there is none."""
    wants = {each.name: each.tasks for each in waiting}
    for start in wants:
        path: list[str] = []
        name: str | None = start
        while name is not None and name not in path:
            path.append(name)
            name = next((other for other in wants.get(name, ()) if other in wants), None)
        if name is not None:
            return tuple(path[path.index(name) :])
    return ()


def told(waiting: tuple[Waiting, ...]) -> str:
    """All of them as a text for a report, with the circle if there is one."""
    if not waiting:
        return "no task is left"
    lines = [str(each) for each in waiting]
    round_trip = circle(waiting)
    if round_trip:
        lines.insert(0, f"they wait in a circle: {' -> '.join((*round_trip, round_trip[0]))}")
    return "\n".join(lines)


def _is_main(name: str) -> bool:
    return name.startswith("Task-")


def _waiting(task: AnyTask, tasks: list[AnyTask]) -> Waiting:
    frames = list(_frames(task))
    inner = frames[-1] if frames else None
    what, asked = _what(task, inner)
    return Waiting(
        name=_name(task),
        awaits=tuple(
            f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
            for frame in frames[-_FRAMES:]
        ),
        what=what,
        tasks=(*map(_name, _awaited_tasks(task)), *_tasks_of_actor(asked, tasks)),
    )


def _name(task: AnyTask) -> str:
    return f"{task.get_name()} ({work_of(task)})"


def _frames(task: AnyTask) -> Iterator[FrameType]:
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = _attribute(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame
        awaited = _attribute(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _attribute(awaited: object, *names: str) -> Any:
    return next((getattr(awaited, name) for name in names if hasattr(awaited, name)), None)


def _what(task: AnyTask, inner: FrameType | None) -> tuple[str, str | None]:
    """What the innermost await is for, and the path of the actor that is asked."""
    if inner is None:
        return "its turn", None
    others = _awaited_tasks(task)
    if others:
        return f"{', '.join(map(_name, others))} to end", None
    owner = inner.f_locals.get("self")
    name = inner.f_code.co_qualname
    if name == _ASK:
        return f"the answer of {owner!r} to {inner.f_locals.get('message')!r}", _path_of(owner)
    if owner is not None:
        return f"{name} of {owner!r}", None
    return name, None


def _path_of(ref: object) -> str | None:
    path = getattr(ref, "path", None)
    return path if isinstance(path, str) else None


def _awaited_tasks(task: AnyTask) -> list[AnyTask]:
    future = cast("Any", task)._fut_waiter
    parts = getattr(future, "_children", None) or ([] if future is None else [future])
    return [part for part in parts if hasattr(part, "get_coro") and not part.done()]


def _tasks_of_actor(path: str | None, tasks: list[AnyTask]) -> list[str]:
    if path is None:
        return []
    # An actor's own task is called path#incarnation, the others that it has path:name.
    return [
        _name(task)
        for task in tasks
        if task.get_name().partition("#")[0] == path or task.get_name().startswith(f"{path}:")
    ]
