"""A process that records: `python writer.py FOLDER NAME TESTS CALLS`.

Runs so many tests after each other, all on one shared cassette, and in each so many calls.
A line with the call's question is printed when the call has ended for its client.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pytest_mnemosyne.cassette import Cassette, Journal, Recorded, RecordMode, Redactor, Request


def main(folder: Path, name: str, tests: int, calls: int) -> None:
    path = folder / "shared.yaml"
    for test in range(tests):
        recorded = Recorded(source="scripted", test=f"{name}-{test}")
        journal = Journal(folder, cassette=path, recorded=recorded, redactor=Redactor)
        cassette = Cassette(path, mode=RecordMode.RECORD, journal=journal)
        for call in range(calls):
            ask(cassette, f"{name}-{test}-{call}")
        cassette.save(recorded)


def ask(cassette: Cassette, question: str) -> None:
    body = json.dumps({"model": "m", "messages": [question]}).encode()
    request = Request(method="POST", url="https://api.anthropic.com/v1/messages", body=body)
    if cassette.answer(request, None) is None:
        recording = cassette.recording(request, None)
        recording.answer(200, (("content-type", "application/json"),))
        recording.chunk(json.dumps({"answer": question}).encode())
        recording.read_whole()
    sys.stdout.write(f"{question}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
