"""From a scripted reply to the message that goes over the wire.

The message is built with the SDK's own types and refused where they do not know a
field of it, so that a script cannot drift from what the SDK reads.

Counts of tokens are estimates, the same in every run: four bytes of compact JSON are
one token, and there is always at least one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_mnemosyne.simulation.scripted._blocks import Block
from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.simulation.scripted._schema import violations
from pytest_mnemosyne.simulation.scripted._script import Reply
from pytest_mnemosyne.wire import PING, HttpAnswer, JsonObject, compact, message_events, sse_of

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of one answer."""

    suffix: str

    @property
    def message(self) -> str:
        """The message's own."""
        return f"msg_scripted_{self.suffix}"

    @property
    def request(self) -> str:
        """The request's, for the `request-id` header."""
        return f"req_scripted_{self.suffix}"

    def tool_use(self, number: int) -> str:
        """The `number`-th tool call's, from 1."""
        return f"toolu_scripted_{self.suffix}_{number}"

    def signature(self, number: int) -> str:
        """The signature of block `number`, from 1."""
        return f"sig_scripted_{self.suffix}_{number}"


def estimate_tokens(value: object) -> int:
    """How many tokens a value is taken for."""
    return max(1, math.ceil(len(compact(value).encode()) / _BYTES_PER_TOKEN))


def input_tokens(request: ClaudeRequest) -> int:
    """How many tokens a request is taken for: system prompt, tools and conversation."""
    asked: JsonObject = {"messages": list(request.messages)}
    asked |= {name: request.body[name] for name in ("system", "tools") if name in request.body}
    return estimate_tokens(asked)


def message_of(reply: Reply, request: ClaudeRequest, ids: Ids) -> JsonObject:
    """The message that answers a request.

    Raises:
        ScriptError: The reply does not follow the schema that the request asks for, or
            is none that the API could give.
    """
    if reply.checked is not None and request.schema is not None:
        problems = violations(reply.checked, request.schema)
        if problems:
            raise ScriptError(
                "the scripted JSON does not follow the schema of the request: "
                + "; ".join(problems)
            )
    content = list(_filled_in(reply.blocks, ids))
    calls = any(block.get("type") == "tool_use" for block in content)
    message: JsonObject = {
        "model": request.model,
        "id": ids.message,
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": reply.stop_reason or ("tool_use" if calls else "end_turn"),
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**_usage(request, content), **reply.usage},
    }
    return _through_sdk(message, beta=request.beta)


def _filled_in(blocks: tuple[Block, ...], ids: Ids) -> Iterator[JsonObject]:
    calls = 0
    for number, block in enumerate(blocks, start=1):
        match block.fields:
            case {"type": "tool_use"}:
                calls += 1
                made = {"id": ids.tool_use(calls), "caller": {"type": "direct"}}
                yield {"type": "tool_use", **made, **block.fields}
            case {"type": "thinking"}:
                yield {"signature": ids.signature(number), **block.fields}
            case fields:
                yield dict(fields)


def _usage(request: ClaudeRequest, content: list[JsonObject]) -> JsonObject:
    return {
        "input_tokens": input_tokens(request),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": sum(map(estimate_tokens, map(_without_ids, content))) or 1,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _without_ids(block: Mapping[str, object]) -> JsonObject:
    return {
        name: value for name, value in block.items() if name not in ("id", "signature", "caller")
    }


def _through_sdk(message: JsonObject, *, beta: bool) -> JsonObject:
    # The SDK takes more than a second to import: only an answer needs it.
    from anthropic.types import Message
    from anthropic.types.beta import BetaMessage
    from pydantic import BaseModel, ValidationError

    kind: type[BaseModel] = BetaMessage if beta else Message
    try:
        built = kind.model_validate(message)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, finding['loc']))}: {finding['msg']}" for finding in error.errors()
        )
        raise ScriptError(
            f"the scripted reply is no message that the SDK can read: {found}"
        ) from error
    unknown = tuple(_unknown_fields(built, ""))
    if unknown:
        raise ScriptError(
            f"the scripted reply has fields that the SDK's types do not know: {', '.join(unknown)}"
        )
    return built.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _unknown_fields(value: object, place: str) -> Iterator[str]:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        yield from (f"{place}{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from _unknown_fields(getattr(value, name, None), f"{place}{name}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_fields(item, f"{place}{index}.")


def json_answer(body: JsonObject, ids: Ids) -> HttpAnswer:
    """A body in one piece."""
    headers = (("content-type", "application/json"), ("request-id", ids.request))
    return HttpAnswer(status=200, headers=headers, chunks=(compact(body).encode(),))


def stream_answer(message: JsonObject, ids: Ids) -> HttpAnswer:
    """A message as a stream, an event a piece, with the ping that the API sends early on."""
    start, first_block, *rest = [sse_of(event).encode() for event in message_events(message)]
    return HttpAnswer(
        status=200,
        headers=(
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("request-id", ids.request),
        ),
        chunks=(start, first_block, PING.encode(), *rest),
    )
