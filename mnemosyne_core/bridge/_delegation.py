"""Putting one item to an agent: out as an envelope, back as a result, whatever happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mnemosyne_core.bridge._envelope import ResultEnvelope, WorkEnvelope
from mnemosyne_core.bridge._transport import AgentGoneError, Transport
from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import MessageTooLargeError, WorkTimeoutError
from mnemosyne_core.work import Failure, WorkResult


@dataclass(frozen=True, slots=True)
class Outcome:
    """What putting one item to the agent came to."""

    result: WorkResult
    agent_gone: bool = False


async def delegate(
    transport: Transport, work: WorkEnvelope, *, timeout_s: float, clock: Clock
) -> Outcome:
    """The agent's result; a failed one where it gives none in time, or none that can be used."""
    started_s = clock.monotonic()
    gone = False
    timer = asyncio.timeout(timeout_s)
    try:
        async with timer:
            content = await transport.execute(work.to_bytes())
        answer = ResultEnvelope.from_bytes(content)
        answer.check_answers(work)
        return Outcome(answer.result)
    except Exception as error:  # noqa: BLE001 - a transport is a stranger's code; its end is data
        # Work that did not end when its time was up may have cost the agent its process.
        gone = isinstance(error, AgentGoneError) or not transport.is_up
        if timer.expired():
            error = WorkTimeoutError(item_id=work.item.id, timeout_s=timeout_s)
        # Whatever is too large will be so again.
        failure = Failure.of(error, retryable=not isinstance(error, MessageTooLargeError))
    duration_s = clock.monotonic() - started_s
    result = WorkResult.failed(work.item, failure, attempt=work.attempt, duration_s=duration_s)
    return Outcome(result, agent_gone=gone)
