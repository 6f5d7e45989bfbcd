"""The script: what is answered to whom, how often, in which order.

A step is an answer, the conditions under which it is given, and how often. Steps with
conditions are looked at first, in the order of the script; then those without; and last
those that are there for whatever nothing else is for. The first that fits and is not
used up is played.

So an answer under conditions reaches the request that it is meant for whatever the
order in which concurrent requests arrive. Answers without conditions go out in order
of arrival, which is what one conversation wants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pytest_mnemosyne.simulation.scripted._blocks import Block
from pytest_mnemosyne.simulation.scripted._conditions import Condition, name_of, why_not
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
    """`stop_sequence` with one, `tool_use` where a tool is called, else `end_turn`."""

    stop_sequence: str | None = None
    """The one of the request's that Claude has met."""

    stop_details: JsonObject | None = None
    """Why Claude refused, as the API spells it."""

    usage: Mapping[str, object] = field(default_factory=dict)
    """Counts in place of the estimated ones."""

    first_byte_s: float | None = None
    """Seconds until the answer begins; the script's where it is left out."""

    per_token_s: float | None = None
    """Seconds for each token of it; the script's where it is left out."""

    def __str__(self) -> str:
        said = ", ".join(
            f"{block.kind} {block.fields.get('name') or block.fields.get('text') or ''}".strip()
            for block in self.blocks
        )
        word = "refuse" if self.stop_reason == "refusal" else "reply"
        return f"{word} ({said if len(said) <= 72 else said[:71] + '…'})"


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
    first_byte_s: float | None = None
    """Seconds until the answer; the script's where it is left out."""

    def __str__(self) -> str:
        return f"fail ({self.status})"


@dataclass(frozen=True, slots=True)
class Expiry:
    """A request of a batch has no answer before the batch expires."""

    def __str__(self) -> str:
        return "expire"


Answer: TypeAlias = Reply | Failure | Expiry
AnswerFunction: TypeAlias = Callable[[ClaudeRequest], object]
"""Makes the answer to a request: a `Reply`, a `Failure`, an `Expiry`, what `reply()` takes as
one block, a list of such blocks, `None` to leave the request to the next step, or an awaitable
of any of these."""


@dataclass(slots=True, kw_only=True)
class Step:
    """One line of the script."""

    place: int
    """Counts from 1 in the order of the script."""

    outcome: Answer | AnswerFunction
    conditions: tuple[Condition, ...] = ()
    times: int | None = 1
    """How often it may be played; `None` is any number, also none at all."""

    last_resort: bool = False
    """Whether it waits until nothing else fits."""

    played: int = 0

    @property
    def is_left(self) -> bool:
        """Whether it may still be played."""
        return self.times is None or self.played < self.times

    def fits(self, request: ClaudeRequest) -> bool:
        """Whether the step may be played, and for this request."""
        return self.is_left and all(self._holds(each, request) for each in self.conditions)

    def misfit(self, request: ClaudeRequest) -> tuple[int, str]:
        """How many of its reasons keep the step from a request, and which in words."""
        reasons = [
            why_not(condition, request)
            for condition in self.conditions
            if not self._holds(condition, request)
        ]
        if not self.is_left:
            # A step that is over is further away than any that is still to come.
            return len(reasons) + 1000, "; ".join(["it is used up", *reasons])
        if not reasons:
            return 0, "its function left the request to the next step"
        return len(reasons), "; ".join(reasons)

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
            if isinstance(self.outcome, Answer)
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
    """The steps, and which of them is for a request."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(
        self,
        outcome: Answer | AnswerFunction,
        conditions: Sequence[Condition],
        times: int | None,
        *,
        last_resort: bool = False,
    ) -> None:
        """Put a step at the end."""
        if times is not None and times < 1:
            raise ScriptError(f"times is 1 or more, or None for any number, got {times!r}")
        step = Step(
            place=len(self._steps) + 1,
            outcome=outcome,
            conditions=tuple(conditions),
            times=times,
            last_resort=last_resort,
        )
        self._steps.append(step)

    def find(self, request: ClaudeRequest, passed: Collection[int]) -> Step | None:
        """The step to play for a request, without those in the places that it has passed."""
        in_turn = sorted(self._steps, key=lambda step: (step.last_resort, not step.conditions))
        return next(
            (step for step in in_turn if step.place not in passed and step.fits(request)), None
        )

    def misfits(self, request: ClaudeRequest) -> tuple[str, ...]:
        """Why each step is not for a request, the nearest one first."""
        found = [(step, *step.misfit(request)) for step in self._steps]
        nearest_first = sorted(found, key=lambda each: each[1])
        return tuple(f"{step}: {reasons}" for step, _, reasons in nearest_first)

    def pending(self) -> tuple[Step, ...]:
        """The steps that were promised more often than they were played."""
        return tuple(
            step for step in self._steps if step.times is not None and step.played < step.times
        )
