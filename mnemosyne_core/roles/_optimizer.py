"""The optimizer: turns a verdict into guidance for the next attempt."""

from __future__ import annotations

from pydantic import ValidationError

from mnemosyne_core.errors import AgentUnavailableError
from mnemosyne_core.roles._agent_actor import AgentActor
from mnemosyne_core.roles._messages import Consolidate, Consolidated
from mnemosyne_core.supervision import Context
from mnemosyne_core.work import AgentRole, Guidance, Verdict, WorkItem


class Optimizer(AgentActor):
    """Has its agent word the guidance; without one it passes on the findings as they are."""

    async def receive(self, message: object, context: Context) -> object:
        """Answer a `Consolidate` with `Consolidated`."""
        if isinstance(message, Consolidate):
            self._answer_later(message.item.id, self.consolidate(message, context.by), context)
            return None
        return await super().receive(message, context)

    async def consolidate(self, message: Consolidate, by: int | None) -> Consolidated:
        """The agent's guidance; the bare findings where it has none to give.

        An optimizer improves the next attempt; its own failure must not cost one.
        """
        found = findings(message.verdict)
        try:
            result = await self.work(consolidation_item(message, found), message.attempt, (), by)
        except AgentUnavailableError:
            return Consolidated(guidance=found)
        if not result.success:
            return Consolidated(guidance=found, usage=result.usage)
        try:
            guidance = Guidance.model_validate(result.data).guidance
        except ValidationError:
            guidance = found
        return Consolidated(guidance=guidance, usage=result.usage)


def findings(verdict: Verdict) -> tuple[str, ...]:
    """What the verdict says, word for word."""
    return verdict.issues + tuple(f"add a test: {test}" for test in verdict.suggested_tests)


def consolidation_item(message: Consolidate, found: tuple[str, ...]) -> WorkItem:
    """The work that wording guidance is."""
    item = message.item
    return WorkItem(
        id=item.id_for("guidance"),
        description=item.description,
        role=AgentRole.OPTIMIZER,
        phase=item.phase,
        requirements=item.requirements,
        timeout_s=item.timeout_s,
        namespace=item.namespace,
        review=False,
        context={"findings": list(found), "result": message.result.data},
    )
