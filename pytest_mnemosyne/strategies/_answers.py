"""What the Messages API answers: messages and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pytest_mnemosyne.strategies._blocks import passages, texts_said, thoughts, tool_calls
from pytest_mnemosyne.strategies._requests import MODELS
from pytest_mnemosyne.strategies._schemas import from_schema
from pytest_mnemosyne.strategies._texts import api_ids, counts, texts
from pytest_mnemosyne.wire import (
    ERROR_KINDS,
    HttpAnswer,
    JsonObject,
    compact,
    error_answer,
    mapping,
    objects,
)

_REFUSED_FOR = (None, "cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")


def messages_answers(*, for_request: JsonObject | None = None) -> SearchStrategy[JsonObject]:
    """Messages as the API answers them: bodies that the SDK reads, with no field unknown to it.

    Every kind of content block and stop reason; usage with and without its details. What
    depends on each other fits: a stop sequence is named where one was met, a message that
    calls a tool stops for that, and the result of a server tool stands behind its call. Ids
    of calls are used once in a message. Shrinks to the text `0` that ends the turn.

    Args:
        for_request: The body of a request; the answer is one that it can have. It comes from
            the model that was asked, calls only tools of the request with inputs that follow
            their schemas, says what follows the schema of the output where there is one,
            thinks only where it may, meets only stop sequences that were given, and keeps to
            `max_tokens`. Without one, the answer is to any request.

    Raises:
        UnsupportedSchemaError: A schema of the request is beyond `from_schema`.
    """
    if for_request is None:
        return _answers(st.sampled_from(MODELS), _any_content(), texts(max_size=4), None)
    body = for_request
    stops = body.get("stop_sequences") or []
    return _answers(
        st.just(str(body["model"])),
        _content_for(body),
        st.sampled_from(stops) if stops else None,
        int(body["max_tokens"]),
    )


@st.composite
def _answers(
    draw: DrawFn,
    models: SearchStrategy[str],
    contents: SearchStrategy[list[JsonObject]],
    stop_sequences: SearchStrategy[str] | None,
    max_tokens: int | None,
) -> JsonObject:
    content = draw(contents)
    calls = any(block["type"] == "tool_use" for block in content)
    reason = "tool_use" if calls else draw(_stop_reasons(stop_sequences is not None))
    met = draw(stop_sequences) if stop_sequences is not None and reason == "stop_sequence" else None
    return {
        "id": draw(api_ids("msg")),
        "type": "message",
        "role": "assistant",
        "model": draw(models),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": met,
        "stop_details": draw(_refusals()) if reason == "refusal" else None,
        "usage": draw(_usages(max_tokens)),
    } | draw(st.fixed_dictionaries({}, optional=_further_fields()))


def _stop_reasons(has_stop_sequences: bool) -> SearchStrategy[str]:
    reasons = ["end_turn", "max_tokens", "pause_turn", "refusal", "model_context_window_exceeded"]
    return st.sampled_from(reasons + (["stop_sequence"] if has_stop_sequences else []))


@cache
def _refusals() -> SearchStrategy[JsonObject | None]:
    return st.none() | st.fixed_dictionaries(
        {
            "type": st.just("refusal"),
            "category": st.sampled_from(_REFUSED_FOR),
            "explanation": st.none() | texts(),
        }
    )


@cache
def _further_fields() -> dict[str, SearchStrategy[Any]]:
    skills = st.lists(
        st.fixed_dictionaries(
            {
                "skill_id": api_ids("skill"),
                "type": st.sampled_from(("anthropic", "custom")),
                "version": st.just("latest"),
            }
        ),
        max_size=1,
    )
    return {
        "container": st.none()
        | st.fixed_dictionaries(
            {
                "id": api_ids("container"),
                "expires_at": st.just("2026-01-01T00:00:00Z"),
                "skills": st.none() | skills,
            }
        ),
    }


def _usages(max_tokens: int | None) -> SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {
            "input_tokens": counts(),
            "output_tokens": counts() if max_tokens is None else st.integers(1, max_tokens),
        },
        optional={
            "cache_creation_input_tokens": st.none() | counts(),
            "cache_read_input_tokens": st.none() | counts(),
            "cache_creation": st.none()
            | st.fixed_dictionaries(
                {"ephemeral_5m_input_tokens": counts(), "ephemeral_1h_input_tokens": counts()}
            ),
            "output_tokens_details": st.none()
            | st.fixed_dictionaries({"thinking_tokens": counts()}),
            "server_tool_use": st.none()
            | st.fixed_dictionaries(
                {"web_search_requests": counts(), "web_fetch_requests": counts()}
            ),
            "service_tier": st.sampled_from((None, "standard", "priority", "batch")),
            "inference_geo": st.sampled_from((None, "us", "not_available")),
        },
    )


# --- content ---------------------------------------------------------------------------


@cache
def _any_content() -> SearchStrategy[list[JsonObject]]:
    said = st.lists(passages(), min_size=0, max_size=3).map(_joined)
    called = st.lists(tool_calls(), max_size=2)
    return _with_calls(said, called)


def _content_for(body: JsonObject) -> SearchStrategy[list[JsonObject]]:
    choice = mapping(body.get("tool_choice"))
    tools = [] if choice.get("type") == "none" else list(objects(body.get("tools")))
    if choice.get("type") == "tool":
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    forced = choice.get("type") in ("any", "tool")
    most = 1 if choice.get("disable_parallel_tool_use") else 2
    called = (
        st.lists(tool_calls(tools), min_size=int(forced), max_size=most) if tools else st.just([])
    )
    schema = mapping(mapping(body.get("output_config")).get("format")).get("schema")
    spoken = (
        st.lists(texts_said(), min_size=1, max_size=2) if schema is None else _json_said(schema)
    )
    may_think = mapping(body.get("thinking")).get("type") in ("enabled", "adaptive")
    thought = st.lists(thoughts(), max_size=1) if may_think else st.just([])
    said = st.builds(lambda before, then: [*before, *then], thought, spoken)
    return _with_calls(said, called)


def _json_said(schema: JsonObject) -> SearchStrategy[list[JsonObject]]:
    return from_schema(schema).map(lambda value: [{"type": "text", "text": compact(value)}])


def _joined(parts: Sequence[Sequence[JsonObject]]) -> list[JsonObject]:
    return [block for part in parts for block in part]


def _with_calls(
    said: SearchStrategy[list[JsonObject]], called: SearchStrategy[list[JsonObject]]
) -> SearchStrategy[list[JsonObject]]:
    return st.builds(lambda words, calls: _ids_once([*words, *calls]), said, called)


def _ids_once(blocks: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
    """The blocks with their place in each call's id, so that no two calls share one."""
    places: dict[str, int] = {}
    made: list[JsonObject] = []
    for place, block in enumerate(blocks):
        block = dict(block)
        if "id" in block:
            places[block["id"]] = place
            block["id"] = f"{block['id']}_{place}"
        elif "tool_use_id" in block:
            block["tool_use_id"] = f"{block['tool_use_id']}_{places[block['tool_use_id']]}"
        made.append(block)
    return made


# --- errors ----------------------------------------------------------------------------


def error_answers() -> SearchStrategy[HttpAnswer]:
    """Answers with an error, spelled as the API spells them.

    Every status that the API uses and any other error status, with and without `retry-after`
    (up to an hour, also with a fraction of a second), an invitation to try again that may
    contradict the status, and a message of their own. Shrinks to a plain 400.
    """
    statuses = st.sampled_from(sorted(ERROR_KINDS)) | st.integers(400, 599)
    options: dict[str, SearchStrategy[Any]] = {
        "message": texts(),
        "retry_after_s": st.integers(0, 3600) | st.integers(0, 5000).map(lambda ms: ms / 1000),
        "should_retry": st.booleans(),
    }
    return st.builds(
        lambda status, request_id, chosen: error_answer(status, request_id=request_id, **chosen),
        statuses,
        api_ids("req"),
        st.fixed_dictionaries({}, optional=options),
    )
