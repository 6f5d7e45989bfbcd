"""Conversations that grow by a turn at a time, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pytest_mnemosyne.cassette import Chunk, Interaction, Request, Response, stored_form
from pytest_mnemosyne.wire import encode, message_events, sse_of

from ._make import URL, compact

JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class Turn:
    """A request and the message that answers it."""

    asked: dict[str, Any]
    answer: dict[str, Any]

    def whole(self) -> Interaction:
        return exchange(self.asked, Response(status=200, headers=JSON, body=compact(self.answer)))

    def streamed(self) -> Interaction:
        return exchange({**self.asked, "stream": True}, streamed(self.answer))


def exchange(asked: Mapping[str, object], response: Response) -> Interaction:
    """One exchange in its stored form."""
    request = Request(method="POST", url=URL, headers=JSON, body=compact(asked))
    return stored_form(Interaction(request=request, response=response, took_s=1.25))


def streamed(message: Mapping[str, object]) -> Response:
    """A message as the API streams it, a chunk an event."""
    pieces = [encode([sse_of(each)]) for each in message_events(message)]
    chunks = tuple(Chunk(data=each, at_s=0.25 + at * 0.0123) for at, each in enumerate(pieces))
    return Response(status=200, headers=EVENTS, body=b"".join(pieces), chunks=chunks)


def talk(turns: int, *, words: int = 30, tools: bool = True) -> Iterator[Turn]:
    """A conversation, of which each request repeats all that was said before.

    The client resends what Claude said with the keys of its blocks in another order.
    """
    messages: list[dict[str, Any]] = [{"role": "user", "content": _words("begin", words)}]
    for turn in range(turns):
        asked = {"model": "claude-sonnet-5-5", "max_tokens": 4096, "messages": list(messages)}
        content: list[dict[str, Any]] = [{"type": "text", "text": _words(f"said {turn}", words)}]
        called = f"toolu_{turn:024}"
        if tools:
            given = {"path": f"{turn}.py", "content": _words(f"written {turn}", words)}
            content += [{"type": "tool_use", "id": called, "name": "write", "input": given}]
        answer = {
            "id": f"msg_{turn:024}",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": content,
            "stop_reason": "tool_use" if tools else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 400 + 90 * turn, "output_tokens": 80},
        }
        yield Turn(asked, answer)
        heard = _words(f"heard {turn}", words)
        result = {"type": "tool_result", "tool_use_id": called, "content": heard}
        messages += [
            {"role": "assistant", "content": [dict(reversed(each.items())) for each in content]},
            {"role": "user", "content": [result] if tools else heard},
        ]


def _words(seed: str, count: int) -> str:
    digests = (blake2b(f"{seed} {at}".encode(), digest_size=4) for at in range(count))
    return " ".join(each.hexdigest() for each in digests)
