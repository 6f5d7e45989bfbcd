"""Content blocks of Claude's answers, every kind that the SDK has a type for.

They come in passages: what a server tool found stands behind the call that asked for it,
so what is drawn is a passage of one or two blocks, never half of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_mnemosyne.strategies._json import json_objects
from pytest_mnemosyne.strategies._schemas import from_schema
from pytest_mnemosyne.strategies._texts import api_ids, counts, texts, tool_names
from pytest_mnemosyne.wire import JsonObject

Passage = list[JsonObject]


@cache
def passages() -> SearchStrategy[Passage]:
    """Any passage but a call of the client's tool. Shrinks to a text."""
    return st.one_of(
        texts_said().map(_alone),
        thoughts().map(_alone),
        api_ids("file").map(lambda name: [{"type": "container_upload", "file_id": name}]),
        *(
            st.builds(_answered, st.just(kind), st.sampled_from(names), api_ids("srvtoolu"), found)
            for kind, names, found in _server_tools()
        ),
    )


def _alone(block: JsonObject) -> Passage:
    return [block]


def _block(kind: str, **fields: SearchStrategy[Any]) -> SearchStrategy[JsonObject]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


def _nullable(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.none() | strategy


# --- what is said and thought ----------------------------------------------------------


@cache
def texts_said() -> SearchStrategy[JsonObject]:
    """Text blocks, with and without citations of every kind."""
    plain = _block("text", text=texts())
    cited = _block("text", text=texts(), citations=st.lists(_citations(), min_size=1, max_size=2))
    return plain | plain.map(lambda block: block | {"citations": None}) | cited


@cache
def _citations() -> SearchStrategy[JsonObject]:
    document = {
        "document_index": counts(),
        "document_title": _nullable(texts()),
        "file_id": _nullable(api_ids("file")),
    }
    return st.one_of(
        _citation("char_location", start_char_index=counts(), end_char_index=counts(), **document),
        _citation(
            "page_location", start_page_number=counts(), end_page_number=counts(), **document
        ),
        _citation(
            "content_block_location",
            start_block_index=counts(),
            end_block_index=counts(),
            **document,
        ),
        _citation(
            "web_search_result_location",
            encrypted_index=api_ids("enc"),
            title=_nullable(texts()),
            url=st.just("https://example.com/"),
        ),
        _citation(
            "search_result_location",
            start_block_index=counts(),
            end_block_index=counts(),
            search_result_index=counts(),
            source=texts(),
            title=_nullable(texts()),
        ),
    )


def _citation(kind: str, **fields: SearchStrategy[Any]) -> SearchStrategy[JsonObject]:
    return _block(kind, cited_text=texts(), **fields)


@cache
def thoughts() -> SearchStrategy[JsonObject]:
    """Thinking blocks, to be read and redacted."""
    return st.one_of(
        _block("thinking", thinking=st.text(max_size=16), signature=api_ids("sig")),
        _block("redacted_thinking", data=api_ids("data")),
    )


# --- tools -----------------------------------------------------------------------------


def tool_calls(tools: Sequence[JsonObject] | None = None) -> SearchStrategy[JsonObject]:
    """Calls of a client's tool; of `tools` only, with inputs that follow their schema."""
    if tools is None:
        return _tool_call(tool_names(), json_objects())
    return st.one_of(
        *(_tool_call(st.just(tool["name"]), from_schema(tool["input_schema"])) for tool in tools)
    )


def _tool_call(name: SearchStrategy[str], given: SearchStrategy[Any]) -> SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": api_ids("toolu"), "name": name, "input": given},
        optional={"caller": st.just({"type": "direct"})},
    )


@cache
def _server_tools() -> tuple[tuple[str, tuple[str, ...], SearchStrategy[Any]], ...]:
    """Each kind of result, the tools that it may come from, and what is found."""
    common = ("invalid_tool_input", "unavailable", "too_many_requests")
    timed = (*common, "execution_time_exceeded")
    files = ("code_execution_output", "bash_code_execution_output")
    ran = {"stdout": st.text(max_size=8), "stderr": st.text(max_size=8), "return_code": counts()}
    code_files, bash_files = (
        st.lists(_block(kind, file_id=api_ids("file")), max_size=1) for kind in files
    )
    return (
        (
            "web_search_tool_result",
            ("web_search",),
            st.lists(_pages_found(), max_size=2)
            | _failed("web_search", (*common, "max_uses_exceeded", "query_too_long")),
        ),
        (
            "web_fetch_tool_result",
            ("web_fetch",),
            _pages_fetched() | _failed("web_fetch", (*common, "url_not_allowed")),
        ),
        (
            "code_execution_tool_result",
            ("code_execution",),
            _block("code_execution_result", content=code_files, **ran)
            | _block(
                "encrypted_code_execution_result",
                content=code_files,
                encrypted_stdout=api_ids("enc"),
                stderr=ran["stderr"],
                return_code=ran["return_code"],
            )
            | _failed("code_execution", timed),
        ),
        (
            "bash_code_execution_tool_result",
            ("bash_code_execution",),
            _block("bash_code_execution_result", content=bash_files, **ran)
            | _failed("bash_code_execution", (*timed, "output_file_too_large")),
        ),
        (
            "text_editor_code_execution_tool_result",
            ("text_editor_code_execution",),
            _edits() | _failed("text_editor_code_execution", (*timed, "file_not_found")),
        ),
        (
            "tool_search_tool_result",
            ("tool_search_tool_regex", "tool_search_tool_bm25"),
            _block(
                "tool_search_tool_search_result",
                tool_references=st.lists(
                    _block("tool_reference", tool_name=tool_names()), max_size=2
                ),
            )
            | _failed("tool_search", timed),
        ),
    )


def _failed(tool: str, codes: Sequence[str]) -> SearchStrategy[JsonObject]:
    return _block(f"{tool}_tool_result_error", error_code=st.sampled_from(codes))


def _answered(kind: str, name: str, call: str, found: object) -> Passage:
    return [
        {"type": "server_tool_use", "id": call, "name": name, "input": {}},
        {"type": kind, "tool_use_id": call, "content": found},
    ]


@cache
def _pages_found() -> SearchStrategy[JsonObject]:
    return _block(
        "web_search_result",
        encrypted_content=api_ids("enc"),
        page_age=_nullable(texts()),
        title=texts(),
        url=st.just("https://example.com/"),
    )


@cache
def _pages_fetched() -> SearchStrategy[JsonObject]:
    source = st.one_of(
        _block("text", data=texts(), media_type=st.just("text/plain")),
        _block("base64", data=st.just("JVBERg=="), media_type=st.just("application/pdf")),
    )
    document = _block(
        "document",
        source=source,
        title=_nullable(texts()),
        citations=_nullable(st.just({"enabled": True})),
    )
    return _block(
        "web_fetch_result",
        content=document,
        retrieved_at=_nullable(st.just("2026-01-01T00:00:00Z")),
        url=st.just("https://example.com/"),
    )


@cache
def _edits() -> SearchStrategy[JsonObject]:
    lines = _nullable(st.lists(texts(), max_size=2))
    return st.one_of(
        _block("text_editor_code_execution_create_result", is_file_update=st.booleans()),
        _block(
            "text_editor_code_execution_view_result",
            content=st.text(max_size=8),
            file_type=st.sampled_from(("text", "image", "pdf")),
            num_lines=_nullable(counts()),
            start_line=_nullable(counts()),
            total_lines=_nullable(counts()),
        ),
        _block(
            "text_editor_code_execution_str_replace_result",
            lines=lines,
            old_start=_nullable(counts()),
            old_lines=_nullable(counts()),
            new_start=_nullable(counts()),
            new_lines=_nullable(counts()),
        ),
    )
