from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from .conftest import Cassettes
from .making import EXECUTOR, REVIEWER, call, cassette, message, text, user

YES = message(text("Yes."))


def test_the_text_holds_nothing_that_every_recording_changes(
    cassettes: Cassettes, tmp_path: Path
) -> None:
    one = call([user("One?")], YES, lane=EXECUTOR, took_s=1.2)
    again = call([user("One?")], YES, lane=EXECUTOR, took_s=0.3)
    before = call([user("Before?")], YES, lane=REVIEWER, took_s=0.3)
    cassette(tmp_path / "old.yaml", one)
    cassette(tmp_path / "new.yaml", before, again, at=datetime(2026, 11, 23, tzinfo=UTC))

    old, new = (cassettes("textconv", tmp_path / name).stdout for name in ("old.yaml", "new.yaml"))

    # Neither times nor numbers: all of the old text stands in the new one.
    assert new.startswith(old.partition("executor")[0])
    assert new.endswith(old[old.index("executor") :])


def test_long_texts_are_whole_and_not_wrapped(cassettes: Cassettes, tmp_path: Path) -> None:
    lines = [f"line {number} " + "x" * 300 for number in range(40)]
    path = cassette(tmp_path / "x.yaml", call([user("\n".join(lines))], YES))

    ran = cassettes("textconv", path)

    assert all(f"       {line}\n" in ran.stdout for line in lines)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"<<<<<<< ours\nmnemosyne: 1\n=======\nmnemosyne: 1\n", id="merge"),
        pytest.param(b"mnemosyne: 99\n", id="newer"),
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\x03\x04\xff\n", id="packed"),
    ],
)
def test_what_is_no_cassette_is_handed_on_as_it_is(
    cassettes: Cassettes, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)

    ran = cassettes("textconv", path)

    assert (ran.exit_code, ran.stdout_bytes) == (0, data)


def test_a_file_that_is_not_there_is_an_error(cassettes: Cassettes, tmp_path: Path) -> None:
    ran = cassettes("textconv", tmp_path / "x.yaml")

    assert ran.exit_code == 1
    assert ran.stderr.startswith("mnemosyne: there is no ")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_diff_shows_what_was_said(tmp_path: Path) -> None:
    command = shlex.quote(str(Path(sys.executable).with_name("mnemosyne")))

    def git(*arguments: str) -> str:
        ran = subprocess.run(
            ["git", *arguments],
            cwd=tmp_path,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return ran.stdout

    git("init", "-q")
    (tmp_path / ".gitattributes").write_text("cassettes/**/*.yaml diff=cassette\n", "utf-8")
    git("config", "diff.cassette.textconv", f"{command} cassettes textconv")
    path = tmp_path / "cassettes" / "test_x" / "test_y.yaml"
    cassette(path, call([user("Write hello.py")], YES, took_s=1.0))
    git("add", ".")
    cassette(path, call([user("Write world.py")], YES, took_s=2.0))

    changed = [line for line in git("diff").splitlines() if line[:1] in "+-"]

    assert changed == [
        "--- a/cassettes/test_x/test_y.yaml",
        "+++ b/cassettes/test_x/test_y.yaml",
        "-       Write hello.py",
        "+       Write world.py",
    ]
