"""The tool loop: turns with Claude until it is done, or until its turns are used up.

=============================  ==================================================
stop reason                    what happens
=============================  ==================================================
end_turn, stop_sequence        the answer is the outcome
tool_use                       the calls are answered, the next turn follows
pause_turn                     Claude goes on from where it is in the next turn
max_tokens                     AnswerTooLongError
model_context_window_exceeded  AnswerTooLongError
refusal                        RefusalError
anything else                  UnusableAnswerError
=============================  ==================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from mnemosyne_core.agents._tool import AnyTool, ToolContext, answer_calls
from mnemosyne_core.claude import Block, ClaudeClient, Prompt, Reply, collect
from mnemosyne_core.errors import (
    AnswerTooLongError,
    IterationLimitError,
    RefusalError,
    UnusableAnswerError,
)
from mnemosyne_core.work import Usage


@dataclass(slots=True)
class Tally:
    """What one attempt has used so far; also right when the attempt fails."""

    usage: Usage = field(default_factory=Usage)
    turns: int = 0
    tool_calls: int = 0
    tool_errors: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """The counts, as a work result names them."""
        return {
            "turns": self.turns,
            "tool_calls": self.tool_calls,
            "tool_errors": self.tool_errors,
        }


async def converse(
    client: ClaudeClient,
    prompt: Prompt,
    *,
    tools: Sequence[AnyTool],
    context: ToolContext,
    tally: Tally,
    max_turns: int,
    stream: bool = False,
) -> Reply:
    """Claude's last answer, after all the tool calls that led to it.

    Args:
        client: Who puts the prompts to Claude.
        prompt: The first prompt; later ones add to its messages.
        tools: What Claude may call.
        context: What the tools share.
        tally: Counts along, turn by turn.
        max_turns: Bound on the turns.
        stream: Whether answers are asked for as streams.

    Raises:
        ClaudeError: A turn failed.
        AgentError: Claude came to no usable answer, as in the table above.
    """
    for turn in range(1, max_turns + 1):
        reply = await (_streamed(client, prompt) if stream else client.send(prompt))
        tally.turns = turn
        tally.usage += reply.usage
        match reply.stop_reason:
            case "end_turn" | "stop_sequence":
                return reply
            case "tool_use" if turn < max_turns:
                results = await _answer(reply, tools, context, tally)
                prompt = _continued(prompt, reply, {"role": "user", "content": list(results)})
            case "pause_turn":
                prompt = _continued(prompt, reply)
            case "tool_use":
                break
            case _:
                raise _no_answer(reply, prompt)
    raise IterationLimitError(limit=max_turns)


async def _streamed(client: ClaudeClient, prompt: Prompt) -> Reply:
    async with aclosing(client.stream(prompt)) as events:
        return await collect(events)


async def _answer(
    reply: Reply, tools: Sequence[AnyTool], context: ToolContext, tally: Tally
) -> tuple[Block, ...]:
    calls = reply.tool_uses
    if not calls:
        raise UnusableAnswerError(problem="it stops for a tool but calls none", excerpt=reply.text)
    tally.tool_calls += len(calls)
    outcomes = await answer_calls(calls, tools, context)
    tally.tool_errors += outcomes.errors
    return outcomes.results


def _continued(prompt: Prompt, reply: Reply, *messages: Block) -> Prompt:
    # Every block goes back as it came: thinking is signed, server tools have results of their own.
    said: Block = {"role": "assistant", "content": list(reply.content)}
    return replace(prompt, messages=(*prompt.messages, said, *messages))


def _no_answer(reply: Reply, prompt: Prompt) -> Exception:
    match reply.stop_reason:
        case "max_tokens" | "model_context_window_exceeded" as reason:
            return AnswerTooLongError(stop_reason=reason, max_tokens=prompt.max_tokens)
        case "refusal":
            details = reply.stop_details or {}
            explanation = details.get("explanation") or details.get("category") or reply.text
            return RefusalError(explanation=str(explanation))
        case unknown:
            problem = f"it stops for an unknown reason, {unknown!r}"
            return UnusableAnswerError(problem=problem, excerpt=reply.text[:200])
