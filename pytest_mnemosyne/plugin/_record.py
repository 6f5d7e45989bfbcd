"""What the plug-in knows of one test: its cassette, and what went wrong with Claude."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mnemosyne.cassette import Cassette, Turn
    from pytest_mnemosyne.plugin._faults import FaultInjector
    from pytest_mnemosyne.plugin._markers import Chosen
    from pytest_mnemosyne.plugin._virtual import Wish
    from pytest_mnemosyne.simulation import ScriptedClaude
    from pytest_mnemosyne.simulation.schedules import Schedule

Phase = Literal["setup", "call", "teardown"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A request to Claude that was refused."""

    headline: str
    """A few words with agent and call, for a line that is cut at 80 columns."""

    text: str
    """The whole story: agent, call, message, words, command."""


def counts_of(turns: Iterable[Turn], *, saved: bool) -> dict[str, int]:
    """How many turns with Claude came from where, and what they used.

    The names are those of a turn's source, and `input_tokens`, `output_tokens`. What was
    recorded and is not `saved` is counted as `discarded`; what a fault plan has bent as
    `injected`, besides where it came from.
    """
    counts = {"input_tokens": 0, "output_tokens": 0}
    for turn in turns:
        source: str = turn.source.value
        if turn.injected and source != "injected":
            counts["injected"] = counts.get("injected", 0) + 1
        if turn.interaction is None and source != "missed":
            continue  # forwarded, and came to nothing that could be kept
        if source == "recorded" and not saved:
            source = "discarded"
        counts[source] = counts.get(source, 0) + 1
        tokens = turn.tokens
        counts["input_tokens"] += tokens.input
        counts["output_tokens"] += tokens.output
    return counts


class TestRecord:
    """One run of one test. Made for every test, so making it costs next to nothing."""

    __test__ = False
    __slots__ = (
        "_reported_in",
        "cassette",
        "chosen",
        "closers",
        "ended_well",
        "failed",
        "faults",
        "in_phase",
        "is_closed",
        "is_reported",
        "item",
        "nodeid",
        "notes",
        "passed_call",
        "saved",
        "schedule",
        "scripted",
        "sections",
        "sometimes",
        "violations",
        "was_worth_saving",
        "wish",
    )

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.nodeid = item.nodeid
        self.in_phase = False
        """Whether the main thread is inside of a phase of the test right now."""

        self.failed = False
        self.passed_call = False
        self.ended_well = False
        """Whether it has passed, or ended otherwise as somebody meant it to: skipped, xfailed."""

        self.saved = False
        self.is_closed = False
        self.is_reported = False
        self.was_worth_saving = False
        """Whether its cassette was, or was to be, written."""

        self.cassette: Cassette | None = None
        self.chosen: Chosen | None = None
        """What its marker says of its cassette; `None` where it has none."""

        self.scripted: ScriptedClaude | None = None
        self.faults: FaultInjector | None = None
        self.wish: Wish | None = None
        """What it wants of virtual time; `None` where its time is real."""

        self.schedule: Schedule | None = None
        """The order in which it runs; `None` where everybody has their turn."""

        self.sometimes: dict[str, bool] | None = None
        """What has to be true in some run of a search, and whether it was; `None` outside."""

        self.closers = ExitStack()
        """What is undone when the test is over, in whatever way."""

        self.violations: list[Violation] = []
        self.notes: list[str] = []
        """Lines about this test for the end of the run."""

        self.sections: dict[str, list[str]] = {}
        """The same, under titles that the lines of other tests stand under, too."""

        self._reported_in: list[Phase] = []

    def __enter__(self) -> None:
        """A phase begins; until its end the test may be interrupted."""
        self.in_phase = True

    def __exit__(self, *exc_info: object) -> None:
        """A phase ends."""
        self.in_phase = False

    @property
    def has_passed(self) -> bool:
        """Whether the test has run and nothing has failed so far."""
        return self.passed_call and not self.failed and not self.violations

    @property
    def is_worth_saving(self) -> bool:
        """Whether nothing has gone wrong so far with what it asked."""
        return self.ended_well and not self.failed and not self.violations

    def note(self, violation: Violation) -> None:
        """Remember a refused request; from any thread."""
        self.violations.append(violation)

    def tell(self, title: str, lines: list[str]) -> None:
        """Have lines about this test told at the end of the run."""
        self.sections.setdefault(title, []).extend(lines)

    def to_report(self, when: Phase) -> list[Violation]:
        """The violations that make the report of this phase a failure.

        Each belongs to the first phase that is reported after it, and to every report of
        that phase: a phase has more than one where a test has subtests.
        """
        if not self.violations:
            return []
        while len(self._reported_in) < len(self.violations):
            self._reported_in.append(when)
        return [
            violation
            for violation, phase in zip(self.violations, self._reported_in, strict=False)
            if phase == when
        ]

    def start_over(self) -> None:
        """Another run of the same test follows; what was refused before stays refused."""
        self.cassette = None
        self.scripted = None
        self.faults = None
        self.failed = self.passed_call = self.ended_well = False
        self.saved = self.is_closed = False
        self.is_reported = self.was_worth_saving = False
        self.notes = []
        self.sections = {}

    def close(self) -> None:
        """Undo everything; safe to call twice."""
        self.is_closed = True
        self.closers.close()
