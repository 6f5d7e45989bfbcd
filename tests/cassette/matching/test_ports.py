"""Every port of the API that the SDK asks: recorded, then played in a run of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import anthropic
import pytest
from anthropic.types.beta import BetaMessage
from anthropic.types.messages.batch_create_params import Request as BatchRequest

from mnemosyne_core.ids import RandomIds
from mnemosyne_core.origins import listening
from pytest_mnemosyne.cassette import Cassette, CassetteMissError, Door, RecordMode, Upstream
from pytest_mnemosyne.simulation import ScriptedClaude, has_tool_result, tool_use
from tests.cassette.door.loopback import Asked, Wire, serving

MODEL = "claude-sonnet-5-5"
FOLDER = "/home/al/work"

Program = Callable[[anthropic.Anthropic], object]


class Tape:
    """One cassette; each use of it is a run of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, url: str, program: Program) -> str:
        """Record a run from the server at `url`; the file."""
        cassette = self._run(program, RecordMode.RERECORD, url)
        assert cassette.save()
        return self._path.read_text(encoding="utf-8")

    def replay(self, program: Program) -> None:
        cassette = self._run(program, RecordMode.REPLAY, None)
        assert not cassette.misses
        assert not cassette.unplayed()

    def _run(self, program: Program, mode: RecordMode, url: str | None) -> Cassette:
        door = Door(mode=mode, upstream=Upstream(url) if url else None)
        cassette = Cassette(self._path, mode=mode, folders=lambda: (("root", FOLDER),))
        with ExitStack() as stack:
            stack.callback(door.uninstall)
            stack.enter_context(door.playing(cassette))
            stack.enter_context(listening(cassette.origins))
            client = anthropic.Anthropic(api_key="none", max_retries=0)
            program(stack.enter_context(client))
        return cassette


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path / "test_it.yaml")


@pytest.fixture
def scripted() -> Iterator[ScriptedClaude]:
    claude = ScriptedClaude()
    yield claude
    claude.stop()


def counting(client: anthropic.Anthropic, said: str = "Hi") -> int:
    return client.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": said}]
    ).input_tokens


def test_tokens_are_counted_of_what_is_asked_and_nothing_else(
    tape: Tape, scripted: ScriptedClaude
) -> None:
    tape.record(scripted.url, counting)

    tape.replay(counting)
    with pytest.raises(CassetteMissError):
        tape.replay(lambda client: counting(client, "Ho"))


def test_models_are_listed_page_by_page_and_retrieved(tape: Tape, scripted: ScriptedClaude) -> None:
    def program(client: anthropic.Anthropic) -> None:
        listed = [each.id for each in client.models.list(limit=2)]
        assert len(listed) > 2
        assert client.models.retrieve(listed[0]).id == listed[0]

    tape.record(scripted.url, program)
    tape.replay(program)


def test_a_batch_is_polled_by_its_recorded_id_until_it_has_ended(
    tape: Tape, scripted: ScriptedClaude
) -> None:
    def program(client: anthropic.Anthropic) -> None:
        asked: list[BatchRequest] = [
            {
                "custom_id": f"question-{number}",
                "params": {
                    "model": MODEL,
                    "max_tokens": 9,
                    "messages": [{"role": "user", "content": f"{number}, {RandomIds().mint('a')}"}],
                },
            }
            for number in range(2)
        ]
        batch = client.messages.batches.create(requests=asked)
        polls = 0
        while client.messages.batches.retrieve(batch.id).processing_status != "ended":
            polls += 1
        assert polls == 1
        results = list(client.messages.batches.results(batch.id))
        assert [each.custom_id for each in results] == ["question-0", "question-1"]

    scripted.reply("one").reply("two")
    scripted.batch_pace(polls=2)
    tape.record(scripted.url, program)
    tape.replay(program)


@anthropic.beta_tool
def read(name: str) -> str:
    """Read a file.

    Args:
        name: Its name.
    """
    return f"{FOLDER}/{name}: done"


@pytest.mark.parametrize("streamed", [False, True])
def test_the_tool_runner_goes_on_in_its_thread(
    tape: Tape, scripted: ScriptedClaude, streamed: bool
) -> None:
    def program(client: anthropic.Anthropic) -> None:
        runner = client.beta.messages.tool_runner(
            model=MODEL,
            max_tokens=64,
            tools=[read],
            messages=[{"role": "user", "content": "Read a.txt."}],
            stream=streamed,
        )
        answers = [
            each if isinstance(each, BetaMessage) else each.get_final_message() for each in runner
        ]
        assert [block.type for block in answers[0].content] == ["tool_use"]
        assert [getattr(block, "text", "") for block in answers[-1].content] == ["Done."]

    scripted.when(has_tool_result()).reply("Done.")
    scripted.reply(tool_use("read", {"name": "a.txt"}))

    written = tape.record(scripted.url, program)
    tape.replay(program)

    assert "previous_message_id: msg_" in written
    assert "/mnemosyne/root/a.txt: done" in written


def test_a_step_of_another_thread_is_another_question(tape: Tape, scripted: ScriptedClaude) -> None:
    def program(client: anthropic.Anthropic, of: int) -> None:
        begun = [
            client.beta.messages.create(
                model=MODEL,
                max_tokens=9,
                messages=[{"role": "user", "content": said}],
                extra_body={"thread": {"type": "new"}},
            ).id
            for said in ("one", "two")
        ]
        client.beta.messages.create(
            model=MODEL,
            max_tokens=9,
            messages=[{"role": "user", "content": "more"}],
            extra_body={"thread": {"type": "continue", "previous_message_id": begun[of]}},
        )

    scripted.reply("1").reply("2").reply("3")
    tape.record(scripted.url, lambda client: program(client, 0))

    tape.replay(lambda client: program(client, 0))
    with pytest.raises(CassetteMissError):
        tape.replay(lambda client: program(client, 1))


def test_a_file_is_uploaded_with_another_boundary_each_time_and_read_by_its_id(
    tape: Tape,
) -> None:
    def answer(wire: Wire, asked: Asked) -> None:
        if asked.path.partition("?")[0].endswith("/content"):
            wire.answer(b"content", content_type="text/plain")
            return
        file = {"id": "file_1", "type": "file", "filename": "a.txt", "mime_type": "text/plain"}
        wire.answer(
            json.dumps(file | {"size_bytes": 1, "created_at": "2026-01-01T00:00:00Z"}).encode()
        )

    def program(client: anthropic.Anthropic, text: str = "see") -> None:
        content = f"{text} {FOLDER}/b.txt".encode()
        file = client.beta.files.upload(file=("a.txt", content, "text/plain"))
        assert client.beta.files.retrieve_metadata(file.id).id == file.id
        assert client.beta.files.download(file.id).read() == b"content"

    with serving(answer) as server:
        written = tape.record(server.url, program)

    tape.replay(program)
    assert "see /mnemosyne/root/b.txt" in written
    with pytest.raises(CassetteMissError):
        tape.replay(lambda client: program(client, "look at"))
