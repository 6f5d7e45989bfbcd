"""Processes that record into one file at once: every call that ended is there, and once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteWriteError,
    Existing,
    Interaction,
    RecordMode,
    Request,
    journals,
    load,
    recover,
    write,
)
from pytest_mnemosyne.cassette._locks import locked
from tests.cassette.files._make import interaction
from tests.cassette.recording import writer

PATIENCE_S = 60.0
TESTS, CALLS = 3, 6


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, writer.__file__, str(folder), name, str(TESTS), str(CALLS)],
        stdout=subprocess.PIPE,
        text=True,
    )


def questions(interactions: Iterable[Interaction]) -> Counter[str]:
    return Counter(json.loads(each.request.body)["messages"][0] for each in interactions)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "ends_after"),
    [(2, 2), (4, 9), (8, 16)],
)
def test_no_finished_call_is_lost_and_none_doubled_although_one_is_killed(
    tmp_path: Path, processes: int, ends_after: int
) -> None:
    write(tmp_path / "shared.yaml", CassetteFile(interactions=(interaction(),)))
    writers = [start(tmp_path, f"p{number}") for number in range(processes)]
    victim, *others = writers
    assert victim.stdout is not None
    told = [victim.stdout.readline() for _ in range(ends_after)]
    victim.kill()
    told += victim.stdout.read().splitlines()
    for each in others:
        told += each.communicate(timeout=PATIENCE_S)[0].splitlines()
    finished = {line.strip() for line in told}
    assert len(finished) >= ends_after + (processes - 1) * TESTS * CALLS
    assert [each.wait(PATIENCE_S) for each in others] == [0] * len(others)
    victim.wait(PATIENCE_S)
    victim.stdout.close()

    in_file = questions(load(tmp_path / "shared.yaml").interactions[1:])
    in_journals = questions(
        tuple(one for journal in journals(tmp_path) for one in journal.interactions())
    )
    assert finished <= in_file.keys() | in_journals.keys()
    assert set(in_file.values()) == {1}

    recover(journals(tmp_path), existing=Existing.MERGE)
    recovered = questions(load(tmp_path / "shared.yaml").interactions[1:])
    assert finished <= recovered.keys()
    assert set(recovered.values()) == {1}
    assert journals(tmp_path) == ()


Record = Callable[..., Cassette]


@pytest.fixture
def recorded(tmp_path: Path) -> Record:
    """Open a cassette, the same file each time, and ask it; what is not there is recorded."""

    def record(*asked: str, mode: RecordMode = RecordMode.RECORD) -> Cassette:
        cassette = Cassette(tmp_path / "shared.yaml", mode=mode)
        cassette.read()
        for question in asked:
            writer.ask(cassette, question)
        return cassette

    return record


def in_file(cassette: Cassette) -> list[str]:
    assert cassette.path is not None
    return list(questions(load(cassette.path).interactions).elements())


def test_two_that_opened_the_same_file_both_add_to_it(recorded: Record) -> None:
    first, second = recorded("a"), recorded("b")
    first.save()
    second.save()

    assert in_file(second) == ["a", "b"]


def test_what_another_has_recorded_meanwhile_is_not_there_twice(recorded: Record) -> None:
    first, second = recorded("a", "b"), recorded("b", "c")
    first.save()
    second.save()

    assert in_file(second) == ["a", "b", "c"]


def test_who_asked_more_often_than_the_other_adds_the_rest(recorded: Record) -> None:
    recorded("a").save()
    first, second = recorded("a", "a"), recorded("a", "a", "a")
    first.save()
    second.save()

    assert in_file(second) == ["a", "a", "a"]


def talked(cassette: Cassette, told: str, goes_on: str) -> Cassette:
    """Ask `Hi`, which is answered with `told`, and go on from the answer."""
    said = [{"type": "text", "text": told}]
    hi = {"role": "user", "content": "Hi"}
    talk = [hi, {"role": "assistant", "content": said}, {"role": "user", "content": goes_on}]
    for messages, content in (([hi], said), (talk, [{"type": "text", "text": "Bye"}])):
        body = json.dumps({"model": "m", "messages": messages}).encode()
        request = Request(method="POST", url="https://api.anthropic.com/v1/messages", body=body)
        assert cassette.answer(request, None) is None
        recording = cassette.recording(request, None)
        recording.answer(200, (("content-type", "application/json"),))
        recording.chunk(json.dumps({"type": "message", "content": content}).encode())
        recording.read_whole()
    return cassette


def test_who_goes_on_from_an_answer_that_another_has_got_otherwise_has_to_ask_again(
    recorded: Record, tmp_path: Path
) -> None:
    first, second = recorded(), recorded()
    talked(first, "Hello", "I am Ann")
    talked(second, "Good day", "I am Bob")
    first.save()
    before = (tmp_path / "shared.yaml").read_bytes()

    with pytest.raises(CassetteWriteError, match=r"each goes on from its own.*record this test"):
        second.save()

    assert (tmp_path / "shared.yaml").read_bytes() == before


def test_who_goes_on_from_an_answer_that_says_the_same_adds_what_comes_then(
    recorded: Record,
) -> None:
    first, second = recorded(), recorded()
    talked(first, "Hello", "I am Ann").save()
    talked(second, "Hello", "I am Bob").save()

    assert second.path is not None
    assert len(load(second.path).interactions) == 3


def test_recording_anew_replaces_what_was_there_and_not_what_came_since(recorded: Record) -> None:
    recorded("old").save()
    first = recorded("a", mode=RecordMode.RERECORD)
    second = recorded("b", mode=RecordMode.RERECORD)
    first.save()
    second.save()

    assert in_file(second) == ["a", "b"]


def test_a_damaged_file_is_repaired_by_recording_anew(recorded: Record, tmp_path: Path) -> None:
    cassette = recorded("a", mode=RecordMode.RERECORD)
    (tmp_path / "shared.yaml").write_text("mnemosyne: [", encoding="utf-8")
    cassette.save()

    assert in_file(cassette) == ["a"]


def test_a_lock_is_waited_for(tmp_path: Path, recorded: Record) -> None:
    cassette = recorded("a")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path / "shared.yaml"):
            held.set()
            assert not done.wait(0.05)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(PATIENCE_S)
    cassette.save()
    done.set()
    holder.join(PATIENCE_S)

    assert in_file(cassette) == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["shared.yaml"]


def test_a_lock_that_never_gets_free_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "shared.yaml"
    with (
        locked(path),
        pytest.raises(CassetteWriteError, match=r"another process has been writing it for 0\.02"),
        locked(path, patience_s=0.02),
    ):
        pass


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path, recorded: Record) -> None:
    # What a kill leaves behind: the file, which nobody has locked.
    (tmp_path / ".shared.yaml.lock").touch()
    cassette = recorded("a")
    cassette.save()

    assert in_file(cassette) == ["a"]


_KILLED_WHILE_WRITING = """
import os, pathlib, signal, sys
from tests.cassette.recording import writer

os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
writer.main(pathlib.Path(sys.argv[1]), "killed", 1, 2)
"""


@pytest.mark.slow
def test_a_process_killed_while_it_writes_leaves_the_old_file_and_its_journal(
    tmp_path: Path, recorded: Record
) -> None:
    recorded("old").save()
    before = (tmp_path / "shared.yaml").read_bytes()
    program = [sys.executable, "-c", _KILLED_WHILE_WRITING, str(tmp_path)]

    ended = subprocess.run(program, stdout=subprocess.DEVNULL, timeout=PATIENCE_S)

    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "shared.yaml").read_bytes() == before
    (journal,) = journals(tmp_path)
    assert questions(journal.interactions()).keys() == {"killed-0-0", "killed-0-1"}
    recorded("new").save()
    assert in_file(recorded()) == ["old", "new"]
