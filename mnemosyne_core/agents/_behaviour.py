"""What an agent's last answer means, by role.

============  ======================================================================
role          data of a successful result
============  ======================================================================
executor      `{"summary": text, "files": [changed, ...], "memories": [text, ...]}`
orchestrator  the same
reviewer      a `Verdict` as JSON; success means that one was given, whatever it says
optimizer     `{"guidance": [sentence, ...]}`
============  ======================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import JsonValue, ValidationError

from mnemosyne_core._value import Value
from mnemosyne_core.agents._loop import Tally
from mnemosyne_core.agents._tool import ToolContext
from mnemosyne_core.claude import Block, Reply
from mnemosyne_core.errors import UnusableAnswerError
from mnemosyne_core.work import AgentRole, Decision, Gate, Guidance, Verdict, problems_of

ValueT = TypeVar("ValueT", bound=Value)

_EXCERPT_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a role's answer is asked for and understood."""

    output_schema: Block | None
    """JSON schema of the answer; absent: it answers in words."""

    outcome: Callable[[Reply, ToolContext, Tally], JsonValue]
    """The result's data; raises `UnusableAnswerError`."""


def behaviour_of(role: AgentRole) -> Behaviour:
    """The row for `role` in the table above."""
    match role:
        case AgentRole.EXECUTOR | AgentRole.ORCHESTRATOR:
            return Behaviour(output_schema=None, outcome=_work_done)
        case AgentRole.REVIEWER:
            return Behaviour(output_schema=_verdict_schema(), outcome=_verdict)
        case AgentRole.OPTIMIZER:
            return Behaviour(output_schema=_guidance_schema(), outcome=_guidance)


def _work_done(reply: Reply, context: ToolContext, tally: Tally) -> JsonValue:
    summary = reply.text.strip()
    if not summary and tally.tool_calls == tally.tool_errors:
        raise UnusableAnswerError(problem="it says nothing, and nothing was done", excerpt="")
    return {
        "summary": summary,
        "files": list(context.changed),
        "memories": list(context.memories.values()),
    }


def _verdict(reply: Reply, _context: ToolContext, _tally: Tally) -> JsonValue:
    return _parsed(reply, Verdict).model_dump(mode="json")


def _guidance(reply: Reply, _context: ToolContext, _tally: Tally) -> JsonValue:
    return _parsed(reply, Guidance).model_dump(mode="json")


def _parsed(reply: Reply, model: type[ValueT]) -> ValueT:
    try:
        return model.model_validate_json(reply.text)
    except ValidationError as error:
        problem = "; ".join(f"{field}: {what}" for field, what in problems_of(error))
        raise UnusableAnswerError(problem=problem, excerpt=reply.text[:_EXCERPT_CHARS]) from error


# The API's schemas take neither bounds nor open-ended keys, so these are written out
# rather than made from the models; the models check the answer.


def _verdict_schema() -> Block:
    gates: Block = {gate.value: {"type": "boolean"} for gate in Gate}
    return _object(
        decision={"type": "string", "enum": [decision.value for decision in Decision]},
        gates=_object(**gates),
        confidence={"type": "number", "description": "Between 0 and 1."},
        issues=_strings("What has to change; empty exactly if approved."),
        suggested_tests=_strings("Tests that are missing."),
    )


def _guidance_schema() -> Block:
    return _object(guidance=_strings("At least one sentence."))


def _object(**properties: JsonValue) -> Block:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _strings(description: str) -> Block:
    return {"type": "array", "items": {"type": "string"}, "description": description}
