"""How long a scripted answer takes, on the clock of the exchange.

An answer in one piece comes when all its tokens are said. A stream begins with its first
byte, and each event leaves when the tokens up to its end are said; what a client does in
between changes nothing about the next one's time.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.wire import HttpAnswer, StreamedAnswer, now_s, pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long Claude takes to answer."""

    first_byte_s: float = 0.0
    """Seconds until the answer begins."""

    per_token_s: float = 0.0
    """Seconds for each token of the answer."""

    def __post_init__(self) -> None:
        for name in ("first_byte_s", "per_token_s"):
            seconds: float = getattr(self, name)
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ScriptError(f"{name} is a number of seconds from 0 on, got {seconds!r}")

    def of(self, *, first_byte_s: float | None, per_token_s: float | None) -> Latency:
        """The same, but for what is given."""
        return Latency(
            first_byte_s=self.first_byte_s if first_byte_s is None else first_byte_s,
            per_token_s=self.per_token_s if per_token_s is None else per_token_s,
        )

    def until_said_s(self, tokens: float) -> float:
        """Seconds from the request until this many tokens are said."""
        return self.first_byte_s + self.per_token_s * tokens


async def after(latency: Latency, answer: HttpAnswer, tokens: int = 0) -> HttpAnswer:
    """The answer, once its tokens are said."""
    await pause(latency.until_said_s(tokens))
    return answer


async def as_said(
    latency: Latency, answer: HttpAnswer, said: Sequence[float]
) -> HttpAnswer | StreamedAnswer:
    """The answer, each of its chunks at its time.

    Args:
        latency: How long it takes.
        answer: A stream.
        said: For each chunk, how many tokens are said when it leaves.
    """
    began_s = now_s()
    await pause(latency.first_byte_s)
    if latency.per_token_s == 0:
        return answer

    async def chunks() -> AsyncIterator[bytes]:
        for chunk, tokens in zip(answer.chunks, said, strict=True):
            await pause(began_s + latency.until_said_s(tokens) - now_s())
            yield chunk

    return StreamedAnswer(status=answer.status, headers=answer.headers, chunks=chunks())
