"""Writing: whole or not at all, only what is new, and no surprise for those beside it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import (
    CassetteFile,
    CassetteReadError,
    CassetteWriteError,
    Chunk,
    Recorded,
    _parts,
    load,
    write,
)

from ._make import STREAM, interaction

FILE = CassetteFile(
    recorded=Recorded(source="scripted", at=datetime(2026, 1, 1, tzinfo=UTC), test="t"),
    interactions=(interaction(answer=STREAM, chunks=(Chunk(data=STREAM, at_s=0.5),), took_s=0.5),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "deep" / "test_x.yaml"


def test_missing_folders_are_made_and_nothing_else_is_left(path: Path) -> None:
    assert write(path, FILE)

    assert [entry.name for entry in path.parent.iterdir()] == ["test_x.yaml"]


def _later(file: CassetteFile) -> CassetteFile:
    """The same recorded again: another date, other times, other chunks."""
    assert file.recorded is not None
    halves = (Chunk(data=STREAM[:9], at_s=0.1), Chunk(data=STREAM[9:], at_s=0.2))
    return replace(
        file,
        recorded=replace(file.recorded, at=datetime(2027, 1, 1, tzinfo=UTC)),
        interactions=(interaction(answer=STREAM, chunks=halves, took_s=0.9),),
    )


def test_equal_content_leaves_the_file_untouched(path: Path) -> None:
    write(path, FILE)
    before = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)

    assert not write(path, _later(FILE))

    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == before


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(FILE, loosened=("dates",)), id="loosened"),
        pytest.param(replace(FILE, interactions=(interaction(),)), id="answer"),
        pytest.param(replace(FILE, interactions=tuple(FILE.interactions) * 2), id="one-more"),
        pytest.param(replace(FILE, recorded=Recorded(source="api", test="t")), id="source"),
    ],
)
def test_other_content_replaces_the_file(path: Path, changed: CassetteFile) -> None:
    write(path, FILE)

    assert write(path, changed)

    assert load(path) == changed


def test_a_corrupt_file_is_replaced(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("mnemosyne: [")

    assert write(path, FILE)

    assert load(path) == FILE


def test_a_folder_that_is_a_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cassettes").write_text("")
    path = tmp_path / "cassettes" / "test_x.yaml"

    with pytest.raises(CassetteWriteError, match="mnemosyne_cassette_dir") as caught:
        write(path, FILE)

    assert caught.value.path == path
    assert str(path) in str(caught.value)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_an_unwritable_folder_is_an_error_and_keeps_its_file(path: Path) -> None:
    write(path, FILE)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(CassetteWriteError, match="Permission denied"):
            write(path, replace(FILE, loosened=("dates",)))
    finally:
        path.parent.chmod(0o700)

    assert load(path) == FILE


def test_a_write_that_breaks_leaves_the_old_file_and_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, FILE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CassetteWriteError, match="No space left on device"):
        write(path, replace(FILE, loosened=("dates",)))

    assert load(path) == FILE
    assert len(list(path.parent.iterdir())) == 1


def test_a_folder_in_the_place_of_a_cassette_is_no_bare_error(tmp_path: Path) -> None:
    with pytest.raises(CassetteReadError, match=r"directory|denied"):
        load(tmp_path)


def that_unfolds(times: int) -> CassetteFile:
    """A file that names a part of 20 kB so many times."""
    one = interaction({"system": "x" * 20_000})
    return replace(FILE, interactions=(one,) * times)


def test_what_comes_near_to_the_most_that_is_read_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_parts, "_MOST_UNFOLDED_BYTES", 1 << 20)

    assert write(path, that_unfolds(50))

    assert load(path) == that_unfolds(50)


def test_what_nobody_could_read_again_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_parts, "_MOST_UNFOLDED_BYTES", 1 << 20)

    with pytest.raises(CassetteWriteError, match=r"more than 1 MB; .* cassettes of their own"):
        write(path, that_unfolds(60))

    assert not path.exists()


def test_a_file_that_is_not_there_is_what_python_calls_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.yaml")


def test_the_errors_survive_a_process_boundary(tmp_path: Path) -> None:
    error = CassetteWriteError(path=tmp_path, reason="disk full")

    again = pickle.loads(pickle.dumps(error))

    assert (again.path, again.reason, str(again)) == (tmp_path, "disk full", str(error))


_WRITER = """
import sys
from pathlib import Path
from pytest_mnemosyne.cassette import CassetteFile, Interaction, Request, Response, load, write
path = Path(sys.argv[1])
for n in range(20):
    body = b'{"by":"%s","n":%d}' % (sys.argv[2].encode(), n)
    request = Request(method="POST", url="/v1/messages")
    one = Interaction(request=request, response=Response(status=200, body=body))
    write(path, CassetteFile(interactions=(one,) * 20))
    assert len(load(path).interactions) == 20
"""


@pytest.mark.slow
def test_processes_that_write_one_file_never_see_half_of_it(path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(n)]) for n in range(3)
    ]

    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len(set(load(path).interactions)) == 1
    assert len(list(path.parent.iterdir())) == 1
