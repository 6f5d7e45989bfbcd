from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import Interaction, Journal, Recorded, Redactor, load

from .conftest import Cassettes
from .making import call, cassette, message, text, user

YES = message(text("Yes."))
ONE = call([user("One?")], YES)
TWO = call([user("Two?")], YES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the cassettes."""
    folder = tmp_path / "cassettes"
    folder.mkdir()
    return folder


def left_behind(folder: Path, name: str, *interactions: Interaction) -> Path:
    """A journal as a test leaves it that failed; the cassette that it is for."""
    journal = Journal(
        folder,
        cassette=folder / name,
        recorded=Recorded(source="api", at=datetime(2026, 11, 22, 15, tzinfo=UTC), test="t::y"),
        redactor=Redactor,
    )
    for number, one in enumerate(interactions, start=1):
        journal.append(number, one)
    journal.close()
    return folder / name


def test_what_was_left_behind_becomes_a_cassette(cassettes: Cassettes, folder: Path) -> None:
    path = left_behind(folder, "test_x.yaml", ONE, TWO)

    ran = cassettes("recover", folder)

    assert (ran.exit_code, ran.stdout) == (0, f"{path}: 2 exchanges recovered\n")
    assert [one.request.body for one in load(path).interactions] == [
        ONE.request.body,
        TWO.request.body,
    ]
    assert cassettes("recover", folder).stdout == f"nothing was left behind in {folder}\n"


def test_a_dry_run_lists_and_changes_nothing(cassettes: Cassettes, folder: Path) -> None:
    path = left_behind(folder, "test_x.yaml", ONE)

    ran = cassettes("recover", folder, "--dry-run")

    assert ran.stdout == f"{path}: 1 exchange of 2026-11-22 15:00:00 from api by t::y\n"
    assert not path.exists()
    assert cassettes("recover", folder, "--dry-run").stdout == ran.stdout


def test_a_cassette_that_exists_is_left_unless_told_otherwise(
    cassettes: Cassettes, folder: Path
) -> None:
    cassette(folder / "test_x.yaml", ONE)
    path = left_behind(folder, "test_x.yaml", ONE, TWO)

    left = cassettes("recover", folder)

    assert left.exit_code == 1
    assert left.stdout.startswith(f"{path}: exists and was left; --merge adds to it")
    assert len(load(path).interactions) == 1


@pytest.mark.parametrize(
    ("option", "recovered", "kept"),
    [
        pytest.param("--merge", 1, [ONE, TWO], id="merge"),
        pytest.param("--force", 1, [TWO], id="force"),
    ],
)
def test_it_is_merged_or_replaced_where_that_was_asked_for(
    cassettes: Cassettes, folder: Path, option: str, recovered: int, kept: list[Interaction]
) -> None:
    cassette(folder / "test_x.yaml", ONE)
    path = left_behind(folder, "test_x.yaml", TWO)

    ran = cassettes("recover", folder, option)

    assert (ran.exit_code, ran.stdout) == (0, f"{path}: {recovered} exchange recovered\n")
    assert [one.request.body for one in load(path).interactions] == [
        one.request.body for one in kept
    ]


def test_a_cassette_that_lacks_nothing_stays_as_it_is(cassettes: Cassettes, folder: Path) -> None:
    cassette(folder / "test_x.yaml", ONE, TWO)
    path = left_behind(folder, "test_x.yaml", ONE)

    ran = cassettes("recover", folder, "--merge")

    assert (ran.exit_code, ran.stdout) == (0, f"{path}: has it all already, nothing was added\n")
    assert len(load(path).interactions) == 2
    assert cassettes("recover", folder).stdout == f"nothing was left behind in {folder}\n"


def test_merge_and_force_exclude_each_other(cassettes: Cassettes, folder: Path) -> None:
    ran = cassettes("recover", folder, "--merge", "--force")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == "mnemosyne: --merge and --force exclude each other; give one of them\n"


def test_one_that_cannot_be_recovered_does_not_keep_the_others(
    cassettes: Cassettes, folder: Path
) -> None:
    (folder / "test_a.yaml").write_text("mnemosyne: 99\n", "utf-8")
    newer = left_behind(folder, "test_a.yaml", ONE)
    path = left_behind(folder, "test_b.yaml", TWO)

    ran = cassettes("recover", folder, "--merge")

    assert (ran.exit_code, ran.stdout) == (1, f"{path}: 1 exchange recovered\n")
    assert ran.stderr.startswith(f"mnemosyne: {newer} is a cassette of format 99, ")
    assert newer.read_text("utf-8") == "mnemosyne: 99\n"
    assert cassettes("recover", folder, "--dry-run").stdout.startswith(f"{newer}: 1 exchange")


def test_a_journal_that_cannot_be_read_is_told_beside_the_others(
    cassettes: Cassettes, folder: Path
) -> None:
    path = left_behind(folder, "test_x.yaml", ONE)
    os.mkfifo(folder / ".mnemosyne" / "pipe.journal")

    ran = cassettes("recover", folder)

    assert (ran.exit_code, ran.stdout) == (1, f"{path}: 1 exchange recovered\n")
    assert ran.stderr.startswith(f"mnemosyne: cannot read the cassette {folder}/.mnemosyne/pipe.")


def test_a_folder_that_is_not_there_is_wrong_usage(cassettes: Cassettes, tmp_path: Path) -> None:
    ran = cassettes("recover", tmp_path / "nowhere")

    assert ran.exit_code == 2
