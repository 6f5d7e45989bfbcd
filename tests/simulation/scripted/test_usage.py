"""What an answer says that it has cost."""

from __future__ import annotations

import pytest

from pytest_mnemosyne.simulation import (
    ScriptedClaude,
    redacted_thinking,
    server_tool_use,
    thinking,
)
from pytest_mnemosyne.wire import JsonObject
from tests.simulation.scripted.asking import body, post

_MARK = {"type": "ephemeral"}
_LONG = {"type": "text", "text": "a long prompt " * 100, "cache_control": _MARK}
_MORE = {"type": "text", "text": "and more of it " * 100, "cache_control": _MARK}


def usage(claude: ScriptedClaude, fields: JsonObject) -> JsonObject:
    found: JsonObject = post(claude, fields).body["usage"]
    return found


def cached(found: JsonObject) -> tuple[int, int]:
    return found["cache_creation_input_tokens"], found["cache_read_input_tokens"]


@pytest.fixture
def claude() -> ScriptedClaude:
    return ScriptedClaude().reply("x", times=None)


def test_without_a_breakpoint_nothing_is_cached(claude: ScriptedClaude) -> None:
    assert [cached(usage(claude, body("x" * 9000))) for _ in range(2)] == [(0, 0), (0, 0)]


def test_a_prompt_is_written_once_and_read_from_then_on(claude: ScriptedClaude) -> None:
    first = usage(claude, body("one", system=[_LONG]))
    second = usage(claude, body("two", system=[_LONG]))

    written, read = cached(first)
    assert (written > 300, read) == (True, 0)
    assert cached(second) == (0, written)
    # The question comes after the breakpoint.
    assert 0 < second["input_tokens"] < 30


def test_all_kinds_of_input_add_up_to_what_is_counted(claude: ScriptedClaude) -> None:
    fields = body("one", system=[_LONG])
    usage(claude, fields)
    counted = post(claude, fields, path="/v1/messages/count_tokens").body["input_tokens"]

    found = usage(claude, fields)

    assert found["input_tokens"] + sum(cached(found)) == counted


def test_a_conversation_reads_what_it_has_written_and_writes_what_is_new(
    claude: ScriptedClaude,
) -> None:
    first = usage(claude, body(messages=[{"role": "user", "content": [_LONG]}]))
    plain = {name: value for name, value in _LONG.items() if name != "cache_control"}
    grown = [
        {"role": "user", "content": [plain]},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": [_MORE]},
    ]

    second = usage(claude, body(messages=grown))

    assert second["cache_read_input_tokens"] == cached(first)[0]
    assert second["cache_creation_input_tokens"] > 300


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"system": [_MORE]}, id="another-prompt"),
        pytest.param({"system": [_LONG], "model": "claude-opus-5-5"}, id="another-model"),
        pytest.param({"system": [_LONG], "tools": [{"name": "ls"}]}, id="tools-come-first"),
    ],
)
def test_what_is_not_the_same_from_the_beginning_is_not_read(
    claude: ScriptedClaude, changed: JsonObject
) -> None:
    usage(claude, body(system=[_LONG]))

    assert usage(claude, body() | changed)["cache_read_input_tokens"] == 0


def test_a_breakpoint_for_the_whole_request_lies_at_its_end(claude: ScriptedClaude) -> None:
    fields = body("x" * 4000, cache_control={"type": "ephemeral", "ttl": "1h"})

    first, second = usage(claude, fields), usage(claude, fields)

    assert first["cache_creation"]["ephemeral_1h_input_tokens"] == cached(first)[0] > 900
    assert first["cache_creation"]["ephemeral_5m_input_tokens"] == 0
    assert cached(second) == (0, cached(first)[0])


def test_two_clients_of_two_scripts_share_no_cache() -> None:
    found = [usage(ScriptedClaude().reply("x"), body(system=[_LONG])) for _ in range(2)]

    assert found[0] == found[1]


def test_thinking_is_counted_on_its_own() -> None:
    claude = ScriptedClaude().reply(thinking("Hm." * 40), redacted_thinking("?" * 40), "Yes")

    found = usage(claude, body())

    thought = found["output_tokens_details"]["thinking_tokens"]
    assert 40 < thought < found["output_tokens"]


def test_an_answer_without_a_thought_has_no_details(claude: ScriptedClaude) -> None:
    assert "output_tokens_details" not in usage(claude, body())


def test_the_tools_that_the_api_runs_are_counted() -> None:
    claude = ScriptedClaude().reply(
        server_tool_use("web_search", query="a"), server_tool_use("web_search", query="b")
    )

    counted = usage(claude, body())["server_tool_use"]
    assert counted == {"web_search_requests": 2, "web_fetch_requests": 0}
