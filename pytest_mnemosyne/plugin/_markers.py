"""What a test asks for, by its markers and by its fixtures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

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
    if len(marker.args) == 1 and "name" not in given:
        given["name"] = marker.args[0]
    elif marker.args:
        raise misused("takes one name, or name= or path=", marker)
    unknown = sorted(set(given) - {"name", "path", "match", "unplayed", "expires", "pace"})
    if unknown:
        raise misused(f"does not know {', '.join(unknown)}", marker)
    name, path = given.get("name"), given.get("path")
    if name is not None and path is not None:
        raise misused("takes a name or a path, not both", marker)
    if name is not None:
        _check_name(name, marker)
    unplayed, expires = given.get("unplayed"), given.get("expires")
    if unplayed is not None and not is_severity(unplayed):
        raise misused(f"takes {', '.join(SEVERITIES)} as unplayed=", marker)
    if expires is not None and not _is_days(expires):
        raise misused("takes a number of days as expires=", marker)
    pace = given.get("pace", "instant")
    if pace not in PACES:
        raise misused(f"takes {' or '.join(PACES)} as pace=", marker)
    return Chosen(
        name=name,
        path=None if path is None else str(path),
        match=_match(given.get("match", ()), marker),
        unplayed=unplayed,
        expires_days=expires,
        pace=pace,
    )


def _match(given: object, marker: pytest.Mark) -> tuple[str | Matcher, ...]:
    """What `match=` lists, or the one thing that it is."""
    listed = list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
    if not listed:
        return ()
    from pytest_mnemosyne.cassette import Matcher

    found = tuple(each for each in listed if isinstance(each, str | Matcher))
    if len(found) < len(listed):
        raise misused("takes names, JSON paths and matchers as match=", marker)
    return found


def _is_days(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and given > 0


def _check_name(name: object, marker: pytest.Mark) -> None:
    if not isinstance(name, str) or not name.strip():
        raise misused("takes a name that is a text", marker)
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise misused("takes a name inside the cassette folder; use path= elsewhere", marker)


def misused(problem: str, marker: pytest.Mark) -> UsageError:
    """The error for a marker that says what cannot be."""
    from mnemosyne_core.errors import UsageError

    shown = [*map(repr, marker.args), *(f"{key}={value!r}" for key, value in marker.kwargs.items())]
    return UsageError(f"the marker {marker.name}({', '.join(shown)}) {problem}")


def apply_live_only(item: pytest.Item, settings: Settings) -> None:
    """Skip a test that never replays, unless this run may call Claude.

    Raises:
        pytest.skip.Exception: It may not.
    """
    mode = settings.mode
    if mode.name == "live" or (mode.writes and settings.has_key):
        return
    _skip(
        f"live_only: mode {mode.name} does not call Claude; run it with a key in "
        f"ANTHROPIC_API_KEY: pytest {item.nodeid!r} --mnemosyne-mode=live"
    )


def apply_requires_key(item: pytest.Item, settings: Settings, *, has_cassette: bool) -> None:
    """Skip, or fail under CI, a test that can neither replay nor ask Claude.

    Raises:
        pytest.skip.Exception: There is nothing to replay, and this run does not ask.
        pytest.fail.Exception: The same under CI, where it means a forgotten recording.
    """
    if has_cassette or settings.mode.forwards_unknown:
        return
    reason = (
        "requires_api_key: nothing is recorded for this test; record it with a key in "
        f"ANTHROPIC_API_KEY: pytest {item.nodeid!r} --mnemosyne-mode=record"
    )
    if settings.on_ci:
        pytest.fail(f"{reason} (and commit the cassette: CI only replays)", pytrace=False)
    _skip(reason)


def _skip(reason: str) -> None:
    # Reported at the test, not at this line.
    raise pytest.skip.Exception(reason, _use_item_location=True)
