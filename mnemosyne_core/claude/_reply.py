"""From the API's JSON to a `Reply`, for a whole answer as for one put together from a stream."""

from __future__ import annotations

import json
from typing import TypeGuard

from pydantic import JsonValue, ValidationError

from mnemosyne_core.claude._values import Block, Reply
from mnemosyne_core.errors import ClaudeStreamError
from mnemosyne_core.work import Usage, problems_of


def parse_reply(content: bytes) -> Reply:
    """The reply in an answer's bytes.

    Raises:
        ClaudeStreamError: They are no complete message.
    """
    try:
        message = json.loads(content)
    except ValueError as error:
        raise ClaudeStreamError(reason=f"the answer is no JSON ({error})") from error
    return reply_of(message)


def reply_of(message: JsonValue) -> Reply:
    """The reply that a message stands for; its blocks stay as they are.

    Raises:
        ClaudeStreamError: It is no complete message.
    """
    if not isinstance(message, dict):
        raise ClaudeStreamError(reason=f"expected a message, got a {type(message).__name__}")
    blocks = message.get("content")
    if not isinstance(blocks, list):
        raise ClaudeStreamError(reason="the message has no list of content blocks")
    content = tuple(block for block in blocks if _is_block(block))
    if len(content) < len(blocks):
        raise ClaudeStreamError(reason="the message has no list of content blocks")
    stop_reason = message.get("stop_reason")
    if not isinstance(stop_reason, str):
        raise ClaudeStreamError(reason="the message has no stop reason, so its end is missing")
    details = message.get("stop_details")
    return Reply(
        id=str(message.get("id", "")),
        model=str(message.get("model", "")),
        content=content,
        stop_reason=stop_reason,
        stop_details=details if isinstance(details, dict) else None,
        usage=usage_of(message.get("usage")),
    )


def usage_of(given: JsonValue) -> Usage:
    """The token counts that the API gives; what it leaves out counts as none.

    Raises:
        ClaudeStreamError: They are no counts.
    """
    counts = given if isinstance(given, dict) else {}
    counted = {name: counts.get(name) for name in Usage.model_fields}
    try:
        return Usage.model_validate({k: v for k, v in counted.items() if v is not None})
    except ValidationError as error:
        problems = "; ".join(f"{field}: {problem}" for field, problem in problems_of(error))
        raise ClaudeStreamError(reason=f"the token counts are unusable: {problems}") from error


def _is_block(value: JsonValue) -> TypeGuard[Block]:
    return isinstance(value, dict) and isinstance(value.get("type"), str)
