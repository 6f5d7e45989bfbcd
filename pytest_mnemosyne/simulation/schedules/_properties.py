"""Properties of a run, checked after every step of it.

``always``: holds after each step. ``eventually``: comes true in time. ``sometimes``:
is true after some step, of this run or, in a search, of any run; it is how a test says
that the orders which it is about do occur.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.simulation.loop import VirtualLoop, name_of

Condition = Callable[[], object]


class PropertyError(MnemosyneError):
    """A property does not hold.

    Attributes:
        kind: `always`, `eventually` or `sometimes`.
        name: What the property is called.
        now_s: The virtual time at which that was certain.
        step: The step after which it was; `None` at the end of a run.
    """

    code = "property"

    def __init__(self, *, kind: str, name: str, now_s: float, step: str | None = None) -> None:
        self.kind = kind
        self.name = name
        self.now_s = now_s
        self.step = step
        where = f" after {step}" if step is not None else " when the test ended"
        said = {
            "always": "did not hold",
            "eventually": "had not come true",
            "sometimes": "was not true once",
        }
        super().__init__(f"{kind}: {name} {said[kind]}{where}, at {now_s:g} s")


@dataclass(slots=True)
class _Eventually:
    condition: Condition
    name: str
    until_s: float
    timer: asyncio.TimerHandle


class Properties:
    """The properties of one run of a virtual loop."""

    def __init__(self, loop: VirtualLoop) -> None:
        """No properties; nothing is checked before `checking` is entered."""
        self._loop = loop
        self._always: list[tuple[Condition, str]] = []
        self._eventually: list[_Eventually] = []
        self._sometimes: dict[str, Condition] = {}
        self.seen: dict[str, bool] = {}
        """For each `sometimes`, whether it was true."""

    def always(self, condition: Condition, name: str | None = None) -> None:
        """Fail the run at the first step after which `condition` is false.

        Args:
            condition: Asked after every step, so it should be quick and change nothing.
            name: For reports; absent: the function's own.
        """
        self._always.append((condition, name or name_of(condition)))

    def eventually(self, condition: Condition, *, within: float, name: str | None = None) -> None:
        """Fail the run if `condition` has not been true once in time.

        Args:
            condition: Asked after every step.
            within: Virtual seconds from now. A test that ends earlier fails, too.
            name: For reports; absent: the function's own.
        """
        if not 0 <= within < float("inf"):
            raise UsageError(f"eventually takes seconds from 0 on, got {within!r}")
        # There has to be a step at the deadline, for it to be noticed.
        timer = self._loop.call_later(within, _deadline)
        wanted = _Eventually(condition, name or name_of(condition), timer.when(), timer)
        self._eventually.append(wanted)

    def sometimes(self, condition: Condition, name: str | None = None) -> None:
        """Fail unless `condition` is true after some step; in a search, under some order.

        Args:
            condition: Asked after every step until it was true.
            name: For reports; absent: the function's own.
        """
        name = name or name_of(condition)
        if name in self.seen:
            raise UsageError(
                f"there is a `sometimes` called {name!r} already; give this one a name"
            )
        self._sometimes[name] = condition
        self.seen[name] = False

    def check(self, step: str) -> None:
        """Look at all of them, after a step.

        Raises:
            PropertyError: One does not hold.
        """
        now_s = self._loop.time()
        for condition, name in self._always:
            if not condition():
                # Once is enough: cleaning up after the error goes on in a state that is wrong.
                self._always = []
                raise PropertyError(kind="always", name=name, now_s=now_s, step=step)
        for wanted in list(self._eventually):
            if wanted.condition():
                wanted.timer.cancel()
                self._eventually.remove(wanted)
            elif now_s >= wanted.until_s:
                self._eventually.remove(wanted)
                raise PropertyError(kind="eventually", name=wanted.name, now_s=now_s, step=step)
        for name, condition in list(self._sometimes.items()):
            if condition():
                self.seen[name] = True
                del self._sometimes[name]

    def finish(self, *, failed: bool, judge_sometimes: bool = True) -> None:
        """The run is over: look at what was still to come true.

        Args:
            failed: Whether the run has failed anyway; then nothing more is said.
            judge_sometimes: Whether `sometimes` had to be true in this very run.

        Raises:
            PropertyError: An `eventually` or a `sometimes` has not come true.
        """
        late = [wanted for wanted in self._eventually if not wanted.condition()]
        for wanted in self._eventually:
            wanted.timer.cancel()
        self._eventually = []
        if failed:
            return
        now_s = self._loop.time()
        for wanted in late:
            raise PropertyError(kind="eventually", name=wanted.name, now_s=now_s)
        for name in self._sometimes if judge_sometimes else ():
            raise PropertyError(kind="sometimes", name=name, now_s=now_s)


def _deadline() -> None:
    """Does nothing: what matters is the check after it."""
