"""What Claude has said in one recording, recognised where later requests repeat it.

Two recordings of the same conversation part at the first answer, and then in every
request that repeats it. To compare what the program asks, Claude's own part is taken out
of it: where an answer stood there is a mark, and so where an id stood that one gave.
Marks have no numbers, so that one more answer does not change all that follow.
"""

from __future__ import annotations

import json
import re

from pytest_mnemosyne.cassette._answers import read_answer
from pytest_mnemosyne.cassette._interaction import Interaction

_ANSWER = "<an answer>"
_ID = b"<an id>"

_SHORTEST_ID = 8
"""Shorter ids may be anything."""


class Said:
    """The answers and ids of one recording, as far as it was listened to."""

    def __init__(self) -> None:
        self._answers: set[str] = set()
        self._ids: set[bytes] = set()
        self._any_id: re.Pattern[bytes] | None = None

    def listen(self, interaction: Interaction) -> None:
        """Remember what an answer says."""
        response = interaction.response
        message = read_answer(response.body).message if response is not None else None
        if message is None:
            return
        content = message.get("content")
        self._answers.add(form_of(content))
        blocks = content if isinstance(content, list) else []
        for holder in (message, *blocks):
            given = holder.get("id") if isinstance(holder, dict) else None
            if isinstance(given, str) and len(given) >= _SHORTEST_ID:
                self._ids.add(given.encode())
                self._any_id = None

    def has_heard(self, interaction: Interaction) -> bool:
        """Whether some answer that was heard says the same as this one."""
        other = Said()
        other.listen(interaction)
        return other._answers <= self._answers

    def is_repeated_in(self, body: bytes) -> bool:
        """Whether a request's body has an answer that was heard among its messages."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return False
        messages = value.get("messages") if isinstance(value, dict) else None
        return isinstance(messages, list) and any(
            self._without(message) is not message for message in messages
        )

    def asked(self, body: bytes) -> bytes:
        """A request's body without what was heard."""
        if not self._answers:
            return body
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return body
        if isinstance(value, dict) and isinstance(value.get("messages"), list):
            value["messages"] = [self._without(message) for message in value["messages"]]
            body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
                "utf-8", "surrogatepass"
            )
        if not self._ids:
            return body
        if self._any_id is None:
            self._any_id = re.compile(b"|".join(map(re.escape, sorted(self._ids))))
        return self._any_id.sub(_ID, body)

    def _without(self, message: object) -> object:
        if not isinstance(message, dict) or message.get("role") != "assistant":
            return message
        is_known = form_of(message.get("content")) in self._answers
        return {**message, "content": _ANSWER} if is_known else message


def form_of(content: object) -> str:
    """What a content says, whichever of its spellings: the SDK drops and adds empty fields."""
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    said = [
        {name: value for name, value in block.items() if value not in (None, [])}
        if isinstance(block, dict)
        else block
        for block in blocks
    ]
    return json.dumps(said, sort_keys=True)
