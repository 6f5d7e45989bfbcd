"""What a test asks for, by its markers and by its fixtures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_mnemosyne.plugin._options import Settings
from pytest_mnemosyne.plugin._severity import SEVERITIES, Severity, is_severity

if TYPE_CHECKING:
    from mnemosyne_core.errors import UsageError
    from pytest_mnemosyne.cassette import Matcher

CASSETTE: Final = "claude_cassette"
REQUIRES_KEY: Final = "requires_api_key"
LIVE_ONLY: Final = "live_only"
VIRTUAL_TIME: Final = "virtual_time"
SCHEDULES: Final = "schedules"

PACES: Final = ("instant", "recorded")
"""The words of `pytest_mnemosyne.cassette.Pace`, which is not imported for a marker."""

_HELP: Final = (
    (
        f"{CASSETTE}(name=None, path=None, match=(), unplayed=None, expires=None, pace='instant'): "
        "give the test a cassette; name: one that several tests share, relative to the cassette "
        "folder; path: any recording, relative to rootdir, also one that another recorder wrote; "
        "match: what is not compared (dates, uuids, durations, hashes, $.json.path, ...); "
        "unplayed: error, warn or ignore; expires: days; pace: recorded, for answers that take the "
        "time that they took"
    ),
    (
        f"{REQUIRES_KEY}: the test needs Claude: it replays its cassette, and is skipped (under "
        "CI: fails) where there is none yet"
    ),
    f"{LIVE_ONLY}: the test never replays; it is skipped unless this run may call Claude",
    (
        f"{VIRTUAL_TIME}(hold_s=10, until_s=604800, steps=1000000, leaves=()): the test runs on an "
        "event loop whose time moves when nobody has anything to do"
    ),
    (
        f"{SCHEDULES}(n=100, policy='random'): the test runs on virtual time under n orders of "
        "what is ready, chosen at random, by pct, or exhaustive"
    ),
)


def register(config: pytest.Config) -> None:
    """Tell pytest of the markers."""
    for line in _HELP:
        config.addinivalue_line("markers", line)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The cassette that a marker names."""

    name: str | None = None
    path: str | None = None
    match: tuple[str | Matcher, ...] = ()
    """What is not compared, besides what the run leaves out."""

    unplayed: Severity | None = None
    """What a recorded call that the test does not ask for is; `None` for the run's setting."""

    expires_days: float | None = None
    """After how many days the cassette has expired; `None` for the run's setting."""

    pace: str = "instant"
    """When played answers arrive; one of `PACES`."""

    remedies: tuple[str, ...] = ()
    """What to do about calls that nobody asked for, where another plug-in has the file."""

    @property
    def is_shared(self) -> bool:
        """Whether other tests may have the same."""
        return self.name is not None or self.path is not None

    def locate(self, settings: Settings, *, rootdir: Path) -> Path | None:
        """The file; `None` where the marker names none and the test's own is meant."""
        if self.path is not None:
            return rootdir / self.path
        if self.name is not None:
            name = self.name if PurePosixPath(self.name).suffix else f"{self.name}.yaml"
            return settings.cassette_dir / name
        return None


_SETTINGS: Final = ("name", "path", "match", "unplayed", "expires", "pace")
"""What the marker `claude_cassette` knows."""

_OWN: Final = Chosen()
"""What a test has that names none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the markers of one test ask for."""

    cassette: pytest.Mark | None
    requires_key: bool
    live_only: bool
    virtual_time: bool

    @classmethod
    def of(cls, item: pytest.Item) -> Asked:
        """Read a test's markers, in one pass because every test pays for it."""
        found: dict[str, pytest.Mark] = {}
        for marker in item.iter_markers():
            found.setdefault(marker.name, marker)
        return cls(
            found.get(CASSETTE),
            REQUIRES_KEY in found,
            LIVE_ONLY in found,
            VIRTUAL_TIME in found or SCHEDULES in found,
        )

    def chosen(self) -> Chosen:
        """The cassette that the closest `claude_cassette` marker names.

        Raises:
            UsageError: It says what cannot be.
        """
        return _OWN if self.cassette is None else _chosen(self.cassette)


def uses_any(item: pytest.Item, fixtures: frozenset[str]) -> bool:
    """Whether a test uses one of these fixtures of ours; a user's own of that name is not ours."""
    # Not `fixturenames`: what pytest-asyncio hands over at collection has none yet.
    info = getattr(item, "_fixtureinfo", None)
    if info is None or fixtures.isdisjoint(info.names_closure):
        return False
    return any(
        info.name2fixturedefs[name][-1].func.__module__.startswith("pytest_mnemosyne.")
        for name in fixtures.intersection(info.names_closure)
        if info.name2fixturedefs.get(name)
    )


def _chosen(marker: pytest.Mark) -> Chosen:
    given = dict(marker.kwargs)
    problems = unknown_settings(marker, _SETTINGS)
    if len(marker.args) == 1 and "name" not in given:
        given["name"] = marker.args[0]
    elif marker.args:
        problems.append("takes one name, or name= or path=")
    name, path = given.get("name"), given.get("path")
    if name is not None and path is not None:
        problems.append("takes a name or a path, not both")
    if name is not None:
        problems += _problems_of_name(name)
    match, unplayed, expires = given.get("match", ()), given.get("unplayed"), given.get("expires")
    listed = _listed(match)
    if not all(map(_is_matcher, listed)):
        problems.append("takes names, JSON paths and matchers as match=")
    if unplayed is not None and not is_severity(unplayed):
        problems.append(f"takes {', '.join(SEVERITIES)} as unplayed=")
    if expires is not None and not _is_days(expires):
        problems.append("takes a number of days as expires=")
    pace = given.get("pace", "instant")
    if pace not in PACES:
        problems.append(f"takes {' or '.join(PACES)} as pace=")
    if problems:
        raise misused(marker, problems)
    return Chosen(
        name=name,
        path=None if path is None else str(path),
        match=listed,
        unplayed=unplayed,
        expires_days=expires,
        pace=pace,
    )


def _listed(match: object) -> tuple[Any, ...]:
    """What `match=` lists, or the one thing that it is."""
    return tuple(match) if isinstance(match, list | tuple | set | frozenset) else (match,)


def _is_matcher(given: object) -> bool:
    if isinstance(given, str):
        return True
    from pytest_mnemosyne.cassette import Matcher

    return isinstance(given, Matcher)


def _is_days(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and given > 0


def _problems_of_name(name: object) -> list[str]:
    if not isinstance(name, str) or not name.strip():
        return ["takes a name that is a text"]
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or "\0" in name:
        return ["takes the name of a file"]
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return ["takes a name inside the cassette folder; use path= elsewhere"]
    return []


def unknown_settings(marker: pytest.Mark, settings: Sequence[str]) -> list[str]:
    """What is wrong with the names that a marker gives, in words that go on from its own."""
    unknown = [name for name in marker.kwargs if name not in settings]
    if not unknown:
        return []
    from pytest_mnemosyne.cassette import meant

    named = ", ".join(name + meant(name, settings) for name in unknown)
    return [f"does not know {named}, but {', '.join(settings)}"]


def misused(marker: pytest.Mark, problems: Iterable[str]) -> UsageError:
    """The error for a marker that says what cannot be.

    Args:
        marker: As it stands on the test.
        problems: All that is wrong, each in words that go on from the marker's own.
    """
    from mnemosyne_core.errors import UsageError

    shown = [*map(repr, marker.args), *(f"{key}={value!r}" for key, value in marker.kwargs.items())]
    return UsageError(f"the marker {marker.name}({', '.join(shown)}) {'; '.join(problems)}")
