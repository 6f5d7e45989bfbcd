"""One turn with Claude, as the door saw it; the same record in replay and in recording.

What costs time to find out (the model, the tokens) is read from the bodies when
somebody asks, so that a replayed call does not pay for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import Interaction, Outcome, Request, Response

_INPUT_FIELDS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Source(StrEnum):
    """Where a turn's answer came from."""

    PLAYED = auto()
    """The cassette."""

    COMPARED = auto()
    """The cassette, while upstream was asked the same; the turn tells of the live answer."""

    RECORDED = auto()
    """Upstream, and it goes into the cassette."""

    FORWARDED = auto()
    """Upstream, and nothing is kept."""

    INJECTED = auto()
    """A fault plan, in place of an answer."""

    MISSED = auto()
    """Nowhere: the cassette had no answer and the mode forbids to ask."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a turn used."""

    input: int = 0
    """Fresh, written to the cache and read from it."""

    output: int = 0
    cache_write: int = 0
    """Those of the input that were put into the prompt cache."""

    cache_write_1h: int = 0
    """Those of them that are to stay there for an hour."""

    cache_read: int = 0
    """Those of the input that were found in the prompt cache."""

    model: str = ""
    """The model that the answer names; empty where it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request to Claude and what came of it."""

    number: int
    """Counts the turns of a cassette from 1, in the order in which they began."""

    source: Source
    request: Request
    lane: Lane | None
    tries: int
    """1 for a first try; the SDK's retries count up."""

    interaction: Interaction | None
    """`None` for a miss, and for a request that came to nothing that can be recorded."""

    index: int | None = None
    """Which interaction of the cassette's file was played, from 0."""

    started_s: float
    """Seconds after the cassette was opened."""

    injected: Sequence[str] = ()
    """What a fault plan did to it; grows until the client has the whole answer."""

    counted: Tokens | None = None
    """What the answer used, where that is known without reading the answer."""

    @property
    def agent(self) -> str | None:
        """The agent's path; `None` outside a tree."""
        return self.lane.agent if self.lane is not None else None

    @property
    def attempt(self) -> int:
        """The agent's attempt, from 1."""
        return self.lane.attempt if self.lane is not None else 1

    @property
    def took_s(self) -> float:
        """How long the answer took when it was recorded, in seconds; also in replay."""
        return self.interaction.took_s if self.interaction is not None else 0.0

    @property
    def outcome(self) -> Outcome | None:
        """How the exchange ended; `None` where there is no interaction."""
        return self.interaction.outcome if self.interaction is not None else None

    @property
    def status(self) -> int | None:
        """The HTTP status; `None` where no answer began."""
        response = self._response
        return response.status if response is not None else None

    @property
    def model(self) -> str | None:
        """The model that was asked for, where the body names one."""
        model = _json_object(self.request.body).get("model")
        return model if isinstance(model, str) else None

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return _json_object(self.request.body).get("stream") is True

    @property
    def tokens(self) -> Tokens:
        """What the answer says it used; zeros where it says nothing."""
        if self.counted is not None:
            return self.counted
        return tokens_of(self.interaction) if self.interaction is not None else Tokens()

    @property
    def fault(self) -> str | None:
        """What went wrong, such as `overloaded_error`, `dropped` or `missed`; `None` if nothing."""
        if self.interaction is None:
            return "missed" if self.source is Source.MISSED else "failed"
        if self.injected and self.source is not Source.INJECTED:
            return self.injected[-1].partition("(")[0]
        if self.interaction.outcome is not Outcome.COMPLETE:
            return str(self.interaction.outcome)
        response = self._response
        return _error_type(response.status, response.body) if response is not None else None

    @property
    def _response(self) -> Response | None:
        return self.interaction.response if self.interaction is not None else None


def tokens_of(interaction: Interaction) -> Tokens:
    """Read the usage from a Messages API answer, whole or streamed; zeros where there is none."""
    response = interaction.response
    if response is None:
        return Tokens()
    usage: dict[str, object] = {}
    model = ""
    for piece in _json_objects(response.body, holding=b'"usage"'):
        message = piece.get("message")
        for holder in (message, piece):
            found = holder.get("usage") if isinstance(holder, dict) else None
            if isinstance(found, dict):
                assert isinstance(holder, dict)
                model = str(holder.get("model", model))
                # A stream's totals come last; a field it does not repeat stays as it was.
                usage |= {name: value for name, value in found.items() if value is not None}
    written = usage.get("cache_creation")
    return Tokens(
        input=sum(_count(usage.get(name)) for name in _INPUT_FIELDS),
        output=_count(usage.get("output_tokens")),
        cache_write=_count(usage.get("cache_creation_input_tokens")),
        cache_write_1h=_count(
            written.get("ephemeral_1h_input_tokens") if isinstance(written, dict) else None
        ),
        cache_read=_count(usage.get("cache_read_input_tokens")),
        model=model,
    )


def _error_type(status: int, body: bytes) -> str | None:
    for piece in _json_objects(body, holding=b'"error"'):
        error = piece.get("error")
        if piece.get("type") == "error" and isinstance(error, dict):
            return str(error.get("type", "error"))
    return f"http_{status}" if status >= 400 else None


def _json_objects(body: bytes, *, holding: bytes) -> list[dict[str, object]]:
    """The JSON objects of a body that hold some bytes: itself, or the data of its events."""
    if holding not in body:
        return []
    if body.lstrip()[:1] == b"{":
        return [_json_object(body)]
    lines = (line for line in body.splitlines() if holding in line and line.startswith(b"data:"))
    return [_json_object(line[len(b"data:") :]) for line in lines]


def _json_object(text: bytes) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
