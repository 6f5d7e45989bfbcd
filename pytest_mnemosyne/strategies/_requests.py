"""Requests for a message: bodies that the Messages API takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pytest_mnemosyne.strategies._schemas import from_schema, json_schemas
from pytest_mnemosyne.strategies._texts import api_ids, texts, tool_names
from pytest_mnemosyne.wire import JsonObject

MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5")
_LEAST_THINKING = 1024
_CACHED = {"type": "ephemeral"}
# One grey pixel.
_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOoBwAAgQCAUL4kvQAAAABJRU5ErkJggg=="
)


def messages_requests(*, stream: bool | None = None) -> SearchStrategy[JsonObject]:
    """Bodies of `POST /v1/messages` that the API takes.

    With and without system prompt, tools, a choice of tool, thinking, output settings with and
    without a schema, a server-held thread, and the smaller fields. Conversations begin and end
    with the user and take turns; each `tool_use` names a tool of the request, its input follows
    the tool's schema, and its `tool_result` comes in the next message. Where a thread goes on,
    only the new turn is there, which may answer tools of a turn before it. Ids are used once in
    a conversation. Never a server tool, and never `temperature`, `top_p` or `top_k`, which are
    gone. Shrinks to one question of one character.

    Args:
        stream: Whether a stream is asked for; `None`: either.
    """
    return _requests(stream)


@st.composite
def _requests(draw: DrawFn, stream: bool | None) -> JsonObject:
    tools = draw(st.none() | st.lists(_tools(), min_size=1, max_size=3, unique_by=_name_of)) or []
    thinking = draw(st.none() | _thinking())
    thread = draw(st.none() | st.none() | _threads())
    least = 1 + (thinking or {}).get("budget_tokens", 0)
    body: JsonObject = {
        "model": draw(st.sampled_from(MODELS)),
        "max_tokens": draw(st.integers(least, least + 64_000)),
        "messages": draw(_conversations(tools, goes_on=_goes_on(thread))),
    }
    chosen = {
        "tools": tools or None,
        "tool_choice": draw(_choices(tools, thinking)) if tools else None,
        "thinking": thinking,
        "thread": thread,
        "stream": draw(st.sampled_from((None, False, True)) if stream is None else _said(stream)),
    }
    body |= {name: value for name, value in chosen.items() if value is not None}
    return body | draw(st.fixed_dictionaries({}, optional=_further_fields()))


def _said(stream: bool) -> SearchStrategy[bool | None]:
    return st.just(True) if stream else st.sampled_from((None, False))


@cache
def _further_fields() -> dict[str, SearchStrategy[Any]]:
    return {
        "system": texts() | st.lists(_cached(_text_blocks()), min_size=1, max_size=2),
        "stop_sequences": st.lists(texts(max_size=4), min_size=1, max_size=2, unique=True),
        "metadata": api_ids("user").map(lambda user_id: {"user_id": user_id}),
        "service_tier": st.sampled_from(("auto", "standard_only")),
        "output_config": _output_configs(),
    }


@cache
def _output_configs() -> SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {},
        optional={
            "effort": st.sampled_from(("low", "medium", "high", "xhigh", "max")),
            "format": json_schemas().map(lambda schema: {"type": "json_schema", "schema": schema}),
        },
    )


@cache
def _thinking() -> SearchStrategy[JsonObject]:
    return st.one_of(
        st.just({"type": "disabled"}),
        st.just({"type": "adaptive"}),
        st.integers(_LEAST_THINKING, 32_000).map(
            lambda budget: {"type": "enabled", "budget_tokens": budget}
        ),
    )


@cache
def _threads() -> SearchStrategy[JsonObject]:
    return st.one_of(
        st.just({"type": "create"}),
        api_ids("msg").map(
            lambda previous: {"type": "continue", "previous_message_id": previous},
        ),
    )


def _goes_on(thread: JsonObject | None) -> bool:
    return thread is not None and thread["type"] == "continue"


# --- tools -----------------------------------------------------------------------------


@cache
def _tools() -> SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {"name": tool_names(), "input_schema": json_schemas()},
        optional={
            "description": texts(),
            "strict": st.booleans(),
            "type": st.just("custom"),
            "cache_control": st.just(_CACHED),
        },
    )


def _name_of(tool: Mapping[str, Any]) -> str:
    return str(tool["name"])


def _choices(
    tools: Sequence[JsonObject], thinking: JsonObject | None
) -> SearchStrategy[JsonObject | None]:
    """Choices of a tool; whoever thinks cannot be made to use one."""
    free = st.sampled_from((None, {"type": "auto"}, {"type": "none"}))
    if thinking is not None and thinking["type"] != "disabled":
        return free
    names = st.sampled_from([_name_of(tool) for tool in tools])
    forced = st.just({"type": "any"}) | names.map(lambda name: {"type": "tool", "name": name})
    alone = st.sampled_from(({}, {}, {"disable_parallel_tool_use": True}))
    return free | st.builds(lambda choice, more: choice | more, forced, alone)


# --- conversations ---------------------------------------------------------------------


@st.composite
def _conversations(draw: DrawFn, tools: list[JsonObject], *, goes_on: bool) -> list[JsonObject]:
    turns = 0 if goes_on else draw(st.integers(0, 2))
    earlier = draw(st.lists(st.just(None), max_size=2)) if goes_on and tools else []
    calls = [f"toolu_before_{number}" for number, _ in enumerate(earlier, start=1)]
    messages = [draw(_questions(calls))]
    for turn in range(1, turns + 1):
        used = draw(st.lists(st.sampled_from(tools), max_size=2)) if tools else []
        calls = [f"toolu_{turn}_{number}" for number, _ in enumerate(used, start=1)]
        inputs = [draw(_inputs(tool)) for tool in used]
        blocks = [
            {"type": "tool_use", "id": call, "name": tool["name"], "input": given}
            for call, tool, given in zip(calls, used, inputs, strict=True)
        ]
        messages.append({"role": "assistant", "content": draw(_said_before(blocks))})
        messages.append(draw(_questions(calls)))
    return messages


def _inputs(tool: JsonObject) -> SearchStrategy[Any]:
    return from_schema(tool["input_schema"])


def _said_before(calls: list[JsonObject]) -> SearchStrategy[str | list[JsonObject]]:
    """What the assistant said, with its calls at the end."""
    words = st.lists(_text_blocks(), min_size=0 if calls else 1, max_size=2)
    thoughts = st.lists(_thoughts(), max_size=1)
    blocks = st.builds(lambda thought, said: [*thought, *said, *calls], thoughts, words)
    return blocks if calls else texts() | blocks


@cache
def _thoughts() -> SearchStrategy[JsonObject]:
    return st.one_of(
        st.builds(
            lambda thought, signature: {
                "type": "thinking",
                "thinking": thought,
                "signature": signature,
            },
            texts(),
            api_ids("sig"),
        ),
        api_ids("data").map(lambda data: {"type": "redacted_thinking", "data": data}),
    )


@st.composite
def _questions(draw: DrawFn, calls: list[str]) -> JsonObject:
    """A user's message; results of all `calls` come first in it, in any order."""
    if not calls:
        said: object = draw(texts() | st.lists(_user_blocks(), min_size=1, max_size=2))
        return {"role": "user", "content": said}
    results = [draw(_tool_results(call)) for call in draw(st.permutations(calls))]
    return {"role": "user", "content": results + draw(st.lists(_text_blocks(), max_size=1))}


def _tool_results(call: str) -> SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": st.just(call)},
        optional={
            "content": texts() | st.lists(_text_blocks() | _images(), max_size=2),
            "is_error": st.booleans(),
        },
    )


@cache
def _user_blocks() -> SearchStrategy[JsonObject]:
    return st.one_of(_text_blocks(), _images(), _documents(), _search_results())


@cache
def _text_blocks() -> SearchStrategy[JsonObject]:
    return texts().map(lambda said: {"type": "text", "text": said})


@cache
def _images() -> SearchStrategy[JsonObject]:
    return st.sampled_from(
        (
            {"type": "base64", "media_type": "image/png", "data": _PIXEL},
            {"type": "url", "url": "https://example.com/moon.png"},
        )
    ).map(lambda source: {"type": "image", "source": source})


@cache
def _documents() -> SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {
            "type": st.just("document"),
            "source": texts().map(
                lambda data: {"type": "text", "media_type": "text/plain", "data": data}
            ),
        },
        optional={"title": texts(), "citations": st.just({"enabled": True})},
    )


@cache
def _search_results() -> SearchStrategy[JsonObject]:
    return st.builds(
        lambda title, found: {
            "type": "search_result",
            "source": "https://example.com/",
            "title": title,
            "content": [found],
        },
        texts(),
        _text_blocks(),
    )


def _cached(blocks: SearchStrategy[JsonObject]) -> SearchStrategy[JsonObject]:
    """Blocks with and without a mark where the cache ends."""
    return st.builds(
        lambda block, marked: block | {"cache_control": _CACHED} if marked else block,
        blocks,
        st.booleans(),
    )
