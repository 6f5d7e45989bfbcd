from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anthropic
import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation import (
    Block,
    ClaudeRequest,
    Condition,
    Failure,
    Reply,
    ScriptedClaude,
    ScriptNotPlayedError,
    asks_for_json,
    has_no_tool_result,
    has_tool_result,
    last_user_text_contains,
    model_is,
    offers_tool,
    on_turn,
    system_contains,
    text,
    text_contains,
    tool_use,
)
from tests.simulation.scripted.asking import ask, body, post

_AFTER_A_TOOL = [
    {"role": "user", "content": "Count the files"},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {"path": "src"}}],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "is_error": True,
                "content": [{"type": "text", "text": "no such folder"}],
            }
        ],
    },
]


def test_answers_without_conditions_come_in_the_order_of_the_script() -> None:
    claude = ScriptedClaude().reply("one").reply("two")

    assert [ask(claude).text, ask(claude).text] == ["one", "two"]


def test_an_answer_under_conditions_goes_to_the_request_that_it_is_for() -> None:
    claude = ScriptedClaude()
    claude.reply("anything else")
    claude.when(system_contains("review")).reply("verdict")

    assert ask(claude, system="You review code").text == "verdict"
    assert ask(claude, system="You write code").text == "anything else"


def test_answers_under_the_same_conditions_come_in_order() -> None:
    claude = ScriptedClaude()
    claude.when(text_contains("a")).reply("first").reply("second")

    assert [ask(claude, "a").text, ask(claude, "a").text] == ["first", "second"]


def test_conditions_can_be_narrowed_down() -> None:
    claude = ScriptedClaude()
    about_a = claude.when(text_contains("a"))
    about_a.when(text_contains("b")).reply("both")
    about_a.reply("only a")

    assert ask(claude, "just a").text == "only a"
    assert ask(claude, "a and b").text == "both"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        pytest.param(system_contains("careful"), True, id="system"),
        pytest.param(system_contains("Count"), False, id="system-is-not-the-user"),
        pytest.param(last_user_text_contains("Count"), True, id="last-said"),
        pytest.param(last_user_text_contains("no such"), False, id="a-result-is-not-said"),
        pytest.param(text_contains("no such folder"), True, id="text-of-a-result"),
        pytest.param(text_contains('"path": "src"'), True, id="text-of-a-call"),
        pytest.param(has_tool_result(), True, id="any-result"),
        pytest.param(has_tool_result("folder", is_error=True), True, id="failed-result"),
        pytest.param(has_tool_result("folder", is_error=False), False, id="no-good-result"),
        pytest.param(has_no_tool_result(), False, id="there-is-a-result"),
        pytest.param(offers_tool("ls"), True, id="tool"),
        pytest.param(offers_tool("rm"), False, id="no-such-tool"),
        pytest.param(on_turn(2), True, id="second-turn"),
        pytest.param(on_turn(1), False, id="not-the-first-turn"),
        pytest.param(asks_for_json(), True, id="schema"),
        pytest.param(model_is("claude-sonnet-5-5"), True, id="model"),
    ],
)
def test_a_condition_looks_at_the_request(condition: Condition, holds: bool) -> None:
    fields = body(
        messages=_AFTER_A_TOOL,
        system=[{"type": "text", "text": "Be"}, {"type": "text", "text": "careful"}],
        tools=[{"name": "ls", "input_schema": {"type": "object"}}],
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    claude = ScriptedClaude()
    claude.when(condition).reply("yes")
    claude.reply("no")

    assert post(claude, fields).text == ("yes" if holds else "no")


def test_a_request_can_be_looked_at_afterwards() -> None:
    claude = ScriptedClaude().reply("done")

    headers = (("authorization", "Bearer secret"), ("x-mnemosyne-agent", "executor/sub-1"))
    post(claude, body(messages=_AFTER_A_TOOL, stream=True), headers=headers)

    (request,) = claude.requests
    assert (request.model, request.stream, request.max_tokens) == ("claude-sonnet-5-5", True, 64)
    assert (request.turn, request.agent) == (2, "executor/sub-1")
    assert request.first_user_text == request.last_user_text == "Count the files"
    assert [(result.text, result.is_error) for result in request.tool_results] == [
        ("no such folder", True)
    ]
    assert request.headers["authorization"] == "<redacted>"
    assert "secret" not in repr(request)


def test_a_step_can_be_played_several_times() -> None:
    claude = ScriptedClaude().reply("again", times=2).reply("over")

    assert [ask(claude).text for _ in range(3)] == ["again", "again", "over"]


def test_a_step_for_any_number_of_times_is_never_pending() -> None:
    claude = ScriptedClaude().reply("always", times=None)

    claude.assert_all_played()

    assert [ask(claude).text for _ in range(3)] == ["always"] * 3


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param("just text", ["just text"], id="text"),
        pytest.param(text("a block"), ["a block"], id="block"),
        pytest.param(["two", text("blocks")], ["two", "blocks"], id="list"),
        pytest.param({"type": "text", "text": "json"}, ["json"], id="json"),
        pytest.param(Reply(blocks=(Block({"type": "text", "text": "r"}),)), ["r"], id="reply"),
    ],
)
def test_a_function_can_make_the_answer(made: object, said: list[str]) -> None:
    claude = ScriptedClaude().answer(lambda _: made)

    answered = ask(claude)

    assert [block["text"] for block in answered.body["content"]] == said


def test_a_function_can_fail_or_leave_the_request_to_others() -> None:
    def only_long(request: ClaudeRequest) -> Failure | None:
        return Failure(status=413) if len(request.text) > 10 else None

    claude = ScriptedClaude().answer(only_long).reply("short enough")

    assert ask(claude, "x" * 11).status == 413
    assert ask(claude, "x").text == "short enough"


@pytest.mark.virtual_time
async def test_an_async_function_can_take_its_time_to_make_the_answer() -> None:
    async def slowly(request: ClaudeRequest) -> str:
        await asyncio.sleep(5)
        return f"{request.text}!"

    claude = ScriptedClaude().answer(slowly)

    async with claude.client() as client:
        said = await asyncio.gather(*(say(client, name) for name in "ab"))

    assert said == ["a!", "b!"]
    assert asyncio.get_running_loop().time() == 5


@pytest.mark.virtual_time
async def test_while_an_async_function_thinks_its_turn_counts_as_played() -> None:
    thinking_on: list[str] = []

    async def slowly(request: ClaudeRequest) -> str | None:
        thinking_on.append(request.text)
        await asyncio.sleep(5)
        return None if request.text == "a" else "made"

    claude = ScriptedClaude().answer(slowly, times=1).reply("written", times=None)

    async with claude.client() as client:
        said = await asyncio.gather(*(say(client, name) for name in "ab"))
        later = await say(client, "c")

    # "b" did not wait for the function; "a" was left to the next step, which freed its turn.
    assert (said, later) == (["written", "written"], "made")
    assert thinking_on == ["a", "c"]


def test_an_async_function_that_waits_for_nothing_needs_no_loop() -> None:
    async def at_once(request: ClaudeRequest) -> str:
        return request.text

    assert ask(ScriptedClaude().answer(at_once), "said").text == "said"


def test_a_function_that_waits_where_there_is_no_loop_is_a_mistake_that_says_so() -> None:
    async def waits(_: ClaudeRequest) -> str:
        await asyncio.sleep(0)
        return "never"

    claude = ScriptedClaude().answer(waits)

    assert ask(claude).status == 400
    assert "answered without an event loop" in claude.unscripted[0].reason
    assert "step 1: answer (" in claude.unscripted[0].reason


async def say(client: anthropic.AsyncAnthropic, said: str) -> str:
    message = await client.messages.create(
        model="claude-sonnet-5-5", max_tokens=64, messages=[{"role": "user", "content": said}]
    )
    return str(message.content[0].to_dict()["text"])


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        pytest.param(
            system_contains("review"),
            "system_contains('review') does not hold: the system prompt is \"\"",
            id="system",
        ),
        pytest.param(
            last_user_text_contains("Write"),
            'does not hold: the user said last "Count the files"',
            id="last-said",
        ),
        pytest.param(text_contains("docs"), 'does not hold: said was "Count the fi', id="text"),
        pytest.param(
            has_tool_result("3 files"),
            'does not hold: the last message gives back an error "no such folder"',
            id="result",
        ),
        pytest.param(has_no_tool_result(), "gives back an error", id="no-result"),
        pytest.param(offers_tool("rm"), "does not hold: the tools are none", id="tool"),
        pytest.param(on_turn(1), "on_turn(1) does not hold: it is turn 2", id="turn"),
        pytest.param(asks_for_json(), "does not hold: the request names no schema", id="schema"),
        pytest.param(model_is("m"), "does not hold: asked is claude-sonnet-5-5", id="model"),
    ],
)
def test_a_condition_that_does_not_hold_says_what_it_saw(condition: Condition, reason: str) -> None:
    claude = ScriptedClaude()
    claude.when(condition).reply("x")

    post(claude, body(messages=_AFTER_A_TOOL))

    assert reason in claude.unscripted[0].misfits[0]


def test_the_nearest_step_is_named_first_with_each_condition_that_does_not_hold() -> None:
    claude = ScriptedClaude()
    claude.when(system_contains("a"), text_contains("b")).reply("far")
    claude.when(system_contains("You"), text_contains("c")).reply("near")
    claude.when(text_contains("Hi")).reply("over")
    claude.answer(lambda _: None, times=1)
    ask(claude, "Hi", system="You")

    ask(claude, "Hi", system="You")

    (finding,) = claude.unscripted
    assert [text.partition(":")[0] for text in finding.misfits] == [
        "step 4",
        "step 2",
        "step 1",
        "step 3",
    ]
    assert "its function left the request to the next step" in finding.misfits[0]
    assert "system_contains" not in finding.misfits[1].partition("does not hold")[2]
    assert "; text_contains('b') does not hold" in finding.misfits[2]
    assert finding.misfits[3].endswith("it is used up")
    assert f"the nearest was {finding.misfits[0]}" in str(finding)


def test_an_unscripted_request_is_refused_and_noted_with_what_was_left() -> None:
    claude = ScriptedClaude()
    claude.when(text_contains("tests")).reply("they pass")

    answered = ask(claude, "Write some docs", system="You are a writer")

    assert answered.status == 400
    assert answered.headers["x-should-retry"] == "false"
    (finding,) = claude.unscripted
    assert "Write some docs" in str(finding)
    assert "no step of the script is for this request" in str(finding)
    assert finding.pending == ("step 1: reply (text they pass) when text_contains('tests')",)
    assert str(finding) in answered.problem


def test_a_script_that_was_not_played_fails_the_check() -> None:
    claude = ScriptedClaude().reply("one").reply("two", times=3)
    ask(claude)
    ask(claude)
    claude.when(lambda request: request.turn > 5).fail(529)

    with pytest.raises(ScriptNotPlayedError) as caught:
        claude.assert_all_played()

    assert isinstance(caught.value, AssertionError)
    assert caught.value.pending[0] == "step 2: reply (text two), 1 of 3 times"
    assert caught.value.pending[1].startswith("step 3: fail (529) when ")
    assert "in the script, but never asked for: step 2" in str(caught.value)


def test_a_played_script_passes_the_check() -> None:
    claude = ScriptedClaude().reply("one")
    ask(claude)

    claude.assert_all_played()

    assert claude.pending() == ()


def raises(_: ClaudeRequest) -> bool:
    raise KeyError("system")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        pytest.param(
            lambda claude: claude.answer(raises), "its function raised KeyError", id="answer"
        ),
        pytest.param(
            lambda claude: claude.when(raises).reply("x"),
            "its condition raises (line",
            id="condition",
        ),
        pytest.param(lambda claude: claude.answer(lambda _: 7), "got 7", id="no-answer"),
        pytest.param(lambda claude: claude.answer(lambda _: []), "without any block", id="nothing"),
        pytest.param(
            lambda claude: claude.answer(lambda _: tool_use("a", x=1, partial_json="{")),
            "an input or a partial_json, got both",
            id="input-twice",
        ),
        pytest.param(
            lambda claude: claude.reply({"type": "hologram"}),
            "no message that the SDK can read: content.0",
            id="block",
        ),
        pytest.param(
            lambda claude: claude.reply({"type": "text", "text": "x", "colour": "red"}),
            "fields that the SDK's types do not know: content.0.colour",
            id="field",
        ),
        pytest.param(
            lambda claude: claude.reply("x", stop_reason="bored"), "stop_reason", id="stop-reason"
        ),
    ],
)
def test_a_mistake_in_the_script_is_noted_with_the_step(
    write: Callable[[ScriptedClaude], object], reason: str
) -> None:
    claude = ScriptedClaude()
    write(claude)

    assert ask(claude).status == 400

    (finding,) = claude.unscripted
    assert finding.reason.startswith("step 1: ")
    assert reason in finding.reason


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        pytest.param(lambda claude: claude.reply(), "at least one block", id="empty"),
        pytest.param(lambda claude: claude.reply(7), "got 7", id="no-content"),
        pytest.param(lambda claude: claude.reply("x", times=0), "times is 1 or more", id="times"),
        pytest.param(lambda claude: claude.fail(200), "between 400 and 599", id="status"),
        pytest.param(
            lambda claude: claude.fail(429, retry_after=-1), "number of seconds", id="retry-after"
        ),
    ],
)
def test_what_claude_cannot_say_is_refused_when_it_is_written(
    write: Callable[[ScriptedClaude], object], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        write(ScriptedClaude())


def test_ids_tell_the_place_in_the_script() -> None:
    claude = ScriptedClaude()
    claude.reply(tool_use("a"), tool_use("b", id="toolu_own"), tool_use("c"))
    claude.when(text_contains("second")).reply("two")

    second, first = ask(claude, "second"), ask(claude)

    assert first.body["id"] == "msg_scripted_1"
    assert [block["id"] for block in first.body["content"]] == [
        "toolu_scripted_1_1",
        "toolu_own",
        "toolu_scripted_1_3",
    ]
    assert second.body["id"] == "msg_scripted_2"
    assert second.headers["request-id"] == "req_scripted_2"


def test_ids_of_a_step_played_often_depend_on_the_request_not_on_the_order() -> None:
    def ids(order: str) -> dict[str, object]:
        claude = ScriptedClaude().reply("x", times=None)
        return {said: ask(claude, said).body["id"] for said in order}

    assert ids("abc") == ids("cab")
    assert len(set(ids("abc").values())) == 3


def test_the_same_request_twice_gets_two_ids() -> None:
    claude = ScriptedClaude().reply("x", times=2)

    first, second = ask(claude).body["id"], ask(claude).body["id"]

    assert second == f"{first}_2"


def test_concurrent_requests_get_their_own_answers() -> None:
    claude = ScriptedClaude()
    for number in range(40):
        claude.when(last_user_text_contains(f"<{number}>")).reply(f"answer {number}")

    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(lambda number: ask(claude, f"<{number}>"), reversed(range(40))))

    assert [answered.text for answered in answers] == [f"answer {n}" for n in reversed(range(40))]
    assert {answered.body["id"] for answered in answers} == {
        f"msg_scripted_{place}" for place in range(1, 41)
    }
    claude.assert_all_played()
