"""`docs/recordings.md`: which genuine recordings play, and how. Run it to write it anew:

python -m tests.recordings._table
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path

from pytest_mnemosyne.cassette import (
    CassetteFile,
    Interaction,
    UnreadableCassetteError,
    load,
)
from pytest_mnemosyne.wire import ClaudeHosts

from ._sdk import call_of

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "recordings.md"
FOLDER = Path(os.environ.get("MNEMOSYNE_RECORDINGS") or ROOT.parent / "shared" / "recordings")
SUFFIXES = {".yaml", ".yml", ".json", ".har", ".zlib"}

HEAD = """\
# Genuine recordings

Recordings of real traffic with the Claude API that public projects made with other
tools. `tests/recordings` reads each file, makes every request to Claude in it again
through the real SDK, synchronous and asynchronous, and compares what comes out with
what was recorded: the typed message, the stream's events, the typed error, or bytes.
The folder is named by `MNEMOSYNE_RECORDINGS`; the tests are skipped without it.

`all` counts a file's interactions, `Claude` those with Claude, `played` those of them
that play. Endpoints that the SDK does not type go through `client.post` and are
compared as bytes. Interactions with other hosts are read and not played: the
requests of a test to other hosts pass the door.

"""


def files() -> list[Path]:
    """Every recording in the folder."""
    if not FOLDER.is_dir():
        return []
    return sorted(path for path in FOLDER.rglob("*") if path.suffix in SUFFIXES)


def name_of(path: Path) -> str:
    """A recording's name for people."""
    return path.relative_to(FOLDER).as_posix()


@cache
def loaded(path: Path) -> CassetteFile:
    """The file's contents, read once per run."""
    return load(path)


def with_claude(file: CassetteFile) -> list[Interaction]:
    """The interactions that went to Claude."""
    hosts = ClaudeHosts()
    return [one for one in file.interactions if hosts.covers(one.request.url)]


def render() -> str:
    """The whole page, for the recordings at hand."""
    rows = [_row(path) for path in files()]
    lines = ["| file | container | all | Claude | played | how | not played, and why |"]
    lines.append("|---|---|---:|---:|---:|---|---|")
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    interactions, claude, played = map(sum, zip(*(row[2:5] for row in rows), strict=True))
    refused = sum(row[1] == "unreadable" for row in rows)
    summary = (
        f"{len(rows) - refused} files read, {refused} refused; {interactions} interactions, "
        f"{claude} with Claude, {played} played."
    )
    return f"{HEAD}{summary}\n\n" + "\n".join(lines) + "\n"


def _row(path: Path) -> tuple[str, str, int, int, int, str, str]:
    name = f"`{name_of(path)}`"
    try:
        file = loaded(path)
    except UnreadableCassetteError as error:
        return name, "unreadable", 0, 0, 0, "", f"the container is not vcrpy's: {error.container}"
    calls = Counter(call_of(one.request).how for one in with_claude(file))
    how = ", ".join(f"{call} x{n}" if n > 1 else call for call, n in sorted(calls.items()))
    # Every call that can be made is made and compared by the tests beside this file.
    return name, file.container, len(file.interactions), calls.total(), calls.total(), how, ""


if __name__ == "__main__":
    TABLE.write_text(render(), "utf-8")
