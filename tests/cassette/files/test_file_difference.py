"""What differs between two recordings of the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import CassetteFile, Interaction, Request, Response, compare_files

EXECUTOR, REVIEWER = Lane("executor"), Lane("reviewer")
MODEL = "claude-sonnet-5-5"


def call(
    asked: str | list[dict[str, Any]],
    answer: str | list[dict[str, Any]] = "Fine.",
    lane: Lane | None = EXECUTOR,
    **more: object,
) -> Interaction:
    """One call; `asked` is its last message or all of them."""
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    content = [{"type": "text", "text": answer}] if isinstance(answer, str) else answer
    answered = {
        "id": "msg_0123456789",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 5},
        **more,
    }
    body = {"model": MODEL, "max_tokens": 64, "messages": messages}
    return Interaction(
        request=Request(method="POST", url="/v1/messages", body=json.dumps(body).encode()),
        response=Response(status=200, body=json.dumps(answered).encode()),
        lane=lane,
    )


def file(*interactions: Interaction) -> CassetteFile:
    return CassetteFile(interactions=interactions)


def test_equal_recordings_do_not_differ() -> None:
    old = file(call("one"), call("two"))
    new = file(*(replace(each, took_s=9.0) for each in old.interactions))

    assert not compare_files(old, new)


def test_a_changed_prompt_is_one_changed_call() -> None:
    old = file(call("Write a function that adds"), call("Test it well, please"))
    new = file(call("Write a class that adds"), call("Test it well, please"))

    difference = compare_files(old, new)

    assert difference.has_drifted
    assert difference.lines() == [
        "executor:",
        f'  1. POST /v1/messages ({MODEL}, 1 message) "Write a class that adds"',
        '     asked: messages[0] (user): "Write a [-function-]{+class+} that adds"',
    ]


def test_a_call_that_was_put_in_between_changes_no_other() -> None:
    old = file(call("Begin with the plan"), call("End with a summary"))
    new = file(call("Begin with the plan"), call("!"), call("End with a summary"))

    (difference,) = compare_files(old, new).calls

    assert (difference.old, difference.new) == (None, 2)
    assert difference.lines() == [f'2. POST /v1/messages ({MODEL}, 1 message) "!" is new']


def test_a_call_that_is_gone_is_told_with_its_old_number() -> None:
    old = file(call("one"), call("two", lane=REVIEWER))

    assert compare_files(old, file(call("one"))).lines() == [
        "reviewer:",
        f'  2. POST /v1/messages ({MODEL}, 1 message) "two" is gone',
    ]


def test_other_words_are_told_but_are_no_drift() -> None:
    difference = compare_files(file(call("one", "Yes.")), file(call("one", "No.")))

    assert not difference.has_drifted
    assert difference.lines()[-1] == '     words: content[0]: "[-Yes-]{+No+}."'
    (changed,) = difference.calls
    assert changed.lines(words=False) == changed.lines()[:1]


def test_another_stop_reason_is_drift() -> None:
    difference = compare_files(file(call("one")), file(call("one", stop_reason="max_tokens")))

    assert difference.has_drifted
    assert difference.lines()[-1] == "     stop reason: [-end_turn-] {+max_tokens+}"


def test_equal_calls_in_another_order_have_moved() -> None:
    difference = compare_files(file(call("one"), call("two")), file(call("two"), call("one")))

    assert difference
    assert not difference.has_drifted
    assert difference.lines() == ["executor:", "  the calls stand in another order"]


def conversation(said: str, tool_id: str) -> tuple[Interaction, Interaction]:
    """Two turns: the second repeats what Claude said in the first, and the id it gave."""
    content: list[dict[str, Any]] = [
        {"type": "text", "text": said},
        {"type": "tool_use", "id": tool_id, "name": "ls", "input": {}},
    ]
    result = {"type": "tool_result", "tool_use_id": tool_id, "content": "a.py"}
    first = {"role": "user", "content": "What is there?"}
    return (
        call([first], content, stop_reason="tool_use"),
        call(
            [
                first,
                {"role": "assistant", "content": content},
                {"role": "user", "content": [result]},
            ]
        ),
    )


def test_what_claude_said_is_told_once_and_not_again_in_each_later_request() -> None:
    old = file(*conversation("Let me look.", "toolu_0123456789"))
    new = file(*conversation("I shall look.", "toolu_9876543210"))

    (difference,) = compare_files(old, new).calls

    assert difference.old == 1
    assert not difference.request
    assert [str(each) for each in difference.answer] == [
        'words: content[0]: "[-Let-]{+I+} [-me-]{+shall+} look."'
    ]


def test_a_changed_tool_result_is_a_changed_request() -> None:
    old = file(*conversation("Let me look.", "toolu_0123456789"))
    first, second = conversation("I shall look.", "toolu_9876543210")
    body = second.request.body.replace(b"a.py", b"b.py")
    new = file(first, replace(second, request=replace(second.request, body=body)))

    difference = compare_files(old, new).calls[-1]

    assert [str(each) for each in difference.request] == ['messages[2] (user): "[-a-]{+b+}.py"']


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[1]", b'{"messages": 3}'])
def test_bodies_of_any_kind_are_compared(body: bytes) -> None:
    (plain,) = file(call("one")).interactions
    odd = replace(plain, request=replace(plain.request, body=body))

    assert not compare_files(file(odd), file(odd))
    assert compare_files(file(odd), file(plain))
