"""The script: what is answered to whom, how often, in which order.

A step is an answer, the conditions under which it is given, and how often. Steps with
conditions are looked at first, in the order of the script; then those without. The
first that fits and is not used up is played.

So an answer under conditions reaches the request that it is meant for whatever the
order in which concurrent requests arrive. Answers without conditions go out in order
of arrival, which is what one conversation wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pytest_mnemosyne.simulation.scripted._blocks import Block
from pytest_mnemosyne.simulation.scripted._conditions import Condition, name_of
from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.wire import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Claude answers with a message."""

    blocks: tuple[Block, ...]
    checked: JsonObject | list[object] | None = None
    """What `json=` was given: it has to follow the schema that the request asks for."""

    stop_reason: str | None = None
    """`tool_use` where a tool is called, else `end_turn`."""

    usage: Mapping[str, object] = field(default_factory=dict)
    """Counts in place of the estimated ones."""

    def __str__(self) -> str:
        said = ", ".join(
            f"{block.kind} {block.fields.get('name') or block.fields.get('text') or ''}".strip()
            for block in self.blocks
        )
        return f"reply ({said if len(said) <= 72 else said[:71] + '…'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Claude answers with an error."""

    status: int
    error_type: str | None = None
    message: str | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None
    details: JsonObject | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"fail ({self.status})"


Answer: TypeAlias = Reply | Failure
AnswerFunction: TypeAlias = Callable[[ClaudeRequest], object]
"""Makes the answer to a request: a `Reply`, a `Failure`, what `reply()` takes as one block,
a list of such blocks, or `None` to leave the request to the next step."""


@dataclass(slots=True, kw_only=True)
class Step:
    """One line of the script."""

    place: int
    """Counts from 1 in the order of the script."""

    outcome: Answer | AnswerFunction
    conditions: tuple[Condition, ...] = ()
    times: int | None = 1
    """How often it may be played; `None` is any number, also none at all."""

    played: int = 0

    def fits(self, request: ClaudeRequest) -> bool:
        """Whether the step may be played, and for this request."""
        left = self.times is None or self.played < self.times
        return left and all(self._holds(condition, request) for condition in self.conditions)

    def _holds(self, condition: Condition, request: ClaudeRequest) -> bool:
        try:
            return bool(condition(request))
        except Exception as error:
            raise ScriptError(
                f"{self}: its condition {name_of(condition)} raised {type(error).__name__}: {error}"
            ) from error

    def __str__(self) -> str:
        outcome = (
            str(self.outcome)
            if isinstance(self.outcome, Reply | Failure)
            else f"answer ({name_of(self.outcome)})"
        )
        under = " and ".join(name_of(condition) for condition in self.conditions)
        when = f" when {under}" if under else ""
        often = (
            f", {self.played} of {self.times} times"
            if self.times is not None and self.times > 1
            else ""
        )
        return f"step {self.place}: {outcome}{when}{often}"


class Script:
    """The steps, and which come into question for a request."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(
        self,
        outcome: Answer | AnswerFunction,
        conditions: Sequence[Condition],
        times: int | None,
    ) -> None:
        """Put a step at the end."""
        if times is not None and times < 1:
            raise ScriptError(f"times is 1 or more, or None for any number, got {times!r}")
        place = len(self._steps) + 1
        self._steps.append(
            Step(place=place, outcome=outcome, conditions=tuple(conditions), times=times)
        )

    def candidates(self, request: ClaudeRequest) -> Iterator[Step]:
        """The steps that fit a request, the one to play first; none is tried before its turn."""
        for step in sorted(self._steps, key=lambda step: not step.conditions):
            if step.fits(request):
                yield step

    def pending(self) -> tuple[Step, ...]:
        """The steps that were promised more often than they were played."""
        return tuple(
            step for step in self._steps if step.times is not None and step.played < step.times
        )
