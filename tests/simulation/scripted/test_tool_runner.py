"""The SDK's own tool runner, played through its message threads by a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import anthropic
import pytest
from anthropic.types.beta import BetaMessage, BetaMessageParam

from pytest_mnemosyne.simulation import (
    ScriptedClaude,
    has_tool_result,
    offers_tool,
    system_contains,
    tool_use,
)
from tests.simulation.scripted.asking import ask, body, post

_MODEL = "claude-sonnet-5-5"
_QUESTION: Iterable[BetaMessageParam] = [{"role": "user", "content": "What is 1 + 2?"}]
_SYSTEM = "You are a calculator"


@anthropic.beta_tool
def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: One.
        b: The other.
    """
    return str(a + b)


@anthropic.beta_async_tool
async def add_async(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: One.
        b: The other.
    """
    return str(a + b)


def whole(claude: ScriptedClaude) -> list[BetaMessage]:
    with claude.sync_client() as client:
        return list(
            client.beta.messages.tool_runner(
                model=_MODEL, max_tokens=64, system=_SYSTEM, tools=[add], messages=_QUESTION
            )
        )


def streamed(claude: ScriptedClaude) -> list[BetaMessage]:
    with claude.sync_client() as client:
        runner = client.beta.messages.tool_runner(
            model=_MODEL,
            max_tokens=64,
            system=_SYSTEM,
            tools=[add],
            messages=_QUESTION,
            stream=True,
        )
        return [stream.get_final_message() for stream in runner]


def on_a_loop(claude: ScriptedClaude) -> list[BetaMessage]:
    async def main() -> list[BetaMessage]:
        async with claude.client() as client:
            runner = client.beta.messages.tool_runner(
                model=_MODEL, max_tokens=64, system=_SYSTEM, tools=[add_async], messages=_QUESTION
            )
            return [message async for message in runner]

    return asyncio.run(main())


def streamed_on_a_loop(claude: ScriptedClaude) -> list[BetaMessage]:
    async def main() -> list[BetaMessage]:
        async with claude.client() as client:
            runner = client.beta.messages.tool_runner(
                model=_MODEL,
                max_tokens=64,
                system=_SYSTEM,
                tools=[add_async],
                messages=_QUESTION,
                stream=True,
            )
            return [await stream.get_final_message() async for stream in runner]

    return asyncio.run(main())


Run = Callable[[ScriptedClaude], list[BetaMessage]]
in_every_way = pytest.mark.parametrize("run", [whole, streamed, on_a_loop, streamed_on_a_loop])


def name_of_tool(run: Run) -> str:
    return "add" if run in (whole, streamed) else "add_async"


@in_every_way
def test_the_runner_plays_a_script_to_its_end(run: Run) -> None:
    name = name_of_tool(run)
    claude = ScriptedClaude().reply(tool_use(name, a=1, b=2), tool_use(name, a=3, b=4))
    claude.reply("3 and 7")

    first, last = run(claude)

    assert first.stop_reason == "tool_use"
    assert last.content[0].to_dict()["text"] == "3 and 7"
    assert [result.text for result in claude.requests[1].tool_results] == ["3", "7"]
    assert claude.requests[1].body["thread"]["previous_message_id"] == first.id
    claude.assert_all_played()


@in_every_way
def test_what_a_thread_holds_can_be_asked_of_each_of_its_requests(run: Run) -> None:
    name = name_of_tool(run)
    claude = ScriptedClaude()
    calculator = claude.when(system_contains("calculator"), offers_tool(name))
    calculator.when(has_tool_result("3")).reply("It is 3")
    calculator.reply(tool_use(name, a=1, b=2))

    run(claude)

    claude.assert_all_played()
    assert "system" not in claude.requests[1].body
    assert claude.requests[1].first_user_text == "What is 1 + 2?"
    assert claude.requests[1].turn == 2


@in_every_way
def test_a_turn_that_is_paused_goes_on(run: Run) -> None:
    claude = ScriptedClaude().reply("Let me", stop_reason="pause_turn").reply("think.")

    messages = run(claude)

    assert [message.stop_reason for message in messages] == ["pause_turn", "end_turn"]
    assert claude.requests[1].text.endswith("Let me")


@in_every_way
def test_a_turn_that_is_refused_ends_the_run(run: Run) -> None:
    (message,) = run(ScriptedClaude().refuse(explanation="No."))

    assert message.stop_reason == "refusal"


@in_every_way
def test_a_tool_that_does_not_take_its_input_says_so_to_claude(run: Run) -> None:
    wrong = tool_use(name_of_tool(run), a="one", violates_schema=True)
    claude = ScriptedClaude().reply(wrong)
    claude.when(has_tool_result(is_error=True)).reply("I see")

    assert run(claude)[-1].content[0].to_dict()["text"] == "I see"


@in_every_way
def test_a_run_can_be_improvised(run: Run) -> None:
    claude = ScriptedClaude().improvise()

    messages = run(claude)

    assert [message.stop_reason for message in messages] == ["tool_use", "end_turn"]
    assert [result.text for result in claude.requests[1].tool_results] == ["2"]


async def test_a_thread_that_the_api_has_lost_is_begun_again() -> None:
    claude = ScriptedClaude().reply(tool_use("add_async", a=1, b=2))
    claude.fail(404, details={"error_code": "thread_not_found"}).reply("It is 3")

    async with claude.client() as client:
        message = await client.beta.messages.tool_runner(
            model=_MODEL, max_tokens=64, tools=[add_async], messages=_QUESTION
        ).until_done()

    assert message.content[0].to_dict()["text"] == "It is 3"
    assert claude.requests[2].body["thread"] == {"type": "create"}


@pytest.mark.parametrize("name", ["system", "tools"])
def test_what_a_thread_holds_is_not_said_again(name: str) -> None:
    claude = ScriptedClaude().reply("x", times=None)
    made = ask(claude, thread={"type": "create"}).body["id"]
    thread = {"type": "continue", "previous_message_id": made}

    answered = post(claude, body(thread=thread) | {name: []})

    assert answered.status == 400
    assert answered.problem == f"{name}: cannot be set where a thread is continued"
