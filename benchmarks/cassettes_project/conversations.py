"""What is asked and answered: conversations of agents with tools, in plain JSON.

A conversation grows by a turn at a time, and each request repeats all that was said
before, as requests to Claude do. Nothing in it is random: two programs that ask for the
same conversations get the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

URL = "https://api.anthropic.com/v1/messages"
SYSTEM = "You write Python, one small step at a time, and test each. " * 12
TOOLS = [
    {
        "name": name,
        "description": f"{name.replace('_', ' ').capitalize()} in the workspace. " * 3,
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["path"],
        },
    }
    for name in ("read_file", "write_file", "run_command")
]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    asked: dict[str, Any]
    answer: dict[str, Any]

    @property
    def body(self) -> bytes:
        """The request as the SDK puts it on the wire."""
        return wire(self.asked)

    @property
    def pieces(self) -> list[bytes]:
        """The answer as the API sends it: at once, or as a stream, event by event."""
        if not self.asked.get("stream"):
            return [wire(self.answer)]
        return [
            b"event: %b\ndata: %b\n\n" % (each["type"].encode(), wire(each))
            for each in _events(self.answer)
        ]

    @property
    def content_type(self) -> str:
        """What the answer is."""
        return "text/event-stream" if self.asked.get("stream") else "application/json"


def wire(value: object) -> bytes:
    """JSON as the SDK's HTTP client writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def conversations(count: int, turns: int) -> Iterator[Exchange]:
    """`count` exchanges in conversations of at most `turns` turns, one after the other."""
    made = 0
    number = 0
    while made < count:
        for exchange in _conversation(number, min(turns, count - made)):
            yield exchange
            made += 1
        number += 1


def talk(kind: str, turns: int) -> list[Exchange]:
    """One conversation: with `whole` answers, `short` ones without tools, or `streamed` ones."""
    match kind:
        case "whole":
            return list(_conversation(0, turns))
        case "short":
            return list(_chat(turns))
        case "streamed":
            return [
                Exchange({**each.asked, "stream": True}, each.answer)
                for each in _conversation(0, turns)
            ]
        case _:
            raise ValueError(kind)


def unique_bytes(exchanges: list[Exchange]) -> int:
    """How much there is to keep: every different message, system text, tool and answer once."""
    parts = {
        wire(part)
        for each in exchanges
        for part in (
            each.asked["system"],
            *each.asked.get("tools", ()),
            *each.asked["messages"],
        )
    }
    answers = {wire(each.answer) for each in exchanges}
    return sum(map(len, parts | answers))


def _conversation(number: int, turns: int) -> Iterator[Exchange]:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": f"Task {number}: {_words(f'task {number}', 40)}"}
    ]
    for turn in range(turns):
        called = f"toolu_{_digest(f'{number} {turn}', 12)}"
        content = [
            {"type": "text", "text": _words(f"thought {number} {turn}", 30)},
            {
                "type": "tool_use",
                "id": called,
                "name": TOOLS[turn % len(TOOLS)]["name"],
                "input": {"path": f"src/{number}/{turn}.py", "content": _words(f"{turn}", 40)},
            },
        ]
        asked = {
            "max_tokens": 4096,
            "messages": list(messages),
            "model": "claude-sonnet-5-5",
            "system": SYSTEM,
            "tools": TOOLS,
        }
        yield Exchange(asked, _answer(number, turn, content))
        result = {"type": "tool_result", "tool_use_id": called, "content": _words(called, 60)}
        messages += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ]


def _chat(turns: int) -> Iterator[Exchange]:
    """Questions and answers of a line each."""
    messages: list[dict[str, Any]] = []
    for turn in range(turns):
        messages += [{"role": "user", "content": _words(f"question {turn}", 10)}]
        content = [{"type": "text", "text": _words(f"answer {turn}", 10)}]
        asked = {
            "max_tokens": 4096,
            "messages": list(messages),
            "model": "claude-sonnet-5-5",
            "system": "Answer in a line.",
        }
        yield Exchange(asked, _answer(0, turn, content))
        messages += [{"role": "assistant", "content": content}]


def _answer(number: int, turn: int, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_{_digest(f'm {number} {turn}', 12)}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": content,
        "stop_reason": "tool_use" if content[-1]["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 400 + 90 * turn, "output_tokens": 80},
    }


def _events(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**answer, "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(answer["content"]):
        place = {"index": index}
        if block["type"] == "text":
            kind, key, text, empty = "text_delta", "text", block["text"], {"text": ""}
        else:
            kind, key, text = "input_json_delta", "partial_json", json.dumps(block["input"])
            empty = {"input": {}}
        yield {"type": "content_block_start", **place, "content_block": {**block, **empty}}
        for at in range(0, len(text), 24):
            delta = {"type": kind, key: text[at : at + 24]}
            yield {"type": "content_block_delta", **place, "delta": delta}
        yield {"type": "content_block_stop", **place}
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": answer["usage"]}
    yield {"type": "message_stop"}


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode(), digest_size=size).hexdigest()


def _words(seed: str, count: int) -> str:
    return " ".join(_digest(f"{seed} {at}", 4) for at in range(count))
