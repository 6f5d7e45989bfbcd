"""The parsed contents that are kept: right, or not used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    CassetteFile,
    Chunk,
    Interaction,
    Outcome,
    Recorded,
    Request,
    Tokens,
    _reading,
    load,
    write,
)
from pytest_mnemosyne.cassette._disk import read_bytes
from pytest_mnemosyne.cassette._key import request_key

from ._make import STREAM, interaction

FILE = CassetteFile(
    recorded=Recorded(
        source="scripted", at=datetime(2026, 1, 1, tzinfo=UTC), test="t", versions={"a": "1"}
    ),
    loosened=("dates",),
    interactions=(
        interaction(answer=STREAM, chunks=(Chunk(data=STREAM, at_s=0.5),), lane=Lane("a/b", 2)),
        Interaction(
            request=Request(method="GET", url="https://api.anthropic.com/v1/models"),
            response=None,
            outcome=Outcome.TIMEOUT,
        ),
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "test_x.yaml"
    write(path, FILE)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "made" / "at" / "need"


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were parsed, in order."""
    parsed: list[Path] = []
    parse = _reading.parse

    def counted(data: bytes, path: Path) -> CassetteFile:
        parsed.append(path)
        return parse(data, path)

    monkeypatch.setattr(_reading, "parse", counted)
    return parsed


def test_a_file_is_parsed_once_and_gives_the_same_again(
    path: Path, cache: Path, parses: list[Path]
) -> None:
    first, second = load(path, cache_dir=cache), load(path, cache_dir=cache)

    assert first == second == FILE
    assert parses == [path]


def test_a_changed_file_is_parsed_anew(path: Path, cache: Path, parses: list[Path]) -> None:
    load(path, cache_dir=cache)
    path.write_text(path.read_text().replace("source: scripted", "source: api"))

    changed = load(path, cache_dir=cache)

    assert changed.recorded is not None
    assert changed.recorded.source == "api"
    assert len(parses) == 2


@pytest.mark.parametrize("at", [0, 8, 20, -1])
def test_a_damaged_entry_is_not_trusted(
    path: Path, cache: Path, parses: list[Path], at: int
) -> None:
    load(path, cache_dir=cache)
    (entry,) = cache.iterdir()
    damaged = bytearray(entry.read_bytes())
    damaged[at] ^= 1
    entry.write_bytes(damaged)

    assert load(path, cache_dir=cache) == FILE
    assert len(parses) == 2
    assert load(path, cache_dir=cache) == FILE
    assert len(parses) == 2


def test_an_empty_entry_is_not_trusted(path: Path, cache: Path) -> None:
    load(path, cache_dir=cache)
    (entry,) = cache.iterdir()
    entry.write_bytes(b"")

    assert load(path, cache_dir=cache) == FILE


def test_a_folder_that_cannot_be_written_does_no_harm(path: Path, tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("")

    assert load(path, cache_dir=occupied) == FILE


def test_the_keys_are_kept_with_the_contents(path: Path, cache: Path) -> None:
    keys = tuple(request_key(each.request) for each in FILE.interactions)

    first, second = load(path, cache_dir=cache), load(path, cache_dir=cache)

    assert first.keys == second.keys == keys
    assert load(path).keys == ()


def test_the_tokens_are_kept_with_the_contents(path: Path, cache: Path) -> None:
    answer = b'{"usage": {"input_tokens": 3, "output_tokens": 4}}'
    write(path, CassetteFile(interactions=(interaction(answer=answer), *FILE.interactions[1:])))

    first, second = load(path, cache_dir=cache), load(path, cache_dir=cache)

    assert first.tokens == second.tokens == (Tokens(3, 4), Tokens())
    assert load(path).tokens == ()


@pytest.mark.parametrize("size", [0, 1, (1 << 14) - 1, 1 << 14, (1 << 16) + 1])
def test_a_file_of_any_size_is_read_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))

    assert read_bytes(path) == path.read_bytes()
