"""The cassettes of a run: where each test's is, in which mode it is open, how it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import pytest

from mnemosyne_core.errors import UsageError
from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteFileError,
    Miss,
    Pace,
    Recorded,
    RecordMode,
    UnknownFormatError,
    cassette_path,
    check_writable,
    load,
)
from pytest_mnemosyne.plugin._commands import command_after_miss
from pytest_mnemosyne.plugin._markers import Asked, Chosen
from pytest_mnemosyne.plugin._matching import Matching
from pytest_mnemosyne.plugin._modes import SCRIPTED
from pytest_mnemosyne.plugin._options import Settings
from pytest_mnemosyne.plugin._secrets import note_on_indistinct, run_secrets

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import (
        Budget,
        Folders,
        Indistinct,
        Journal,
        Loosening,
        Redactor,
        Turn,
    )
    from pytest_mnemosyne.plugin._run_folder import RunFolder


class Makes(Protocol):
    """Makes a cassette that is played by the rules of a run."""

    def __call__(
        self,
        *,
        on_miss: Callable[[Miss], None],
        redactor: Callable[[], Redactor],
        loosening: Loosening,
        folders: Folders,
    ) -> Cassette: ...


class Cassettes:
    """Opens and keeps the cassettes of one run."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        shared: RunFolder | None,
        budget: Budget | None,
    ) -> None:
        """Make it before tests change the environment: it knows the keys to keep out.

        Args:
            config: The run's.
            settings: What the run may do.
            shared: What the processes of a run that forwards have in common.
            budget: What may be spent.
        """
        self._rootdir = config.rootpath
        self._settings = settings
        self._matching = Matching(config, settings)
        self._mode = RecordMode(settings.mode.name)
        self._cache_dir = _cache_dir(config)
        self._anew = shared if self._mode is RecordMode.RERECORD else None
        """Knows what this run has recorded anew; `None` where it does not."""

        self._budget = budget
        self._secrets = run_secrets(os.environ, named=settings.secrets)

    def path_for(self, item: pytest.Item, asked: Asked) -> Path:
        """The file of a test's cassette, whether or not it is there.

        Raises:
            UsageError: The test's marker says what cannot be.
        """
        return self._located(item, asked.chosen())

    def open(self, item: pytest.Item, asked: Asked, *, on_miss: Callable[[Miss], None]) -> Cassette:
        """The cassette of a test, its file read if the mode plays it.

        Raises:
            CassetteFileError: Its file cannot be read, or a new one not be written.
            UsageError: The test's marker says what cannot be.
        """
        chosen = asked.chosen()
        path = self._located(item, chosen)
        self._check_path(chosen, path)
        mode = self._mode_for(asked, path)
        if mode.writes and (mode is RecordMode.RERECORD or not _is_file(path)):
            # Before Claude is asked: what it answers is paid for and could not be kept.
            check_writable(path)
        lane = self._settings.lane
        loosening = self._matching.loosening(chosen)
        cassette = Cassette(
            path,
            mode=mode,
            loader=partial(load, cache_dir=self._cache_dir, loosening=loosening),
            on_miss=on_miss,
            command=partial(command_after_miss, item, self._settings, path),
            redactor=lambda: self.redactor,
            role=None if lane is None or not mode.writes else Lane(lane).role,
            journal=self._journal(path, item.nodeid, loosening) if mode.writes else None,
            has_anew=self._anew.has_anew if self._anew is not None else None,
            loosening=loosening,
            folders=self._matching.folders(item),
            pace=Pace(chosen.pace),
            budget=self._budget,
        )
        # Now, so that a damaged file is the test's error and not a request's.
        cassette.read()
        return cassette

    def adopt(
        self, make: Makes, item: pytest.Item, chosen: Chosen, *, on_miss: Callable[[Miss], None]
    ) -> Cassette:
        """The cassette of a test from a file that another plug-in found and reads.

        Raises:
            CassetteFileError: Its file cannot be read.
        """
        cassette = make(
            on_miss=on_miss,
            redactor=lambda: self.redactor,
            loosening=self._matching.loosening(chosen),
            folders=self._matching.folders(item),
        )
        cassette.read()
        return cassette

    def save(self, cassette: Cassette, *, test: str) -> list[str]:
        """Write what was recorded; lines about it for the end of the run.

        Raises:
            CassetteFileError: It cannot be written, or would hold a secret.
        """
        notes: list[str] = []
        cassette.save(
            self._recorded(test, _versions(cassette.wire_turns)),
            writer=partial(
                self._write,
                on_indistinct=lambda found: notes.append(note_on_indistinct(test, found)),
            ),
        )
        return notes

    def _write(
        self, path: Path, file: CassetteFile, *, on_indistinct: Callable[[Indistinct], None]
    ) -> bool:
        """Write a file that nobody else is writing."""
        from pytest_mnemosyne.cassette import write

        writing = partial(write, path, file, redactor=self.redactor, on_indistinct=on_indistinct)
        if self._anew is None:
            return writing()
        before = self._anew.before(path)
        self._anew.note_anew(path)
        changed = writing()
        if changed and before is not None:
            _leave_as_it_was(path, before)
        return changed

    def _journal(self, path: Path, test: str, loosening: Loosening) -> Journal:
        from pytest_mnemosyne.cassette import Journal

        return Journal(
            self._settings.cassette_dir,
            cassette=path,
            recorded=self._recorded(test, _versions(())),
            redactor=self.redactor,
            loosened=loosening.names,
        )

    @cached_property
    def redactor(self) -> Redactor:
        """Knows the secrets of this run."""
        from pytest_mnemosyne.cassette import Redactor

        return Redactor(self._secrets)

    def _recorded(self, test: str, versions: Mapping[str, str]) -> Recorded:
        return Recorded(
            source=self._source(),
            at=datetime.now(UTC).replace(microsecond=0),
            test=test,
            versions=versions,
        )

    def _load(self, path: Path) -> CassetteFile:
        return load(path, cache_dir=self._cache_dir)

    def _located(self, item: pytest.Item, chosen: Chosen) -> Path:
        named = chosen.locate(self._settings, rootdir=self._rootdir)
        return named or cassette_path(self._settings.cassette_dir, item.nodeid)

    def _check_path(self, chosen: Chosen, path: Path) -> None:
        if chosen.path is not None and not path.is_file() and not self._settings.mode.writes:
            raise UsageError(
                f"the marker claude_cassette(path={chosen.path!r}) names {path}, where no file is; "
                "paths are relative to rootdir"
            )

    def _mode_for(self, asked: Asked, path: Path) -> RecordMode:
        """The run's mode, unless this test or this file asks for another."""
        mode = self._mode
        if asked.live_only:
            return RecordMode.LIVE
        if not mode.writes or not _is_file(path):
            return mode
        if self._anew is not None and self._anew.has_anew(path):
            # Another test has recorded the shared file anew in this run: add to it.
            return RecordMode.RECORD
        return mode if self._is_ours(path) else RecordMode.REPLAY

    def _is_ours(self, path: Path) -> bool:
        try:
            return self._load(path).container == "mnemosyne"
        except UnknownFormatError:
            # A newer release's: writing over it would take from a colleague what it holds.
            raise
        except CassetteFileError as error:
            if not getattr(error, "looks_recorded", True):
                # A marker's path may name any file of the project.
                raise
            # Damaged: a mode that reads it says so, and re-recording repairs it.
            return True

    def _source(self) -> str:
        upstream = self._settings.upstream
        if upstream is None:
            return "api"
        # Without the port, which for a server of one's own differs from run to run.
        return SCRIPTED if upstream == SCRIPTED else urlsplit(upstream).hostname or upstream


def _leave_as_it_was(path: Path, before: Path) -> None:
    """Put the file from before the run back, if all tests that share it came to the same."""
    from pytest_mnemosyne.cassette import are_same, put_in_place

    try:
        is_same = are_same(load(path), load(before))
    except CassetteFileError:
        return  # it was damaged, and is not any more
    if is_same:
        put_in_place(path, before.read_bytes())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        # In a folder that may not be entered. Later Pythons see nothing there, too.
        return False


def _cache_dir(config: pytest.Config) -> Path | None:
    """Where parsed cassettes are kept between runs; `None` where pytest keeps nothing."""
    cache = getattr(config, "cache", None)
    if cache is None:
        return None
    try:
        folder: Path = cache.mkdir("mnemosyne")
    except OSError:
        return None
    return folder


def _versions(turns: Iterable[Turn]) -> dict[str, str]:
    versions = {}
    for package in ("pytest-mnemosyne", "anthropic"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    for turn in turns:
        versions |= {name: v for name, v in turn.request.headers if name == "anthropic-version"}
    return versions
