"""What a run leaves over: recorded calls that no test asked for, cassettes of no test.

Every test's report says which cassette it had and what it did not ask for. A cassette
that one test alone has was judged with that test; of one that several have, a call is
left over if none of them asked for it, which only a full run can tell, and so it is
with cassettes that nobody had.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import pytest

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Cassette, Interaction, InteractionId, Leftovers
    from pytest_mnemosyne.plugin._severity import Severity

    Call = tuple[InteractionId, str, str]
    """A recorded call: its name, its agent, what it asks."""

_SUFFIX: Final = ".yaml"
_COMMAND: Final = "remove them: pytest --mnemosyne-trim"
_ESCAPE: Final = (
    "leave them, where another recorder wrote the file: "
    'claude_cassette(path=..., unplayed="ignore")'
)


class Opened(TypedDict):
    """Which cassette a test had, and how it left it. Plain, because it travels on reports."""

    path: str
    is_shared: bool
    fails: bool
    """Whether a call that is left over fails the run."""

    unplayed: list[Call] | None
    """`None` where it tells nothing: the test did not pass, or does not care."""

    left: int
    """How many recorded calls it did not ask for, whatever it tells of them."""

    roles: list[str]
    """Whose calls the cassette holds; asked for only where one role is recorded."""


def opened(
    cassette: Cassette,
    unplayed: Sequence[Interaction],
    *,
    is_shared: bool,
    severity: Severity,
    has_passed: bool,
    roles: list[str],
) -> Opened:
    """How a test leaves its cassette."""
    left: list[Call] | None = None
    if has_passed and severity != "ignore" and cassette.mode.plays:
        left = _calls(unplayed) if unplayed else []
    return Opened(
        path=os.path.normpath(cassette.path or ""),
        is_shared=is_shared,
        fails=severity == "error",
        unplayed=left,
        left=len(unplayed),
        roles=roles,
    )


def never_opened(path: Path) -> Opened:
    """The same for a test that got nowhere."""
    return Opened(
        path=os.path.normpath(path), is_shared=False, fails=False, unplayed=None, left=0, roles=[]
    )


def _calls(unplayed: Iterable[Interaction]) -> list[Call]:
    from pytest_mnemosyne.cassette import agent_words, call_words, interaction_id

    return [
        (interaction_id(each), agent_words(each.lane), call_words(each.request))
        for each in unplayed
    ]


@dataclass(slots=True)
class Result:
    """What was left over, to be told at the end, and whether the run fails for it."""

    fails: bool = False
    unplayed: int = 0
    """How many recorded calls nobody asked for."""

    unasked: dict[Path, list[str]] = field(default_factory=dict)
    """Calls of shared cassettes that no test asked for, in words."""

    has_foreign: bool = False
    """Whether some of these cassettes may be other recorders', which are not trimmed."""

    orphans: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was removed, or why nothing was."""

    def tell(self, reporter: pytest.TerminalReporter, rootdir: Path) -> None:
        """Print it, its notes apart."""
        if self.unasked:
            reporter.section("recorded calls that no test asked for", red=self.fails, bold=True)
            for path, lines in self.unasked.items():
                reporter.write_line(shown(path, rootdir), bold=True)
                for line in lines:
                    reporter.write_line(f"  {line}")
            reporter.write_line(_COMMAND)
            if self.has_foreign:
                reporter.write_line(_ESCAPE)
        if self.orphans:
            reporter.section("cassettes that no test has", yellow=True, bold=True)
            for path in self.orphans:
                reporter.write_line(shown(path, rootdir))
            reporter.write_line(_COMMAND)


class RunLeftovers:
    """The cassettes of a run, added up from the reports of its tests."""

    def __init__(
        self, opened: Mapping[str, Opened], *, cassette_dir: Path, rootdir: Path, trim: bool
    ) -> None:
        """Take what each test's report has said, by the test's id."""
        self._cassette_dir = cassette_dir
        self._rootdir = rootdir
        self._trims = trim
        self._opened: dict[Path, list[Opened]] = {}
        for each in opened.values():
            self._opened.setdefault(Path(each["path"]), []).append(each)

    def finish(
        self,
        *,
        partial_because: str | None,
        is_green: bool,
        is_own: Callable[[Path], bool],
        keep_at: Callable[[], Path | None],
        superseded: Callable[[Path], list[InteractionId]] | None = None,
    ) -> Result:
        """Judge what the run has left over; remove it, if that was asked for.

        Args:
            partial_because: Why the run was not a full one; `None` if it was.
            is_own: Whether a file is a cassette of this project's.
            is_green: Whether everything has passed.
            keep_at: The file that says later what was left over; only a full run knows.
            superseded: What a shared cassette that was recorded anew holds from before, because
                some test might still ask for it.
        """
        result = Result()
        is_full = partial_because is None
        if is_full:
            result.orphans = self._orphans(is_own)
            for path, calls in self._left_over(is_shared=True).items():
                result.unasked[path] = [f"{agent}: {words}" for _, agent, words in calls]
        unplayed = self._left_over(is_shared=False)
        result.unplayed = self._left_by_their_tests()
        if is_full:
            shared = self._left_over(is_shared=True)
            result.unplayed += sum(map(len, shared.values()))
            unplayed |= shared
        if is_full and is_green and superseded is not None:
            self._remove_superseded(result, superseded)
        if self._trims:
            self._trim(result, unplayed, partial_because=partial_because, is_green=is_green)
            if is_green:
                unplayed = {}
        result.fails = any(self._fails(path) for path in result.unasked)
        result.has_foreign = not all(map(is_own, result.unasked))
        kept = keep_at() if is_full else None
        if kept is not None and (unplayed or result.orphans or kept.exists()):
            self._keep(kept, _leftovers(unplayed, result.orphans))
        return result

    # --- what is left over ---------------------------------------------------------------

    def _left_over(self, *, is_shared: bool) -> dict[Path, list[Call]]:
        """The calls that no test asked for, by cassette; where a test tells nothing, none."""
        found = {path: _in_all(lists) for path, lists in self._told(is_shared=is_shared)}
        return {path: calls for path, calls in found.items() if calls}

    def _told(self, *, is_shared: bool) -> Iterator[tuple[Path, list[list[Call]]]]:
        """The cassettes all of whose tests tell what they did not ask for, and what that is."""
        for path, tests in self._opened.items():
            lists = [each["unplayed"] for each in tests if each["unplayed"] is not None]
            if len(lists) == len(tests) and is_shared is any(each["is_shared"] for each in tests):
                yield path, lists

    def _left_by_their_tests(self) -> int:
        """How many calls are left in cassettes that one test alone has."""
        return sum(
            each["left"]
            for tests in self._opened.values()
            for each in tests
            if not any(other["is_shared"] for other in tests)
        )

    def _fails(self, path: Path) -> bool:
        return all(each["fails"] for each in self._opened[path])

    def _orphans(self, is_own: Callable[[Path], bool]) -> list[Path]:
        if not self._cassette_dir.is_dir():
            return []
        return [
            path
            for path in sorted(self._cassette_dir.rglob(f"*{_SUFFIX}"))
            if Path(os.path.normpath(path)) not in self._opened and is_own(path)
        ]

    # --- removing it ---------------------------------------------------------------------

    def _remove_superseded(
        self, result: Result, superseded: Callable[[Path], list[InteractionId]]
    ) -> None:
        """Complete the recording: all tests were asked, so none will ask for what is left."""
        for path, _ in self._told(is_shared=True):
            names = superseded(path)
            if names:
                self._trim_one(result, path, names)

    def _trim(
        self,
        result: Result,
        unplayed: dict[Path, list[Call]],
        *,
        partial_because: str | None,
        is_green: bool,
    ) -> None:
        if not is_green:
            result.notes.append("nothing was trimmed, because not everything has passed")
            return
        from pytest_mnemosyne.cassette import remove

        for path, calls in unplayed.items():
            if self._trim_one(result, path, (name for name, *_ in calls)):
                result.unasked.pop(path, None)
        for path in result.orphans:
            try:
                remove(path)
            except OSError as error:
                result.notes.append(f"{self._shown(path)} could not be removed: {error}")
                continue
            result.notes.append(f"removed {self._shown(path)}, which no test has")
        result.orphans = [path for path in result.orphans if path.exists()]
        if partial_because is not None and not result.notes:
            result.notes.append(
                "nothing was trimmed: what several tests share, or none has, is left alone when "
                f"not every test has run ({partial_because})"
            )

    def _trim_one(self, result: Result, path: Path, names: Iterable[InteractionId]) -> bool:
        """Remove calls from a cassette, and note what came of it; whether any were removed."""
        from pytest_mnemosyne.cassette import CassetteFileError, trim

        try:
            removed = trim(path, names)
        except (OSError, CassetteFileError) as error:
            result.notes.append(f"{self._shown(path)} could not be trimmed: {error}")
            return False
        result.notes.append(self._trimmed(path, removed))
        return removed > 0

    def _trimmed(self, path: Path, removed: int) -> str:
        if not removed:
            return f"{self._shown(path)} was not trimmed: another recorder wrote it"
        what = "1 call" if removed == 1 else f"{removed} calls"
        gone = "" if path.exists() else ", and with it the file"
        return f"trimmed {self._shown(path)}: {what} that no test asked for{gone}"

    def _keep(self, path: Path, leftovers: Leftovers) -> None:
        from pytest_mnemosyne.cassette import write_leftovers

        try:
            write_leftovers(path, leftovers, root=self._rootdir)
        except OSError:
            # A cache that cannot be written costs time and nothing else.
            return

    def _shown(self, path: Path) -> str:
        return shown(path, self._rootdir)


def shown(path: Path, rootdir: Path) -> str:
    """A path as a reader wants it: relative to the project."""
    return path.relative_to(rootdir).as_posix() if path.is_relative_to(rootdir) else str(path)


def _in_all(lists: Iterable[list[Call]]) -> list[Call]:
    """The calls that are in every list, as often as they are in each."""
    lists = list(lists)
    if not lists:
        return []
    common = Counter(name for name, *_ in lists[0])
    for each in lists[1:]:
        common &= Counter(name for name, *_ in each)
    found = []
    for call in lists[0]:
        if common[call[0]]:
            common[call[0]] -= 1
            found.append(call)
    return found


def _leftovers(unplayed: dict[Path, list[Call]], orphans: list[Path]) -> Leftovers:
    from pytest_mnemosyne.cassette import Leftovers

    return Leftovers(
        unplayed={path: tuple(name for name, *_ in calls) for path, calls in unplayed.items()},
        orphans=tuple(orphans),
    )
