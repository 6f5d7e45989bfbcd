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


def unique_bytes(exchanges: list[Exchange]) -> int:
    """How much there is to keep: every different message, system text, tool and answer once."""
    parts = {
        wire(part)
        for each in exchanges
        for part in (each.asked["system"], *each.asked["tools"], *each.asked["messages"])
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
        answer = {
            "id": f"msg_{_digest(f'm {number} {turn}', 12)}",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": content,
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": 400 + 90 * turn, "output_tokens": 80},
        }
        yield Exchange(asked, answer)
        result = {"type": "tool_result", "tool_use_id": called, "content": _words(called, 60)}
        messages += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ]


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode(), digest_size=size).hexdigest()


def _words(seed: str, count: int) -> str:
    return " ".join(_digest(f"{seed} {at}", 4) for at in range(count))
