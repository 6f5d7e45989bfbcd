"""The planner: asks Claude for an outline, with the plain SDK."""

from __future__ import annotations

import time

import anthropic
from anthropic import AsyncAnthropic

from mnemosyne_core.work import AgentRole, Failure, Usage, WorkItem, WorkResult

MODEL = "claude-haiku-5-5"
SYSTEM = (
    "You are the planner of a newsroom. Answer with the outline of a short article: three to "
    "five lines, one point on each, no numbering, nothing else."
)


class Planner:
    """An agent of our own: it only has to keep the four promises of `Agent`."""

    role = AgentRole.ORCHESTRATOR

    def __init__(self) -> None:
        self._claude: AsyncAnthropic | None = None

    async def start_session(self) -> None:
        self._claude = self._claude or AsyncAnthropic()

    async def stop_session(self) -> None:
        if self._claude is not None:
            claude, self._claude = self._claude, None
            await claude.close()

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        """An outline for the topic that the item describes: a list of points."""
        assert self._claude is not None, "start_session() comes first"
        started = time.monotonic()
        try:
            answer = await self._claude.messages.create(
                model=MODEL,
                max_tokens=500,
                system=SYSTEM,
                messages=[{"role": "user", "content": "\n".join((item.description, *guidance))}],
            )
        except anthropic.APIError as error:
            failure = Failure(code="planner", message=f"{type(error).__name__}: {error.message}")
            return WorkResult.failed(item, failure, attempt=attempt)
        text = "".join(block.text for block in answer.content if block.type == "text")
        points = [line.strip("-• ") for line in text.splitlines() if line.strip()]
        if not points:
            failure = Failure(code="planner", message="Claude gave no outline")
            return WorkResult.failed(item, failure, attempt=attempt)
        return WorkResult(
            item_id=item.id,
            attempt=attempt,
            success=True,
            data={"outline": points},
            duration_s=time.monotonic() - started,
            usage=Usage(
                input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens
            ),
        )
