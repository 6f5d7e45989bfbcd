"""The page of seeded bugs says what the searches need, and its command makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import seeded_bugs
from benchmarks.seeded_bugs import NEVER, PAGE, Measured, measure, page, row
from pytest_mnemosyne.simulation.schedules import PolicyName
from tests.simulation.bugs.bug import Bug
from tests.simulation.bugs.registry import BUGS

EVERY_BUG = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "_"))


def _rows_of_the_page() -> Mapping[str, str]:
    """For each bug that the page has a row about, that row."""
    names = {bug.name for bug in BUGS}
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = {line: line.strip("| ").partition(" | ")[0] for line in lines}
    return {name: line for line, name in cells.items() if name in names}


def _measured(random: list[float], exhaustive: float = 7) -> Measured:
    needed = {
        PolicyName.RANDOM: random,
        PolicyName.PCT: [2.0, 3.0],
        PolicyName.EXHAUSTIVE: [exhaustive],
    }
    return Measured(needed=needed, tape=1)


@pytest.mark.slow
@EVERY_BUG
def test_the_page_has_the_numbers_that_are_counted(bug: Bug) -> None:
    measured = measure(bug)

    assert _rows_of_the_page()[bug.name] == row(bug, measured)
    missed_by = {policy for policy in PolicyName if not measured.is_reliable(policy)}
    assert missed_by == set(bug.elusive), "what the registry says about the policies"


def test_the_rest_of_the_page_is_as_the_command_writes_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(_rows_of_the_page())


@pytest.mark.parametrize(
    ("random", "cell"),
    [
        pytest.param([4, 17, 5], "5 (17)", id="found-each-time"),
        pytest.param([4, 5], "4.5 (5)", id="between-two"),
        pytest.param([4, 5, NEVER], "5 (-)", id="missed-once"),
        pytest.param([4, NEVER, NEVER], "-", id="missed-more-often-than-not"),
    ],
)
def test_a_cell_has_the_median_and_the_most(random: list[float], cell: str) -> None:
    assert _measured(random).cells == (cell, "2.5 (3)", "7", "1")


def test_a_policy_is_reliable_if_each_of_its_searches_is_quick() -> None:
    assert _measured([3, 100]).is_reliable(PolicyName.RANDOM)
    assert not _measured([3, 101]).is_reliable(PolicyName.RANDOM)
    assert not _measured([3], exhaustive=NEVER).is_reliable(PolicyName.EXHAUSTIVE)


def test_the_command_prints_the_bugs_that_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seeded_bugs.main(["no join on stop"])

    header, _, counted = capsys.readouterr().out.splitlines()
    assert header.split() == ["bug", "random", "pct", "exhaustive", "tape"]
    assert counted.startswith("no join on stop")


def test_the_command_writes_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "page.md"
    monkeypatch.setattr(seeded_bugs, "PAGE", written)
    monkeypatch.setattr(seeded_bugs, "ROOT", tmp_path)
    monkeypatch.setattr(seeded_bugs, "measure", lambda bug: _measured([3, 4]))

    seeded_bugs.main(["--write"])

    text = written.read_text(encoding="utf-8")
    assert [bug.name for bug in BUGS if row(bug, _measured([3, 4])) not in text] == []
    assert capsys.readouterr().out.count("3.5 (4)") == len(BUGS)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        pytest.param(["no such bug"], "no bug is called 'no such bug'", id="unknown"),
        pytest.param(["--write", "lost update"], "leave out the names", id="part-of-a-page"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    given: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        seeded_bugs.main(given)

    assert complaint in capsys.readouterr().err
