"""What can be wrong with a fault plan, or with a system that was to survive one.

MnemosyneError
  + UsageError
    - FaultPlanError
  - FaultsNotMetError (also an AssertionError)
  - NotRecoveredError (also an AssertionError)
RuntimeError
  - InjectedCrashError
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mnemosyne_core.errors import MnemosyneError, UsageError


class FaultPlanError(UsageError):
    """A fault plan says something that cannot happen.

    Attributes:
        problem: What is wrong with it.
    """

    code = "fault_plan"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class FaultsNotMetError(MnemosyneError, AssertionError):
    """Faults were planned that nothing in the test ever met.

    Attributes:
        unmet: The text of each of them.
        seen: What there was instead: of each kind of occasion that was missed (`"call"` to
            Claude, `"message"`, ...) how many each agent had; `""` is code without an agent.
    """

    code = "faults_not_met"

    def __init__(self, *, unmet: tuple[str, ...], seen: Mapping[str, Mapping[str, int]]) -> None:
        self.unmet = unmet
        self.seen = {occasion: dict(counts) for occasion, counts in seen.items()}
        listed = "\n".join(f"  {each}" for each in unmet)
        counted = "\n".join(_counted(each, counts) for each, counts in self.seen.items())
        super().__init__(f"planned, but never met:\n{listed}\n{counted}\n{self._remedy}")

    @property
    def calls(self) -> dict[str, int]:
        """How many calls to Claude each agent made, where faults of them were missed."""
        return self.seen.get("call", {})

    @property
    def _remedy(self) -> str:
        advice = "correct the address, or say optional=True"
        if any(not counts for occasion, counts in self.seen.items() if occasion != "call"):
            advice += (
                "; a supervisor, a bridge or a bus of your own meets a plan only if it is given "
                "its failpoints"
            )
        return advice


def _counted(occasion: str, counts: Mapping[str, int]) -> str:
    made = ", ".join(f"{agent or 'no agent'} {count}" for agent, count in counts.items())
    what = "calls to Claude" if occasion == "call" else occasion
    return f"{what}: {made or 'none'}"


class InjectedCrashError(RuntimeError):
    """What an actor, or a supervisor, crashes with because a plan says so.

    It stands for a mistake in the code, so it is none of this project's own errors: nobody
    knows how to handle it.

    Attributes:
        where: What crashed and when, in words.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(where)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """A work item that has not ended."""

    id: str
    state: str
    attempt: int
    waits_for: str
    """In words."""

    def __str__(self) -> str:
        return f"{self.id}: {self.state}, attempt {self.attempt}, {self.waits_for}"


class NotRecoveredError(MnemosyneError, AssertionError):
    """A tree has not come back to health in the time that it had.

    Attributes:
        within_s: The time, in seconds of the loop's clock.
        items: The items that have not ended.
        agents: What is wrong with each agent that is not well, by its path.
        reason: Why the tree is down; `None` where it runs.
    """

    code = "not_recovered"

    def __init__(
        self,
        *,
        within_s: float,
        items: tuple[OpenItem, ...],
        agents: Mapping[str, str],
        reason: str | None = None,
    ) -> None:
        self.within_s = within_s
        self.items = items
        self.agents = dict(agents)
        self.reason = reason
        lines = [
            *([f"the tree is down: {reason}"] if reason is not None else []),
            *(f"has not ended: {item}" for item in items),
            *(f"is not well: {path}: {problem}" for path, problem in self.agents.items()),
        ]
        listed = "\n".join(f"  {line}" for line in lines)
        super().__init__(f"the tree has not recovered within {within_s:g} s:\n{listed}")
