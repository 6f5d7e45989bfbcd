"""Runs of a program that talks to Claude, on one cassette: recorded, then played.

Claude is a function here, and whatever differs from run to run is handed in: which ids
are drawn, where the folders are, what time it is.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from mnemosyne_core import origins
from mnemosyne_core.lane import Lane, entered
from pytest_mnemosyne.cassette import (
    EXACTLY,
    Cassette,
    Interaction,
    Loosening,
    RecordMode,
    Request,
    load,
)
from pytest_mnemosyne.wire import SseStream, message_events, sse_of

URL = "https://api.anthropic.com/v1/messages"
_seeds = itertools.count()


@dataclass
class Run:
    """One run, and what only this run has."""

    cassette: Cassette
    random: Random
    folder: str
    started: datetime
    model: Callable[[dict[str, Any], Random], dict[str, Any]]
    answered: list[Interaction] = field(default_factory=list)

    def mint(self, kind: str) -> str:
        return origins.minted(f"{kind}-{self.random.getrandbits(48):012x}", kind)

    def now(self) -> datetime:
        self.started += timedelta(seconds=self.random.uniform(0.01, 90))
        return origins.told(self.started)

    def ask(
        self, body: dict[str, Any], lane: Lane | None = None, *, path: str = "/v1/messages"
    ) -> bytes:
        """Put a request; the answer's body."""
        asked = Request(
            method="POST", url=URL.replace("/v1/messages", path), body=json.dumps(body).encode()
        )
        played = self.cassette.answer(asked, lane)
        if played is None:
            recording = self.cassette.recording(asked, lane)
            message = self.model(body, self.random)
            kind = "text/event-stream" if body.get("stream") else "application/json"
            recording.answer(200, (("content-type", kind),))
            for piece in _pieces(message, streamed=bool(body.get("stream"))):
                recording.chunk(piece)
            recording.read_whole()
            played = recording.interaction
        assert played is not None
        assert played.response is not None
        self.answered.append(played)
        assert b"".join(c.data for c in played.response.chunks) in (b"", played.response.body)
        return played.response.body

    def say(self, text: str, lane: Lane | None = None) -> str:
        """Ask one question; the answer's text."""
        body = self.ask({"messages": [{"role": "user", "content": text}]}, lane)
        answer: str = json.loads(body)["content"][0]["text"]
        return answer


def echo(body: dict[str, Any], random: Random) -> dict[str, Any]:
    """A model that repeats what was said last."""
    said = body["messages"][-1]["content"] if body.get("messages") else ""
    return {
        "id": f"msg_{random.getrandbits(64):x}",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": f"You said: {said}"}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _pieces(message: dict[str, Any], *, streamed: bool) -> Iterator[bytes]:
    if not streamed:
        yield json.dumps(message).encode()
        return
    stream = SseStream(tuple(sse_of(each) for each in message_events(message))).encode()
    for start in range(0, len(stream), 50):
        yield stream[start : start + 50]


@contextmanager
def running(
    path: Path,
    mode: RecordMode = RecordMode.REPLAY,
    *,
    model: Callable[[dict[str, Any], Random], dict[str, Any]] = echo,
    loosening: Loosening = EXACTLY,
    seed: int | None = None,
) -> Iterator[Run]:
    """A run of its own on the cassette at `path`; what it records is saved at its end."""
    random = Random(next(_seeds) if seed is None else seed)
    folder = f"/tmp/pytest-of-{random.choice(['al', 'bo'])}/pytest-{random.randrange(99)}"
    cassette = Cassette(
        path,
        mode=mode,
        loosening=loosening,
        folders=lambda: (("tmp_path", f"{folder}/test_it0"), ("tmp", folder), ("home", "/home/al")),
    )
    started = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=random.uniform(0, 300))
    with origins.listening(cassette.origins):
        yield Run(cassette, random, folder, started, model)
    cassette.save()


def recorded(path: Path, program: Callable[[Run], object]) -> str:
    """Record a run; the file."""
    with running(path, RecordMode.RERECORD) as run:
        program(run)
    assert load(path).interactions
    return path.read_text(encoding="utf-8")


def replayed(path: Path, program: Callable[[Run], object]) -> Run:
    """Play a run of its own; every answer has to be there and to be asked for."""
    with running(path) as run:
        program(run)
    assert not run.cassette.misses
    assert not run.cassette.unplayed()
    return run


__all__ = ["Run", "echo", "entered", "recorded", "replayed", "running"]
