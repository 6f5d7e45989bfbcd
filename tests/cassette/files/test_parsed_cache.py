"""The parsed contents that are kept: right, or not used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    EXACTLY,
    LOOKS,
    CassetteFile,
    Chunk,
    Interaction,
    Loosening,
    Matcher,
    Outcome,
    Recorded,
    Request,
    Tokens,
    _reading,
    load,
    stored_form,
    write,
)
from pytest_mnemosyne.cassette._disk import read_bytes
from pytest_mnemosyne.cassette._kept import KeptInteractions
from pytest_mnemosyne.cassette._key import KeyMaker, request_key
from pytest_mnemosyne.cassette._player import Player

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
    keys = [request_key(each.request) for each in FILE.interactions]

    for _ in range(2):
        kept = load(path, cache_dir=cache).interactions
        assert isinstance(kept, KeptInteractions)
        assert list(kept.keys) == keys
        assert kept.keyed_for == EXACTLY.fingerprint


def test_each_loosening_has_keys_of_its_own(path: Path, cache: Path) -> None:
    loosening = Loosening.of(["$.messages"], LOOKS)

    for _ in range(2):
        exact = load(path, cache_dir=cache).interactions
        loose = load(path, cache_dir=cache, loosening=loosening).interactions
        assert isinstance(exact, KeptInteractions)
        assert isinstance(loose, KeptInteractions)
        assert (exact.keyed_for, loose.keyed_for) == ("", "$.messages")
        assert exact.keys[0] != loose.keys[0]
        assert exact == loose


def test_the_keys_of_a_function_are_not_trusted(path: Path, cache: Path) -> None:
    def loosening(made: str) -> Loosening:
        return Loosening.of([Matcher("x", lambda text: made)], {})

    for made in ("one", "other"):
        kept = load(path, cache_dir=cache, loosening=loosening(made)).interactions
        keys = Player(kept, loosening=loosening(made)).keys
        assert keys[0] == KeyMaker(loosening(made)).key(FILE.interactions[0].request)


def test_the_tokens_are_kept_with_the_contents(path: Path, cache: Path) -> None:
    answer = b'{"usage": {"input_tokens": 3, "output_tokens": 4}}'
    write(path, CassetteFile(interactions=(interaction(answer=answer), *FILE.interactions[1:])))

    for _ in range(2):
        kept = load(path, cache_dir=cache).interactions
        assert isinstance(kept, KeptInteractions)
        assert [kept.tokens(0), kept.tokens(1)] == [Tokens(3, 4), Tokens()]


def test_interactions_are_made_when_they_are_looked_at_and_once(path: Path, cache: Path) -> None:
    kept = load(path, cache_dir=cache).interactions

    assert kept[0] is kept[0] is kept[-2]
    assert kept[1:] == FILE.interactions[1:]
    assert kept != FILE.interactions[:1]
    assert hash(kept) == hash(FILE.interactions)
    with pytest.raises(IndexError):
        kept[2]


def test_a_message_that_is_resent_is_kept_once(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": f"{at} {'x' * 1_000}"} for at in range(20)]
    path, cache = tmp_path / "test_x.yaml", tmp_path / "cache"
    interactions = [
        interaction({"model": "m", "messages": messages[:turn], "stream": True})
        for turn in range(1, 21)
    ]
    write(path, CassetteFile(interactions=interactions))

    load(path, cache_dir=cache)
    (entry,) = cache.iterdir()

    assert entry.stat().st_size < 2 * 20 * 1_000
    assert load(path, cache_dir=cache).interactions == tuple(map(stored_form, interactions))


@pytest.mark.parametrize("size", [0, 1, (1 << 14) - 1, 1 << 14, (1 << 16) + 1])
def test_a_file_of_any_size_is_read_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))

    assert read_bytes(path) == path.read_bytes()


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, tuple[Interaction, ...]]:
    """A file whose entry is read in pieces, and what it holds."""
    talks = [[{"role": "user", "content": f"{talk} {'x' * 2_000}"}] * 5 for talk in range(100)]
    interactions = tuple(
        interaction({"messages": each}, {"id": str(at)}) for at, each in enumerate(talks)
    )
    path = tmp_path / "test_large.yaml"
    write(path, CassetteFile(interactions=interactions))
    return path, interactions


def test_of_a_large_entry_any_interaction_can_be_had(
    large: tuple[Path, tuple[Interaction, ...]], cache: Path, parses: list[Path]
) -> None:
    path, interactions = large
    load(path, cache_dir=cache)
    kept = load(path, cache_dir=cache).interactions

    assert kept[50] == interactions[50]
    assert kept == interactions
    assert parses == [path]


@pytest.mark.parametrize("at", [8_000, 150_000, -1])
def test_damage_far_behind_is_found_when_somebody_looks_and_mended(
    large: tuple[Path, tuple[Interaction, ...]], cache: Path, parses: list[Path], at: int
) -> None:
    path, interactions = large
    load(path, cache_dir=cache)
    (entry,) = cache.iterdir()
    damaged = bytearray(entry.read_bytes())
    damaged[at] ^= 1
    entry.write_bytes(damaged)

    for _ in range(2):
        assert load(path, cache_dir=cache).interactions == interactions
    assert len(parses) == 2


def test_a_large_entry_that_was_cut_is_not_trusted(
    large: tuple[Path, tuple[Interaction, ...]], cache: Path, parses: list[Path]
) -> None:
    path, interactions = large
    load(path, cache_dir=cache)
    (entry,) = cache.iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])

    assert load(path, cache_dir=cache).interactions == interactions
    assert len(parses) == 2
