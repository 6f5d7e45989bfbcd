"""What real servers answered: the recorded exchanges with Claude, or a reason to skip."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import UnreadableCassetteError, load
from pytest_mnemosyne.wire import ClaudeHosts, looks_like_sse

_DEFAULT = Path(__file__).parents[2].parent / "shared" / "recordings"


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    file: str
    method: str
    url: str
    asked: bytes
    status: int
    headers: dict[str, str]
    answered: bytes

    @property
    def is_stream(self) -> bool:
        return looks_like_sse(self.answered)


def exchanges() -> tuple[Exchange, ...]:
    """Every recorded exchange with Claude; skips the test where there are no recordings."""
    folder = Path(os.environ.get("MNEMOSYNE_RECORDINGS", _DEFAULT))
    if not folder.is_dir():
        pytest.skip(f"no recordings in {folder}; set MNEMOSYNE_RECORDINGS to their folder")
    return _read(folder)


@functools.cache
def _read(folder: Path) -> tuple[Exchange, ...]:
    hosts = ClaudeHosts()
    found: list[Exchange] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".yaml", ".yml", ".json", ".har"):
            continue
        try:
            interactions = load(path).interactions
        except UnreadableCassetteError:
            continue
        found.extend(
            Exchange(
                file=path.name,
                method=played.request.method,
                url=played.request.url,
                asked=played.request.body,
                status=played.response.status,
                headers=dict(played.response.headers),
                answered=played.response.body,
            )
            for played in interactions
            if played.response is not None and hosts.covers(played.request.url)
        )
    return tuple(found)
