"""How many tokens a request and its answer are taken for, and how many of them were cached.

All are estimates, the same in every run: four bytes of compact JSON are one token, and
there is always at least one. What is cached follows the request's breakpoints
(`cache_control`): the longest part up to one that an earlier request of the same script
ended a breakpoint with is read, the rest up to the last breakpoint is written. Unlike the
API's, this cache takes prompts of any length and forgets nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.wire import JsonObject, compact, mapping, objects

_BYTES_PER_TOKEN = 4
_SERVER_TOOLS = ("web_search", "web_fetch")
"""The server's tools that `usage` counts."""


def estimate_tokens(value: object) -> int:
    """How many tokens a value is taken for."""
    return max(1, math.ceil(len(compact(value).encode()) / _BYTES_PER_TOKEN))


def input_tokens(request: ClaudeRequest) -> int:
    """How many tokens a request is taken for: system prompt, tools and conversation."""
    asked: JsonObject = {"messages": list(request.messages)}
    asked |= {name: request.settings[name] for name in ("system", "tools") if request.has(name)}
    return estimate_tokens(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedTokens:
    """Which tokens of a request went through the cache."""

    read: int = 0
    written: Mapping[str, int] = field(default_factory=dict)
    """By how long they are kept: `5m` or `1h`."""

    @property
    def total(self) -> int:
        """All that are not plain input."""
        return self.read + sum(self.written.values())


class PromptCache:
    """The beginnings of prompts that a script has seen a breakpoint behind."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def pass_through(self, request: ClaudeRequest, tokens: int) -> CachedTokens:
        """Which of a request's `tokens` are read and written; what is written is known then."""
        if not self._known and not _has_breakpoint(request):
            return CachedTokens()
        hasher = blake2b(request.model.encode(), digest_size=16)
        size = known = read = 0
        marks: list[tuple[int, str]] = []
        digests: list[bytes] = []
        for place, block, kept in _prompt(request):
            hasher.update(f"{place} {block}\n".encode())
            size += len(block.encode())
            digest = hasher.digest()
            known = size if digest in self._known else known
            if kept is not None:
                marks.append((size, kept))
                digests.append(digest)
                read = known
        self._known.update(digests)

        def until(size: int) -> int:
            return min(tokens, size // _BYTES_PER_TOKEN)

        written: dict[str, int] = {}
        start = read
        for end, kept in marks:
            if end > start:
                written[kept] = written.get(kept, 0) + until(end) - until(start)
                start = end
        return CachedTokens(read=until(read), written=written)


def _prompt(request: ClaudeRequest) -> Iterator[tuple[str, str, str | None]]:
    """The prompt block by block: its place, its JSON, how long a breakpoint behind it keeps it."""
    blocks = [*_blocks(request)]
    whole = mapping(request.body.get("cache_control"))
    for number, (place, block) in enumerate(blocks, start=1):
        plain = {name: value for name, value in block.items() if name != "cache_control"}
        mark = mapping(block.get("cache_control")) or (whole if number == len(blocks) else {})
        kept = str(mark.get("ttl", "5m")) if mark else None
        yield place, compact(plain), kept


def _has_breakpoint(request: ClaudeRequest) -> bool:
    return "cache_control" in request.body or any(
        "cache_control" in block for _, block in _blocks(request)
    )


def _blocks(request: ClaudeRequest) -> Iterator[tuple[str, JsonObject]]:
    yield from (("tool", tool) for tool in objects(request.settings.get("tools")))
    yield from (("system", block) for block in _as_blocks(request.settings.get("system")))
    for message in request.messages:
        role = str(message.get("role"))
        yield from ((role, block) for block in _as_blocks(message.get("content")))


def _as_blocks(content: object) -> Sequence[JsonObject]:
    return ({"type": "text", "text": content},) if isinstance(content, str) else objects(content)


def usage_of(
    request: ClaudeRequest, content: Sequence[JsonObject], cache: PromptCache
) -> JsonObject:
    """The usage of an answer that was made of `content`."""
    total = input_tokens(request)
    cached = cache.pass_through(request, total)
    usage: JsonObject = {
        "input_tokens": total - cached.total,
        "cache_creation_input_tokens": sum(cached.written.values()),
        "cache_read_input_tokens": cached.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cached.written.get("5m", 0),
            "ephemeral_1h_input_tokens": cached.written.get("1h", 0),
        },
        "output_tokens": sum(map(_tokens_of_block, content)) or 1,
        "service_tier": "standard" if request.custom_id is None else "batch",
        "inference_geo": "not_available",
    }
    thoughts = [block for block in content if "thinking" in str(block.get("type"))]
    if thoughts:
        thought = sum(map(_tokens_of_block, thoughts))
        usage["output_tokens_details"] = {"thinking_tokens": thought}
    called = [block.get("name") for block in content if block.get("type") == "server_tool_use"]
    if any(tool in called for tool in _SERVER_TOOLS):
        counts = {f"{tool}_requests": called.count(tool) for tool in _SERVER_TOOLS}
        usage["server_tool_use"] = counts
    return usage


def _tokens_of_block(block: Mapping[str, object]) -> int:
    minted = ("id", "signature", "caller")
    return estimate_tokens({name: value for name, value in block.items() if name not in minted})
