from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import (
    LEFTOVERS_FILE,
    Leftovers,
    interaction_id,
    load,
    write_leftovers,
)

from .conftest import Cassettes
from .making import call, cassette, message, text, user

YES = message(text("Yes."))
ONE = call([user("One?")], YES)
TWO = call([user("Two?")], YES)
THREE = call([user("Three?")], YES)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose last full run left over a call of one cassette, and another cassette."""
    used = cassette(tmp_path / "cassettes" / "used.yaml", ONE, TWO, THREE)
    orphan = cassette(tmp_path / "cassettes" / "old" / "orphan.yaml", ONE)
    names = tuple(interaction_id(load(used).interactions[at]) for at in (1,))
    kept = Leftovers(unplayed={used: names}, orphans=(orphan,))
    write_leftovers(kept_in(tmp_path), kept, root=tmp_path)
    return tmp_path


def kept_in(project: Path) -> Path:
    return project / ".pytest_cache" / "d" / "mnemosyne" / LEFTOVERS_FILE


def test_what_the_last_full_run_left_over_is_removed(cassettes: Cassettes, project: Path) -> None:
    ran = cassettes("trim", project)

    used, orphan = (project / "cassettes" / name for name in ("used.yaml", "old/orphan.yaml"))
    assert ran.exit_code == 0
    assert ran.stdout.splitlines() == [
        f"{used}: removed 1 interaction that nobody asked for",
        f"{orphan}: removed, no test has it",
    ]
    assert [one.request.body for one in load(used).interactions] == [
        ONE.request.body,
        THREE.request.body,
    ]
    assert not orphan.parent.exists()


def test_a_second_time_there_is_nothing_to_do(cassettes: Cassettes, project: Path) -> None:
    cassettes("trim", project)

    ran = cassettes("trim", project)

    assert ran.exit_code == 1
    assert ran.stderr.startswith("mnemosyne: nothing says what is left over: ")
    assert "has been trimmed" in ran.stderr


def test_a_dry_run_says_what_would_go_and_leaves_it(cassettes: Cassettes, project: Path) -> None:
    ran = cassettes("trim", project, "--dry-run")

    folder = project / "cassettes"
    assert ran.stdout.splitlines() == [
        f"{folder}/used.yaml: 1 interaction that nobody asked for would go",
        f"{folder}/old/orphan.yaml: would go, no test has it",
    ]
    assert len(load(folder / "used.yaml").interactions) == 3
    assert (folder / "old" / "orphan.yaml").exists()


def test_nothing_is_removed_where_a_cassette_has_changed_since(
    cassettes: Cassettes, project: Path
) -> None:
    used = project / "cassettes" / "used.yaml"
    later = kept_in(project).stat().st_mtime_ns + 1_000_000
    os.utime(used, ns=(later, later))

    ran = cassettes("trim", project)

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"mnemosyne: {used} has changed since the last full run")
    assert len(load(used).interactions) == 3
    assert (project / "cassettes" / "old" / "orphan.yaml").exists()


def test_what_is_gone_already_is_told(cassettes: Cassettes, project: Path) -> None:
    (project / "cassettes" / "used.yaml").unlink()
    (project / "cassettes" / "old" / "orphan.yaml").unlink()

    ran = cassettes("trim", project)

    assert ran.exit_code == 0
    assert ran.stdout.count("is not there any more") == 2


def test_a_cassette_of_which_nothing_is_left_goes_as_a_whole(
    cassettes: Cassettes, tmp_path: Path
) -> None:
    path = cassette(tmp_path / "cassettes" / "x.yaml", ONE)
    names = (interaction_id(load(path).interactions[0]),)
    write_leftovers(kept_in(tmp_path), Leftovers(unplayed={path: names}), root=tmp_path)

    ran = cassettes("trim", tmp_path)

    assert ran.stdout == f"{path}: removed 1 interaction that nobody asked for, which were all\n"
    assert not path.exists()


def test_the_cache_may_be_elsewhere(cassettes: Cassettes, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "d" / "mnemosyne" / LEFTOVERS_FILE
    write_leftovers(kept, Leftovers(), root=tmp_path)

    ran = cassettes("trim", tmp_path, "--cache-dir", tmp_path / "cache")

    assert (ran.exit_code, ran.stdout) == (0, "the last full run has left nothing over\n")


def test_one_that_cannot_be_trimmed_does_not_keep_the_others_and_is_kept_for_another_try(
    cassettes: Cassettes, project: Path
) -> None:
    used = project / "cassettes" / "used.yaml"
    whole, before = used.read_bytes(), used.stat().st_mtime_ns
    used.write_text("mnemosyne: 99\n", "utf-8")
    os.utime(used, ns=(before, before))

    ran = cassettes("trim", project)

    assert ran.exit_code == 1
    assert ran.stdout == f"{project}/cassettes/old/orphan.yaml: removed, no test has it\n"
    assert ran.stderr.startswith(f"mnemosyne: {used} is a cassette of format 99, ")
    used.write_bytes(whole)
    os.utime(used, ns=(before, before))
    again = cassettes("trim", project)
    assert again.stdout == f"{used}: removed 1 interaction that nobody asked for\n"
    assert again.exit_code == 0
