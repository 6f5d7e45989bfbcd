"""State machines whose rules are async, on an event loop of the caller's choice.

The counterpart of `hypothesis.stateful`, whose machines are synchronous. Write a machine as
one writes an ordinary one, with the decorators of this module, and any rule, precondition,
invariant and the teardown may be `async def`:

- Each example has an event loop of its own, made by `make_loop` when it is first needed and
  closed at the example's end. All steps of an example share it and one context.
- A rule may start tasks that go on after it. They run whenever the loop does, which is while
  anything async is awaited; between two steps nothing moves.
- When `teardown` is over, tasks that still run are cancelled and awaited. An exception that a
  task raised and nobody awaited fails the example, as does a task that does not end.

`SimulatedStateMachine` is one on virtual time, whose order of steps is part of the example.

Hypothesis calls rules, conditions and invariants as plain functions. The decorators hand it
plain functions, which run the coroutine on the machine's loop to its end; so choosing,
shrinking and printing are Hypothesis's own.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import copy_context
from typing import Any, ClassVar, TypeVar

from hypothesis import stateful
from hypothesis.stateful import Bundle, consumes, multiple, run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.simulation.loop import VirtualClock, VirtualLoop
from pytest_mnemosyne.simulation.schedules import Replay, Schedule, Tape
from pytest_mnemosyne.strategies._errors import UndecoratedRuleError
from pytest_mnemosyne.strategies._tapes import schedule_tapes

__all__ = [
    "AsyncRuleBasedStateMachine",
    "Bundle",
    "LeftRunningError",
    "SimulatedStateMachine",
    "UndecoratedRuleError",
    "consumes",
    "initialize",
    "invariant",
    "multiple",
    "precondition",
    "rule",
    "run_state_machine_as_test",
]

_F = TypeVar("_F", bound=Callable[..., object])
_T = TypeVar("_T")

_AWAITED = "_mnemosyne_awaited"
"""Marks the plain functions that stand for async ones."""


class LeftRunningError(MnemosyneError):
    """A task did not end although it was cancelled at the end of an example.

    Attributes:
        tasks: Their names.
        shutdown_s: How long was waited, in seconds of the loop.
    """

    code = "left_running"

    def __init__(self, *, tasks: tuple[str, ...], shutdown_s: float) -> None:
        self.tasks = tasks
        self.shutdown_s = shutdown_s
        super().__init__(
            f"still running {shutdown_s:g} s after they were cancelled: {', '.join(tasks)}; "
            "let CancelledError pass through, or raise the machine's shutdown_s"
        )


class AsyncRuleBasedStateMachine(stateful.RuleBasedStateMachine):
    """A rule-based state machine whose parts may be async.

    Subclass it and run it like any other: `Machine.TestCase`, `run_state_machine_as_test`.
    """

    shutdown_s: ClassVar[float] = 1.0
    """How long cancelled tasks have to end, in seconds of the loop."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse async rules that Hypothesis's own decorators would silently never run."""
        super().__init_subclass__(**options)
        for name, member in vars(cls).items():
            if _would_never_be_awaited(member):
                raise UndecoratedRuleError(name=f"{cls.__name__}.{name}")

    def __init__(self) -> None:
        """A machine for one example."""
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = copy_context()
        self._background = _Background()
        # What is being handled around the example is no failure of the example.
        self._handled_outside = sys.exception()
        # Hypothesis calls this at the end of each example, whatever happened in it.
        self.teardown = self._end  # type: ignore[assignment]

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """A new event loop, for one example; override it to choose another.

        Called once, before the first step that is async. What an `initialize` rule that is a
        plain function drew before that is there already, such as the schedule to play.
        """
        return asyncio.new_event_loop()

    # Type checkers compare every override with Hypothesis's own, which is a plain function.
    async def teardown(self) -> None:  # type: ignore[override]
        """Called at the end of each example, also of one that failed; does nothing by default."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The example's event loop, made when it is first asked for.

        Raises:
            UsageError: `make_loop` gave a loop that is closed, or that runs already.
        """
        if self._loop is None:
            loop = self.make_loop()
            if loop.is_closed() or loop.is_running():
                state = "closed" if loop.is_closed() else "running already"
                raise UsageError(
                    f"{type(self).__name__}.make_loop gave a loop that is {state}; "
                    "make a new one for each example"
                )
            self._background.watch(loop)
            self._loop = loop
        return self._loop

    def _await(self, make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine to its end on the example's loop, in the example's context."""
        # The loop first: where there is none, nothing is made that nobody awaits.
        loop = self.loop
        return loop.run_until_complete(loop.create_task(make(), context=self._context))

    def _end(self) -> None:
        """Tear down, and see to it that nothing goes on and nothing went wrong unseen."""
        failure = sys.exception()
        if failure is self._handled_outside:
            failure = None
        problems: list[BaseException] = []
        try:
            self._tear_down()
        except BaseException as error:
            failure = error
            raise
        finally:
            if self._loop is not None:
                problems = self._close(self._loop)
            if failure is not None:
                _note_besides(failure, problems)
        if failure is None:
            _raise(problems)

    def _tear_down(self) -> None:
        teardown: Callable[[AsyncRuleBasedStateMachine], Any] = type(self).teardown
        if teardown is AsyncRuleBasedStateMachine.teardown:
            return
        if inspect.iscoroutinefunction(teardown):
            self._await(functools.partial(teardown, self))
        else:
            # Typed as async, but a plain function will do.
            teardown(self)

    def _close(self, loop: asyncio.AbstractEventLoop) -> list[BaseException]:
        """End what runs in the background; returns what went wrong there."""
        try:
            self._await(functools.partial(self._background.end, self.shutdown_s))
            self._await(loop.shutdown_asyncgens)
            self._await(loop.shutdown_default_executor)
        finally:
            loop.close()
        return self._background.problems(self.shutdown_s)

    # --- how Hypothesis prints the steps ---

    def _repr_step(self, rule: Any, data: Any, result: Any) -> str:
        line: str = super()._repr_step(rule, data, result)
        return line.replace("state.", "await state.", 1) if _is_awaited(rule.function) else line

    def check_invariants(
        self, settings: Any, output: Callable[[str], object], runtimes: Any
    ) -> None:
        """Check all invariants; Hypothesis calls this after each step."""

        def shown(line: str) -> None:
            checked = getattr(type(self), line.removeprefix("state.").removesuffix("()"), None)
            output(f"await {line}" if _is_awaited(checked) else line)

        super().check_invariants(settings, shown, runtimes)


def _raise(problems: Sequence[BaseException]) -> None:
    """Raise the first as it was raised, so that it counts as one failure with its own place."""
    if problems:
        first, *others = problems
        _note_besides(first, others)
        raise first


def _note_besides(failure: BaseException, problems: Sequence[BaseException]) -> None:
    for problem in problems:
        failure.add_note(f"besides, in the background: {problem!r}")


class _Background:
    """The tasks of an example, and what goes wrong where no step awaits it."""

    def __init__(self) -> None:
        # Held: the loop itself holds its tasks weakly, and one that is gone tells nothing.
        self._tasks: list[asyncio.Task[Any]] = []
        self._errors: list[BaseException] = []

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Know every task that comes into being on the loop, and every callback that raises."""
        make = loop.get_task_factory()

        def factory(
            loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
        ) -> Any:
            if make is None:
                task: Any = asyncio.Task(coroutine, loop=loop, **options)
            else:
                task = make(loop, coroutine, **options)
            self._tasks.append(task)
            return task

        def note(_: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
            if isinstance(error := about.get("exception"), BaseException):
                self._errors.append(error)

        loop.set_task_factory(factory)  # type: ignore[arg-type]
        loop.set_exception_handler(note)

    async def end(self, shutdown_s: float) -> None:
        """Cancel what still runs, and what it starts meanwhile, and wait for all of it."""
        told = {asyncio.current_task()}
        while running := {task for task in self._tasks if not task.done()} - told:
            for task in running:
                task.cancel()
            told |= running
            await asyncio.wait(running, timeout=shutdown_s)

    def problems(self, shutdown_s: float) -> list[BaseException]:
        """What nobody has been told of, in the order in which the tasks were started."""
        unseen = [task for task in self._tasks if task.done() and _nobody_looked_at(task)]
        errors = [_noted(task) for task in unseen]
        left = tuple(task.get_name() for task in self._tasks if not task.done())
        if left:
            errors.append(LeftRunningError(tasks=left, shutdown_s=shutdown_s))
        return [*self._errors, *errors]


def _nobody_looked_at(task: asyncio.Task[Any]) -> bool:
    # asyncio's own word for an exception that nobody has asked for; there is no public one.
    return bool(getattr(task, "_log_traceback", False))


def _noted(task: asyncio.Task[Any]) -> BaseException:
    error = task.exception()
    assert error is not None, "asyncio says that there is one"
    error.add_note(f"raised by the background task {task.get_name()!r}, which nobody awaited")
    return error


# --- decorators ------------------------------------------------------------------------


def rule(
    *,
    target: Bundle[Any] | None = None,
    targets: Sequence[Bundle[Any]] = (),
    **arguments: SearchStrategy[object],
) -> Callable[[_F], _F]:
    """A step of the machine, as `hypothesis.stateful.rule`; the function may be async.

    Called from within another step, an async rule is a coroutine to await.
    """
    options: dict[str, Any] = {"target": target, "targets": targets, **arguments}
    return _with(stateful.rule(**options))


def initialize(
    *,
    target: Bundle[Any] | None = None,
    targets: Sequence[Bundle[Any]] = (),
    **arguments: SearchStrategy[object],
) -> Callable[[_F], _F]:
    """A step before all others, as `hypothesis.stateful.initialize`; it may be async."""
    options: dict[str, Any] = {"target": target, "targets": targets, **arguments}
    return _with(stateful.initialize(**options))


def invariant(*, check_during_init: bool = False) -> Callable[[_F], _F]:
    """Something to check after each step, as `hypothesis.stateful.invariant`; it may be async."""
    return _with(stateful.invariant(check_during_init=check_during_init))


# `Any`, as in Hypothesis: what a lambda takes cannot be told from the class around it.
def precondition(predicate: Callable[[Any], bool | Awaitable[bool]]) -> Callable[[_F], _F]:
    """When a rule is a step that may come next, as `hypothesis.stateful.precondition`.

    The predicate may be async. It is asked several times before a step, and each time tasks in
    the background go on, so it should be quick and change nothing.
    """
    return _with(stateful.precondition(_plain(predicate)))


def _with(decorate: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """One of Hypothesis's decorators, given a plain function whatever it decorates."""

    def accept(function: _F) -> _F:
        made: _F = decorate(_plain(function))
        return made

    return accept


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is not async; for one that is, one that runs it on the machine's loop."""
    if not inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def stands_for(machine: object, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(machine, AsyncRuleBasedStateMachine):
            raise UsageError(
                f"{function.__name__} is async, so {type(machine).__name__} has to derive from "
                "AsyncRuleBasedStateMachine"
            )
        if machine.loop.is_running():
            # Called by another step, which awaits it.
            return function(machine, *args, **kwargs)
        return machine._await(functools.partial(function, machine, *args, **kwargs))

    setattr(stands_for, _AWAITED, True)
    return stands_for


def _is_awaited(function: object) -> bool:
    return hasattr(function, _AWAITED)


def _would_never_be_awaited(member: object) -> bool:
    """Whether a plain function around an async one is not ours."""
    if not inspect.isfunction(member) or inspect.iscoroutinefunction(member):
        return False
    return inspect.iscoroutinefunction(inspect.unwrap(member, stop=_is_awaited))


# --- on virtual time -------------------------------------------------------------------


class SimulatedStateMachine(AsyncRuleBasedStateMachine):
    """A machine on virtual time, whose order of steps Hypothesis searches with the rules.

    One shrinker owns all of an example: the rules and what they were given, the order in
    which tasks took their turns, and whatever else was drawn from the loop. Of the order a
    few delays are drawn and not every choice, so that examples stay small; the failing one
    shows them as its first step, `state.put_off(tape=Tape({12: 1}))`.
    """

    def __init__(self) -> None:
        """A machine for one example, in the plain order until `put_off` has been called."""
        super().__init__()
        self._delays: dict[int, int] = {}
        self.schedule = Schedule(Replay(self._delays))

    @initialize(tape=schedule_tapes())
    def put_off(self, tape: Tape) -> None:
        """Take the choices on `tape`; those of steps that were before it are over."""
        self._delays.update(tape)

    def make_loop(self) -> VirtualLoop:
        """A loop with virtual time, in the order of this example."""
        return VirtualLoop(order=self.schedule, trace=self.schedule.trace)

    @property
    def clock(self) -> VirtualClock:
        """The clock of the example's loop."""
        loop = self.loop
        assert isinstance(loop, VirtualLoop), "made by make_loop"
        return VirtualClock(loop)
