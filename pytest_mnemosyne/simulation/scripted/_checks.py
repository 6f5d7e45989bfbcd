"""What the API refuses before the model sees it.

Only refusals that a client under test can run into by a mistake of its own: a field
left out, an empty message, a tool call without its result. The wording is the API's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_mnemosyne.wire import JsonObject, objects


def refusal(body: JsonObject, messages: Sequence[JsonObject], *, counting: bool) -> str | None:
    """Why the API refuses a request, `None` where it takes it.

    Args:
        body: The request's body.
        messages: The whole conversation, with what a thread already holds.
        counting: Whether tokens are counted only, which needs no `max_tokens`.
    """
    return next(_refusals(body, messages, counting=counting), None)


def _refusals(body: JsonObject, messages: Sequence[JsonObject], *, counting: bool) -> Iterator[str]:
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            yield f"{name}: Field required"
    if not isinstance(body["model"], str):
        yield "model: Input should be a valid string"
    if not counting:
        yield from _max_tokens(body["max_tokens"])
    given = body["messages"]
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        yield "messages: Input should be a valid list"
    if not messages:
        yield "messages: at least one message is required"
    for index, message in enumerate(messages):
        yield from _message(index, message)
    yield from _unanswered_tools(messages)
    yield from _unasked_results(messages)


def _max_tokens(value: object) -> Iterator[str]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield "max_tokens: Input should be a valid integer"
    elif value < 1:
        yield "max_tokens: Input should be greater than or equal to 1"


def _message(index: int, message: JsonObject) -> Iterator[str]:
    for name in ("role", "content"):
        if name not in message:
            yield f"messages.{index}.{name}: Field required"
    content = message["content"]
    if not isinstance(content, str | list):
        yield f"messages.{index}.content: Input should be a valid string"
    if any(block.get("type") == "text" and not block.get("text") for block in objects(content)):
        yield "messages: text content blocks must be non-empty"


def _ids(message: JsonObject, kind: str, field: str) -> list[str]:
    blocks = objects(message.get("content"))
    return [str(block.get(field)) for block in blocks if block.get("type") == kind]


def _spoken(messages: Sequence[JsonObject]) -> list[tuple[int, JsonObject]]:
    """User and assistant messages with their places; others may stand between them."""
    return [
        (index, message)
        for index, message in enumerate(messages)
        if message.get("role") in ("user", "assistant")
    ]


def _unanswered_tools(messages: Sequence[JsonObject]) -> Iterator[str]:
    spoken = _spoken(messages)
    for position, (index, message) in enumerate(spoken):
        called = _ids(message, "tool_use", "id") if message["role"] == "assistant" else []
        following = spoken[position + 1][1] if position + 1 < len(spoken) else {}
        given_back = _ids(following, "tool_result", "tool_use_id")
        missing = [name for name in called if name not in given_back]
        if missing:
            yield (
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {', '.join(missing)}. Each `tool_use` block must have a "
                "corresponding `tool_result` block in the next message."
            )


def _unasked_results(messages: Sequence[JsonObject]) -> Iterator[str]:
    spoken = _spoken(messages)
    for position, (index, message) in enumerate(spoken):
        before = spoken[position - 1][1] if position else {}
        called = _ids(before, "tool_use", "id")
        for place, block in enumerate(objects(message.get("content"))):
            if block.get("type") == "tool_result" and block.get("tool_use_id") not in called:
                yield (
                    f"messages.{index}.content.{place}: unexpected `tool_use_id` found in "
                    f"`tool_result` blocks: {block.get('tool_use_id')}. Each `tool_result` block "
                    "must have a corresponding `tool_use` block in the previous message."
                )
