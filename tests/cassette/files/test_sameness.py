"""What a second recording of the same has anew leaves the file as it is, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_mnemosyne.cassette import CassetteFile, Interaction, Recorded, load, write
from pytest_mnemosyne.cassette._sameness import are_same, minted_ids

from ._make import compact, event, interaction

PATH = "https://api.anthropic.com/v1/messages"


def conversation(mark: str, *, streamed: bool = False) -> tuple[Interaction, ...]:
    """A conversation with a tool call; every id that Claude mints ends with `mark`."""
    call = {"type": "tool_use", "id": f"toolu_{mark}", "name": "read", "input": {"id": "file_7"}}
    message = {"id": f"msg_{mark}", "type": "message", "role": "assistant", "content": [call]}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{mark}", "content": "text"}
    asked = [{"role": "user", "content": "Read file_7."}]
    later = [
        *asked,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    headers = (
        ("anthropic-ratelimit-requests-remaining", mark),
        ("content-type", "application/json"),
        ("request-id", f"req_{mark}"),
    )
    answer: Any = message
    if streamed:
        start = {"type": "message_start", "message": {**message, "content": []}}
        block = {"type": "content_block_start", "index": 0, "content_block": {**call, "input": {}}}
        said = {"type": "input_json_delta", "partial_json": '{"id": "file_7"}'}
        answer = b"".join(
            event(str(each["type"]), each)
            for each in (
                start,
                block,
                {"type": "content_block_delta", "index": 0, "delta": said},
                {"type": "message_stop"},
            )
        )
        headers = (headers[0], ("content-type", "text/event-stream"), headers[2])
    thread = {"type": "continue", "previous_message_id": f"msg_{mark}"}
    return (
        interaction({"messages": asked}, answer, response_headers=headers),
        interaction({"messages": later}, {**message, "id": f"msg_{mark}_2", "content": []}),
        interaction({"messages": [], "thread": thread}, {"id": f"msg_{mark}_3"}),
    )


def file(*interactions: Interaction) -> CassetteFile:
    return CassetteFile(interactions=interactions)


@pytest.mark.parametrize("streamed", [False, True])
def test_other_ids_of_claude_s_are_nothing_new(streamed: bool) -> None:
    one, other = conversation("0A", streamed=streamed), conversation("1b", streamed=streamed)

    assert are_same(file(*one), file(*other))


def test_an_id_that_is_taken_for_another_one_is_new() -> None:
    calls = [{"type": "tool_use", "id": f"toolu_{at}", "name": "x", "input": {}} for at in "ab"]
    first = interaction({"messages": []}, {"id": "msg_1", "content": calls})

    def answering(tool: str) -> Interaction:
        result = {"type": "tool_result", "tool_use_id": tool, "content": "done"}
        return interaction({"messages": [{"role": "user", "content": [result]}]})

    assert not are_same(file(first, answering("toolu_a")), file(first, answering("toolu_b")))


@pytest.mark.parametrize(
    ("was", "now"),
    [
        pytest.param(b"Read file_7.", b"Read file_8.", id="question"),
        pytest.param(b'{"id":"file_7"}', b'{"id":"file_8"}', id="input-of-a-tool"),
        pytest.param(b'"name":"read"', b'"name":"write"', id="name-of-a-tool"),
    ],
)
def test_other_words_are_new(was: bytes, now: bytes) -> None:
    def changed(one: Interaction) -> Interaction:
        assert one.response is not None
        return replace(
            one,
            request=replace(one.request, body=one.request.body.replace(was, now)),
            response=replace(one.response, body=one.response.body.replace(was, now)),
        )

    before = conversation("0A")

    assert not are_same(file(*before), file(*map(changed, before)))


def test_dates_that_the_api_gives_are_nothing_new() -> None:
    def batch(day: int, **more: object) -> CassetteFile:
        at = f"2026-11-{day}T10:00:00.5Z"
        return file(interaction({}, {"id": f"msgbatch_{day}", "created_at": at, **more}))

    assert are_same(batch(10), batch(11))
    assert not are_same(batch(10, due="2026-11-10"), batch(11, due="2026-11-11"))


def test_ids_in_an_url_and_in_lines_of_json_are_counted_too() -> None:
    def batch(mark: str) -> CassetteFile:
        lines = [
            {"custom_id": f"q_{at}", "result": {"message": {"id": f"msg_{mark}{at}"}}}
            for at in "ab"
        ]
        results = b"\n".join(map(compact, lines))
        return file(
            interaction({}, {"id": f"msgbatch_{mark}"}),
            interaction(
                {},
                results,
                url=f"https://api.anthropic.com/v1/messages/batches/msgbatch_{mark}/results",
            ),
        )

    assert are_same(batch("1"), batch("2"))


def test_in_which_order_a_run_minted_its_own_ids_is_nothing_new() -> None:
    def named(*numbers: int) -> CassetteFile:
        texts = [f"this-run-work-{number}" for number in numbers]
        return file(*(interaction({"messages": [text]}) for text in texts))

    assert are_same(named(1, 2), named(2, 1))
    assert not are_same(named(1, 2), named(1, 1))


def test_ids_of_scripts_that_begin_anew_are_those_of_the_test_that_names_them() -> None:
    def of_two(first: str, second: str) -> CassetteFile:
        return file(*conversation(first), *conversation(second))

    assert are_same(of_two("1", "1"), of_two("1", "2"))
    assert not are_same(of_two("1", "2"), file(*conversation("1"), *conversation("2")[1:]))


def test_an_id_that_an_answer_repeats_is_the_one_that_was_asked_for() -> None:
    def asking(batch: str, answered: str) -> CassetteFile:
        url = f"https://api.anthropic.com/v1/messages/batches/{batch}"
        return file(
            interaction({}, {"id": batch}),
            interaction({}, {"id": answered}, url=url),
        )

    assert are_same(asking("msgbatch_1", "msgbatch_1"), asking("msgbatch_2", "msgbatch_2"))
    assert not are_same(asking("msgbatch_1", "msgbatch_1"), asking("msgbatch_1", "msgbatch_2"))


def test_which_of_several_tests_has_recorded_last_is_nothing_new() -> None:
    one, other = (Recorded(source="scripted", test=f"test_it.py::test_{name}") for name in "ab")
    there = file(*conversation("1"))

    assert are_same(replace(there, recorded=one), replace(there, recorded=other))
    assert not are_same(replace(there, recorded=one), replace(there, recorded=None))


def test_minted_ids_are_those_of_the_api_in_order() -> None:
    answer = {
        "id": "msg_1",
        "custom_id": "my_own",
        "container": {"id": "container_1", "skills": [{"skill_id": "skill_1"}]},
        "content": [{"type": "tool_use", "id": "toolu_1", "input": {"id": "not_1"}}],
        "user_id": "plain",
        "file_id": 7,
    }

    assert list(minted_ids(json.dumps(answer).encode())) == [
        "msg_1",
        "container_1",
        "skill_1",
        "toolu_1",
    ]
    assert list(minted_ids(b"no json")) == []


def test_the_file_is_left_as_it_is_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "test_x.yaml"
    assert write(path, file(*conversation("0A")))
    before = path.read_bytes()

    assert not write(path, file(*conversation("1b")))
    assert path.read_bytes() == before
    assert write(path, file(*conversation("1b")[:2]))
    assert len(load(path).interactions) == 2
