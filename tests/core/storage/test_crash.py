"""A process that is killed at any moment has lost nothing that it acknowledged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mnemosyne_core.observe import replay
from tests.core.storage.building import journal_at

WRITER = """
import asyncio, sys
from mnemosyne_core.events import WorkClaimed, WorkReleased, WorkSubmitted
from mnemosyne_core.storage import Journal
from mnemosyne_core.work import WorkItem

async def main():
    with Journal.open(sys.argv[1]) as journal:
        for n in range(1_000_000):
            item = WorkItem(id=f"i{n}", description="x")
            journal.record_all(
                [WorkSubmitted(item=item), WorkClaimed(item_id=item.id, worker="w")], agent="x"
            )
            event = journal.record(WorkReleased(item_id=item.id, reason="x"), agent="x")
            print(event.seq, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 20, 57])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, acknowledged: int) -> None:
    file = tmp_path / "tree.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            last_seq = int(writer.stdout.readline())
        writer.kill()

    with journal_at(file) as journal:
        events, items = journal.events(), journal.items()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert len(events) >= last_seq == 3 * acknowledged
        assert {each.item.id: each for each in items} == replay(events).items
        # Submission and claim were stored together: never the one without the other.
        assert all(each.attempt == 2 or each.worker == "w" for each in items)
