"""The cassettes of a run: where each test's is, in which mode it is open, how it is kept."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteFileError,
    Miss,
    Recorded,
    RecordMode,
    cassette_path,
    check_writable,
    load,
)
from pytest_mnemosyne.plugin._markers import Asked, Chosen
from pytest_mnemosyne.plugin._modes import KEY_VARIABLES, SCRIPTED
from pytest_mnemosyne.plugin._options import Settings

_SHORTEST_KEY = 16
"""A key with fewer characters is a stand-in and no secret."""


class Cassettes:
    """Opens and keeps the cassettes of one run."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        """Make it before tests change the environment: it knows the keys to keep out."""
        self._rootdir = config.rootpath
        self._settings = settings
        self._mode = RecordMode(settings.mode.name)
        self._cache_dir = _cache_dir(config)
        self._rerecorded: set[Path] = set()
        keys = {name: os.environ.get(name, "") for name in KEY_VARIABLES}
        self._secrets = {name: key for name, key in keys.items() if len(key) >= _SHORTEST_KEY}

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
        cassette = Cassette(
            path,
            mode=mode,
            loader=self._load,
            on_miss=on_miss,
            command=f"pytest {shlex.quote(item.nodeid)} --mnemosyne-mode=record",
        )
        # Now, so that a damaged file is the test's error and not a request's.
        cassette.read()
        return cassette

    def save(self, cassette: Cassette, *, test: str) -> None:
        """Write what was recorded.

        Raises:
            CassetteFileError: It cannot be written, or would hold a secret.
        """
        from pytest_mnemosyne.cassette import Redactor, write

        recorded = Recorded(
            source=self._source(),
            at=datetime.now(UTC).replace(microsecond=0),
            test=test,
            versions=_versions(cassette),
        )
        cassette.save(recorded, writer=partial(write, redactor=Redactor(self._secrets)))
        assert cassette.path is not None, "what is written has a file"
        self._rerecorded.add(cassette.path)

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
        if mode is RecordMode.RERECORD and path in self._rerecorded:
            # Another test has recorded the shared file anew in this run: add to it.
            return RecordMode.RECORD
        return mode if self._is_ours(path) else RecordMode.REPLAY

    def _is_ours(self, path: Path) -> bool:
        try:
            return self._load(path).container == "mnemosyne"
        except CassetteFileError:
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


def _versions(cassette: Cassette) -> dict[str, str]:
    versions = {}
    for package in ("pytest-mnemosyne", "anthropic"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    for turn in cassette.turns:
        versions |= {name: v for name, v in turn.request.headers if name == "anthropic-version"}
    return versions
