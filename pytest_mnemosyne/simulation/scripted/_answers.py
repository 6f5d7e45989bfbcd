"""From a scripted reply to the message that goes over the wire.

The message is built with the SDK's own types and refused where they do not know a
field of it, so that a script cannot drift from what the SDK reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from pytest_mnemosyne.simulation.scripted._blocks import Block
from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.simulation.scripted._schema import violations
from pytest_mnemosyne.simulation.scripted._script import Failure, Reply
from pytest_mnemosyne.simulation.scripted._usage import PromptCache, usage_of
from pytest_mnemosyne.wire import (
    PING,
    HttpAnswer,
    JsonObject,
    compact,
    error_answer,
    mapping,
    message_events,
    sse_of,
)

if TYPE_CHECKING:
    from pydantic import BaseModel


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

    def server_tool_use(self, number: int) -> str:
        """That of the `number`-th call of a server's tool, from 1."""
        return f"srvtoolu_scripted_{self.suffix}_{number}"

    def signature(self, number: int) -> str:
        """The signature of block `number`, from 1."""
        return f"sig_scripted_{self.suffix}_{number}"


# --- the message -----------------------------------------------------------------------


def message_of(reply: Reply, request: ClaudeRequest, ids: Ids, cache: PromptCache) -> JsonObject:
    """The message that answers a request.

    A tool call that is broken on purpose has `partial_json` beside its empty input.

    Raises:
        ScriptError: The reply does not follow a schema of the request, or is none that
            the API could give.
    """
    _check_schemas(reply, request)
    content = list(_filled_in(reply.blocks, ids))
    message: JsonObject = {
        "model": request.model,
        "id": ids.message,
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": _stop_reason(reply, request),
        "stop_sequence": reply.stop_sequence,
        "stop_details": reply.stop_details,
        "usage": {**usage_of(request, content, cache), **reply.usage},
    }
    broken = {
        index: block.pop("partial_json")
        for index, block in enumerate(content)
        if "partial_json" in block
    }
    built = _through_sdk(message, beta=request.beta)
    for index, text in broken.items():
        built["content"][index]["partial_json"] = text
    return built


def _check_schemas(reply: Reply, request: ClaudeRequest) -> None:
    if reply.checked is not None and request.schema is not None:
        problems = violations(reply.checked, request.schema)
        if problems:
            raise ScriptError(
                "the scripted JSON does not follow the schema of the request: "
                + "; ".join(problems)
            )
    schemas = {tool.get("name"): tool.get("input_schema") for tool in request.tool_definitions}
    for block in reply.blocks:
        call = block.fields
        schema = mapping(schemas.get(call.get("name")))
        if call["type"] != "tool_use" or block.violates_schema or "partial_json" in call:
            continue
        problems = violations(call.get("input"), dict(schema))
        if problems:
            raise ScriptError(
                f"the call of {call['name']!r} does not follow the tool's schema: "
                f"{'; '.join(problems)}; where that is meant, say "
                "tool_use(..., violates_schema=True)"
            )


def _stop_reason(reply: Reply, request: ClaudeRequest) -> str:
    met = reply.stop_sequence
    if met is not None and met not in (request.body.get("stop_sequences") or ()):
        raise ScriptError(
            f"Claude stops at a sequence that the request names, and {met!r} is none of "
            f"{request.body.get('stop_sequences') or []!r}"
        )
    if reply.stop_reason is not None:
        return reply.stop_reason
    if met is not None:
        return "stop_sequence"
    calls = any(block.kind == "tool_use" for block in reply.blocks)
    return "tool_use" if calls else "end_turn"


def _filled_in(blocks: tuple[Block, ...], ids: Ids) -> Iterator[JsonObject]:
    calls = server_calls = 0
    called = None
    for number, block in enumerate(blocks, start=1):
        match block.fields:
            case {"type": "tool_use"}:
                calls += 1
                made = {"id": ids.tool_use(calls), "caller": {"type": "direct"}}
                yield {"type": "tool_use", **made, **block.fields}
            case {"type": "server_tool_use"}:
                server_calls += 1
                made = {"id": ids.server_tool_use(server_calls), "caller": {"type": "direct"}}
                filled = {"type": "server_tool_use", **made, **block.fields}
                called = filled["id"]
                yield filled
            case {"type": str(kind)} if kind.endswith("_tool_result"):
                yield {"type": kind, "tool_use_id": called, **block.fields}
            case {"type": "thinking"}:
                yield {"signature": ids.signature(number), **block.fields}
            case fields:
                yield dict(fields)


def _through_sdk(message: JsonObject, *, beta: bool) -> JsonObject:
    # The SDK takes more than a second to import: only an answer needs it.
    from anthropic.types import Message
    from anthropic.types.beta import BetaMessage
    from pydantic import ValidationError

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


def _unknown_fields(value: BaseModel | list[object], place: str) -> Iterator[str]:
    from pydantic import BaseModel

    parts: Iterable[tuple[object, object]]
    if isinstance(value, list):
        parts = enumerate(value)
    else:
        yield from (f"{place}{name}" for name in value.model_extra or ())
        parts = vars(value).items()
    for name, part in parts:
        # Nearly all are plain values, in which nothing can be unknown.
        if isinstance(part, BaseModel | list):
            yield from _unknown_fields(part, f"{place}{name}.")


# --- over HTTP -------------------------------------------------------------------------


def json_answer(body: JsonObject, ids: Ids) -> HttpAnswer:
    """A body in one piece."""
    headers = (("content-type", "application/json"), ("request-id", ids.request))
    return HttpAnswer(status=200, headers=headers, chunks=(compact(body).encode(),))


def failure_answer(failure: Failure, ids: Ids) -> HttpAnswer:
    """An error."""
    return error_answer(
        failure.status,
        request_id=ids.request,
        error_type=failure.error_type,
        message=failure.message,
        retry_after_s=failure.retry_after_s,
        should_retry=failure.should_retry,
        details=failure.details,
        headers=tuple(failure.headers.items()),
    )


def whole(message: JsonObject) -> JsonObject:
    """A message as it is given in one piece, where no input of a tool can be broken."""
    return message | {
        "content": [
            {name: value for name, value in block.items() if name != "partial_json"}
            for block in message["content"]
        ]
    }


@dataclass(frozen=True, slots=True)
class Stream:
    """A message as a stream of events."""

    answer: HttpAnswer
    """An event a chunk, with the ping that the API sends early on."""

    said: tuple[float, ...]
    """For each chunk, how many tokens of the message are said when it leaves."""


def stream_of(message: JsonObject, ids: Ids) -> Stream:
    """A message as a stream."""
    events = message_events(message)
    chunks = [sse_of(event).encode() for event in events]
    sizes = list(accumulate(map(_said_in, events)))
    tokens: int = message["usage"]["output_tokens"]
    share = tokens / max(1, sizes[-1])
    # The two events at the end come when all is said, also where there is nothing to say.
    said = [*(share * size for size in sizes[:-2]), tokens, tokens]
    # After the start of the first block; right after the message's, where there is none.
    ping = 2 if message["content"] else 1
    answer = HttpAnswer(
        status=200,
        headers=(
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("request-id", ids.request),
        ),
        chunks=(*chunks[:ping], PING.encode(), *chunks[ping:]),
    )
    return Stream(answer, (*said[:ping], said[ping - 1], *said[ping:]))


def _said_in(event: Mapping[str, object]) -> int:
    """How much of the message an event says, in characters."""
    if event["type"] != "content_block_delta":
        return 0
    delta = mapping(event["delta"])
    return sum(
        len(part) for name, part in delta.items() if name != "type" and isinstance(part, str)
    )
