"""The cassettes of a run: where each test's is, in which mode it is open, how it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
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
from pytest_mnemosyne.plugin._environment import DUMMY_KEY
from pytest_mnemosyne.plugin._markers import Asked, Chosen
from pytest_mnemosyne.plugin._matching import Matching
from pytest_mnemosyne.plugin._modes import SCRIPTED
from pytest_mnemosyne.plugin._options import Settings
from pytest_mnemosyne.plugin._secrets import RunSecrets, note_on_indistinct

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
    from pytest_mnemosyne.plugin._anew import Anew
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
        """Make it before the first test that needs it sees another environment.

        Args:
            config: The run's.
            settings: What the run may do.
            shared: What the processes of a run that forwards have in common.
            budget: What may be spent.
        """
        self._rootdir = config.rootpath
        self._settings = settings
        self._matching = Matching(config, settings)
        self._cache_dir = _cache_dir(config)
        self._role = None if settings.lane is None else Lane(settings.lane).role
        self._anew: Anew | None = None
        """What this run records anew; `None` where it does not."""

        self._mode = RecordMode(settings.mode.name)
        if self._mode is RecordMode.RERECORD:
            from pytest_mnemosyne.plugin._anew import Anew

            assert shared is not None, "a run that forwards has one"
            self._anew = Anew(shared, role=self._role, read=self._load)
            # What it has, tests add to.
            self._mode = RecordMode.RECORD

        self._budget = budget
        self._secrets = RunSecrets(os.environ, named=settings.secrets, stand_in=DUMMY_KEY)

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
            UsageError: The test's marker says what cannot be, or a named secret is too short.
        """
        chosen = asked.chosen()
        path = self._located(item, chosen)
        self._check_path(chosen, path)
        mode = self._mode_for(asked, path)
        if mode.writes:
            self._secrets.check()
        if mode.writes and (self._anew is not None or not _is_file(path)):
            # Before Claude is asked: what it answers is paid for and could not be kept.
            check_writable(path)
        loosening = self._matching.loosening(chosen)
        cassette = Cassette(
            path,
            mode=mode,
            loader=self._loader(loosening, mode),
            on_miss=on_miss,
            command=partial(command_after_miss, item, self._settings, path),
            redactor=self._secrets.redactor,
            on_key=self._secrets.sent,
            role=self._role if mode.writes else None,
            journal=self._journal(path, item.nodeid, loosening) if mode.writes else None,
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
            redactor=self._secrets.redactor,
            loosening=self._matching.loosening(chosen),
            folders=self._matching.folders(item),
        )
        cassette.on_key = self._secrets.sent
        cassette.read()
        return cassette

    def save(self, cassette: Cassette, *, test: str) -> list[str]:
        """Write what was recorded; lines about it for the end of the run.

        Raises:
            CassetteFileError: It cannot be written, or would hold a secret.
            UsageError: A named secret is too short.
        """
        notes: list[str] = []
        cassette.save(
            self._recorded(test, _versions(cassette.wire_turns)),
            writer=partial(
                self._write,
                loosening=cassette.loosening,
                is_own=cassette.path == cassette_path(self._settings.cassette_dir, test),
                on_indistinct=lambda found: notes.append(note_on_indistinct(test, found)),
            ),
        )
        return notes

    def _write(
        self,
        path: Path,
        file: CassetteFile,
        *,
        loosening: Loosening,
        is_own: bool,
        on_indistinct: Callable[[Indistinct], None],
    ) -> bool:
        """Write a file that nobody else is writing."""
        from pytest_mnemosyne.cassette import write

        self._secrets.check()
        keep = partial(write, redactor=self.redactor)
        telling = partial(keep, on_indistinct=on_indistinct)
        if self._anew is None:
            return telling(path, file)
        return self._anew.write(
            path, file, is_own=is_own, loosening=loosening, write=telling, keep=keep
        )

    def _journal(self, path: Path, test: str, loosening: Loosening) -> Journal:
        from pytest_mnemosyne.cassette import Journal

        return Journal(
            self._settings.cassette_dir,
            cassette=path,
            recorded=self._recorded(test, _versions(())),
            redactor=self._secrets.redactor,
            loosened=loosening.names,
            is_anew=self._anew is not None,
        )

    def read_secrets(self) -> None:
        """Learn what is secret by now, and may be gone before it is told."""
        self._secrets.read()

    @property
    def redactor(self) -> Redactor:
        """Knows the secrets of this run, up to now."""
        return self._secrets.redactor()

    def _recorded(self, test: str, versions: Mapping[str, str]) -> Recorded:
        return Recorded(
            source=self._source(),
            at=datetime.now(UTC).replace(microsecond=0),
            test=test,
            versions=versions,
        )

    def _loader(self, loosening: Loosening, mode: RecordMode) -> Callable[[Path], CassetteFile]:
        read = partial(load, cache_dir=self._cache_dir, loosening=loosening)
        if self._anew is None or not mode.writes:
            return read
        return partial(self._anew.load, read=read)

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
        return mode if self._is_ours(path) else RecordMode.REPLAY

    def _is_ours(self, path: Path) -> bool:
        try:
            return self._load(path).container == "mnemosyne"
        except UnknownFormatError:
            # A newer release's: writing over it would take from a colleague what it holds.
            raise
        except CassetteFileError as error:
            if not error.looks_recorded:
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
