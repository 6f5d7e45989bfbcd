"""The far side of the bridge: bytes in, the agent's work, bytes out.

Every transport ends here, in whatever process the agent lives.
"""

from __future__ import annotations

import traceback

from mnemosyne_core import lane
from mnemosyne_core.agents import Agent
from mnemosyne_core.bridge._envelope import ResultEnvelope, WorkEnvelope
from mnemosyne_core.bridge._log import logger_of
from mnemosyne_core.errors import MnemosyneError, UsageError
from mnemosyne_core.work import Failure, WorkResult


async def handle(agent: Agent, content: bytes) -> bytes:
    """Have `agent` do the work in an envelope, in the lane of its path and attempt.

    An exception of the agent becomes a failed result here; only cancellation and
    `Abort` go through. Where one came from that nobody foresaw stands in the agent's log.

    Raises:
        EnvelopeError: The bytes are no work, or the result cannot be written down.
    """
    work = WorkEnvelope.from_bytes(content)
    with lane.entered(lane.Lane(work.agent, work.attempt)):
        try:
            result = await agent.execute_work(
                work.item, attempt=work.attempt, guidance=work.guidance
            )
        except Exception as error:  # noqa: BLE001 - the far side: what breaks here is data there
            if not isinstance(error, MnemosyneError):
                about = f"{work.item.id}, attempt {work.attempt}, crashed"
                logger_of(work.agent).error("%s\n%s", about, _writable_traceback(error))
            # A mistake in the code is made again by the next attempt.
            failure = Failure.of(error, retryable=not isinstance(error, UsageError))
            result = WorkResult.failed(work.item, failure, attempt=work.attempt)
    answer = ResultEnvelope(
        seq=work.seq, agent=work.agent, attempt=work.attempt, by=work.by, result=result
    )
    return answer.to_bytes()


def _writable_traceback(error: BaseException) -> str:
    # A lone surrogate in its text would break whoever writes the log down, or sends it on.
    text = "".join(traceback.format_exception(error)).rstrip()
    return text.encode(errors="backslashreplace").decode()
