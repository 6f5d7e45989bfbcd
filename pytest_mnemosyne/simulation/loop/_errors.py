"""What is wrong with a program whose virtual time cannot go on.

MnemosyneError
  + VirtualTimeError
    - StallError
    - LivelockError
    - HorizonError
    - HoldTooLongError
    - ConditionNotMetError
    - LeftoversError
"""

from __future__ import annotations

from mnemosyne_core.errors import MnemosyneError


class VirtualTimeError(MnemosyneError):
    """The time of a virtual loop cannot go on, or should not have."""

    code = "virtual_time"


class StallError(VirtualTimeError):
    """Nobody will ever wake: nothing is ready, no timer is set, nothing holds the time.

    Attributes:
        waiting: Who waits for what.
        now_s: The virtual time.
    """

    code = "stall"

    def __init__(self, *, waiting: str, now_s: float) -> None:
        self.waiting = waiting
        self.now_s = now_s
        super().__init__(
            f"nobody will ever wake: at {now_s:g} s nothing is ready, no timer is set, and "
            f"nothing from outside is awaited\n{waiting}\nIf something outside of this loop is "
            "to wake it, say so with `virtual_clock.hold(...)` while it is under way"
        )


class LivelockError(VirtualTimeError):
    """Very many callbacks ran without the time moving.

    Attributes:
        steps: How many.
        now_s: The virtual time.
        running: Whose callbacks were next.
        waiting: Who waits for what.
    """

    code = "livelock"

    def __init__(self, *, steps: int, now_s: float, running: str, waiting: str) -> None:
        self.steps = steps
        self.now_s = now_s
        self.running = running
        self.waiting = waiting
        super().__init__(
            f"the time does not move: {steps} callbacks in a row ran at {now_s:g} s; next were "
            f"{running}\n{waiting}\nA loop that polls has to sleep for more than 0 s; a test that "
            "does that much at one moment takes virtual_time(steps=...)"
        )


class HorizonError(VirtualTimeError):
    """The time has moved by itself further than anybody meant.

    Attributes:
        until_s: The limit, in virtual seconds.
        waiting: Who waits for what.
    """

    code = "horizon"

    def __init__(self, *, until_s: float, waiting: str) -> None:
        self.until_s = until_s
        self.waiting = waiting
        super().__init__(
            f"{until_s:g} virtual seconds have passed and the test has not ended: something "
            f"repeats while the rest waits\n{waiting}\nA test that needs more time takes "
            "virtual_time(until_s=...)"
        )


class HoldTooLongError(VirtualTimeError):
    """What holds the time did nothing for too long.

    Attributes:
        holds: What holds it.
        hold_s: The limit, in real seconds.
        now_s: The virtual time.
        waiting: Who waits for what.
    """

    code = "hold_too_long"

    def __init__(
        self, *, holds: tuple[str, ...], hold_s: float, now_s: float, waiting: str
    ) -> None:
        self.holds = tuple(holds)
        self.hold_s = hold_s
        self.now_s = now_s
        self.waiting = waiting
        super().__init__(
            f"the virtual time has been held at {now_s:g} s for {hold_s:g} real seconds in which "
            f"nothing happened, by {', '.join(self.holds)}\n{waiting}\n"
            "`await virtual_clock.advance(s)` moves the time regardless, "
            "`virtual_clock.release_process(pid)` lets a process run that only waits, and "
            "virtual_time(hold_s=...) waits longer"
        )


class ConditionNotMetError(VirtualTimeError):
    """What a test waited for did not come true in time.

    Attributes:
        condition: What it is called.
        within_s: How long was waited, in virtual seconds.
        now_s: The virtual time.
        waiting: Who waits for what.
    """

    code = "condition_not_met"

    def __init__(self, *, condition: str, within_s: float, now_s: float, waiting: str) -> None:
        self.condition = condition
        self.within_s = within_s
        self.now_s = now_s
        self.waiting = waiting
        super().__init__(
            f"{condition} did not come true within {within_s:g} virtual seconds (it is now "
            f"{now_s:g} s)\n{waiting}"
        )


class LeftoversError(VirtualTimeError):
    """Something is left on the loop although the test is over.

    Attributes:
        leftovers: What it is, a line each.
    """

    code = "leftovers"

    def __init__(self, *, leftovers: tuple[str, ...]) -> None:
        self.leftovers = leftovers
        listed = "\n".join(f"  {each}" for each in self.leftovers)
        super().__init__(
            f"left on the virtual loop at the end of the test:\n{listed}\n"
            "End it in the test or its fixtures, or declare it with "
            'virtual_time(leaves="...") and a part of its line'
        )
