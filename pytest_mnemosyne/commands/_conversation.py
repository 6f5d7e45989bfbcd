"""A cassette as the conversations in it: per agent, each message once.

Every request repeats the whole conversation so far. A turn here holds what is new in
it, and the number of the turn that it goes on from, which is the one whose messages
are the longest beginning of its own. Where cache marks stand and whether a text is
written as a block change nothing about what was said, so they do not count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from pytest_mnemosyne.cassette import (
    Answer,
    CassetteFile,
    Interaction,
    Outcome,
    Request,
    Tokens,
    read_answer,
    read_value,
    split_url,
    tokens_of,
)
from pytest_mnemosyne.wire import ClaudeHosts, JsonObject, mapping, objects

_SAID: Final = ("model", "messages", "system", "tools", "stream")
"""The fields of a request that a turn shows by themselves; the others are its settings."""

_WITHOUT_WEIGHT: Final = ("cache_control", "citations", "caller")
"""What a client may drop or add when it sends back a block that it was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something that was said, by whom."""

    role: str
    """`user`, `assistant`, `request`, `answer` or `error`."""

    blocks: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One interaction: what was new in its request, and what came of it."""

    number: int
    """Its place in the file, from 1."""

    call: str
    """Method and path; with the origin where that is not Claude's."""

    model: str | None
    streamed: bool
    settings: JsonObject | None
    """The rest of the request's fields; `None` where they are those of the turn before."""

    system: tuple[JsonObject, ...] | None
    """`None` where it is that of the turn before, empty where there is none any more."""

    tools: tuple[JsonObject, ...] | None
    """Likewise."""

    continues: int | None
    """The number of the turn whose conversation goes on here; `None` for a new one."""

    messages: tuple[Message, ...]
    """What was said since then; a request that is no conversation is one message."""

    is_talk: bool
    """Whether the request is a conversation."""

    unsent: tuple[str, ...]
    """The kinds of blocks of the answer before that were left out when it was sent back."""

    status: int | None
    answer: Message | None
    error: JsonObject | None
    stop_reason: str | None
    complete: bool
    """Whether a stream came to its end."""

    outcome: Outcome
    took_s: float
    tokens: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """The turns of one agent's attempt."""

    agent: str | None
    """Its path; `None` outside a tree."""

    attempt: int
    turns: tuple[Turn, ...]


def talks(file: CassetteFile) -> tuple[Talk, ...]:
    """What each agent said and was told, agents in the order of the file."""
    grouped: dict[tuple[str | None, int], list[tuple[int, Interaction]]] = {}
    for number, one in enumerate(file.interactions, start=1):
        lane = (one.lane.agent, one.lane.attempt) if one.lane is not None else (None, 1)
        grouped.setdefault(lane, []).append((number, one))
    return tuple(
        Talk(agent=agent, attempt=attempt, turns=_turns(numbered))
        for (agent, attempt), numbered in grouped.items()
    )


def _turns(numbered: Iterable[tuple[int, Interaction]]) -> tuple[Turn, ...]:
    memory = _Memory()
    return tuple(memory.turn(number, one) for number, one in numbered)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What stands around the messages of a request."""

    settings: JsonObject = field(default_factory=dict)
    system: tuple[JsonObject, ...] = ()
    tools: tuple[JsonObject, ...] = ()


class _Memory:
    """What an agent has said and been told so far."""

    def __init__(self) -> None:
        self._conversations: dict[bytes, int] = {}
        """Of each conversation that was asked, its digest and the turn that asked it last."""

        self._answers: dict[int, Answer] = {}
        self._by_id: dict[str, int] = {}
        self._contexts: dict[str, _Context] = {}
        """What stood around the messages, in the last call of each kind."""

    def turn(self, number: int, one: Interaction) -> Turn:
        """Read an interaction, which comes after all that were read before."""
        body = _json_object(one.request.body)
        answer = read_answer(one.response.body) if one.response is not None else Answer()
        said = _messages(body.get("messages"))
        digests = _digests(said)
        continues, messages, unsent = self._new(body, said, digests)
        self._remember(number, digests, answer)
        call = call_of(one.request)
        settings, system, tools = self._changes(call, body) if said else (None, None, None)
        return Turn(
            number=number,
            call=call,
            model=_text(body.get("model")),
            streamed=body.get("stream") is True,
            settings=settings,
            system=system,
            tools=tools,
            continues=continues,
            messages=messages if said else _no_conversation(one.request, body),
            is_talk=bool(said),
            unsent=unsent,
            status=one.response.status if one.response is not None else None,
            answer=_said(answer),
            error=answer.error,
            stop_reason=_stop_reason(answer),
            complete=answer.complete,
            outcome=one.outcome,
            took_s=one.took_s,
            tokens=tokens_of(one),
        )

    def _new(
        self, body: Mapping[str, object], said: tuple[Message, ...], digests: list[bytes]
    ) -> tuple[int | None, tuple[Message, ...], tuple[str, ...]]:
        """The turn that a request goes on from, what it says beyond that, and what it left out."""
        held = self._by_id.get(str(mapping(body.get("thread")).get("previous_message_id")))
        if held is not None:
            # The API holds what was said before, so all that is sent is new.
            return held, said, ()
        for length in range(len(said), 0, -1):
            earlier = self._conversations.get(digests[length - 1])
            if earlier is not None:
                new = said[length:]
                unsent = _unsent(_said(self._answers[earlier]), new[0]) if new else None
                return (earlier, new, ()) if unsent is None else (earlier, new[1:], unsent)
        return None, said, ()

    def _remember(self, number: int, digests: list[bytes], answer: Answer) -> None:
        self._answers[number] = answer
        if answer.message is not None and isinstance(answer.message.get("id"), str):
            self._by_id[answer.message["id"]] = number
        if digests:
            self._conversations[digests[-1]] = number

    def _changes(
        self, call: str, body: Mapping[str, object]
    ) -> tuple[JsonObject | None, tuple[JsonObject, ...] | None, tuple[JsonObject, ...] | None]:
        """Settings, system prompt and tools, each where this agent's last such call had others."""
        before = self._contexts.get(call, _Context())
        # In a step of a thread the API holds what the request does not repeat.
        is_step = "thread" in body
        now = self._contexts[call] = _Context(
            settings={name: value for name, value in body.items() if name not in _SAID},
            system=before.system if is_step and "system" not in body else _system(body),
            tools=before.tools if is_step and "tools" not in body else objects(body.get("tools")),
        )
        return (
            now.settings if now.settings != before.settings else None,
            now.system if now.system != before.system else None,
            now.tools if now.tools != before.tools else None,
        )


# --- requests --------------------------------------------------------------------------


def call_of(request: Request) -> str:
    """Method and path of a request, with the origin where that is not Claude's."""
    origin, path = split_url(request.url)
    return f"{request.method} {path if ClaudeHosts().covers(origin + path) else origin + path}"


def blocks_of(content: object) -> tuple[JsonObject, ...]:
    """The content of a message, whatever it is; a plain text is the block that it stands for."""
    if content is None:
        return ()
    return tuple(map(_anything, content if isinstance(content, list) else [content]))


def _system(body: Mapping[str, object]) -> tuple[JsonObject, ...]:
    return blocks_of(body.get("system"))


def _messages(written: object) -> tuple[Message, ...]:
    """The messages of a conversation; none where there is anything else among them."""
    if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
        return ()
    return tuple(map(_message, written))


def _message(written: JsonObject) -> Message:
    beside = {name: v for name, v in written.items() if name not in ("role", "content")}
    blocks = blocks_of(written.get("content"))
    return Message(
        role=str(written.get("role", "?")), blocks=(*blocks, beside) if beside else blocks
    )


def _no_conversation(request: Request, body: Mapping[str, object]) -> tuple[Message, ...]:
    if not request.body:
        return ()
    if body:
        # The model and whether it is streamed are told by themselves.
        fields = {name: value for name, value in body.items() if name not in ("model", "stream")}
        return (Message(role="request", blocks=(fields,)),)
    return (Message(role="request", blocks=(_anything(read_value(request.body)),)),)


def _digests(said: Iterable[Message]) -> list[bytes]:
    """Of each beginning of a conversation, the digest; the whole one's comes last."""
    digests = []
    digest = blake2b(digest_size=16)
    for message in said:
        weighed = [message.role, *_weighed(message.blocks)]
        digest.update(json.dumps(weighed, sort_keys=True).encode())
        digests.append(digest.digest())
    return digests


def _weighed(blocks: Iterable[JsonObject]) -> list[JsonObject]:
    return [
        {
            name: value
            for name, value in block.items()
            if name not in _WITHOUT_WEIGHT and value is not None
        }
        for block in blocks
    ]


# --- answers ---------------------------------------------------------------------------


def _said(answer: Answer) -> Message | None:
    if answer.message is not None:
        return Message(role="assistant", blocks=blocks_of(answer.message.get("content")))
    match answer.other:
        case None:
            return None
        case {"completion": str(text)}:
            return Message(role="assistant", blocks=blocks_of(text))
        case other:
            return Message(role="answer", blocks=(_anything(other),))


def _unsent(answer: Message | None, message: Message) -> tuple[str, ...] | None:
    """What of an answer is not in the message that sends it back; `None` for any other message."""
    if answer is None or answer.role != message.role:
        return None
    sent = _weighed(message.blocks)
    left_out = []
    for block in _weighed(answer.blocks):
        if sent and sent[0] == block:
            sent.pop(0)
        else:
            left_out.append(str(block.get("type")))
    return None if sent else tuple(left_out)


def _stop_reason(answer: Answer) -> str | None:
    return _text((answer.message or mapping(answer.other)).get("stop_reason"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _anything(value: object) -> JsonObject:
    """A block for what is none: its fields, its text, or how much of it there is."""
    match value:
        case dict():
            return value
        case bytes():
            return {"type": "bytes", "bytes": len(value)}
        case str():
            return {"type": "text", "text": value}
        case _:
            return {"value": value}


def _json_object(body: bytes) -> Mapping[str, object]:
    return mapping(read_value(body))
