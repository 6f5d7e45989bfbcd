"""The reviewer: judges results against what was asked."""

from __future__ import annotations

from pydantic import ValidationError

from mnemosyne_core.errors import UnusableAnswerError
from mnemosyne_core.roles._agent_actor import AgentActor
from mnemosyne_core.roles._messages import Judged, Review
from mnemosyne_core.supervision import Context
from mnemosyne_core.work import AgentRole, Failure, Verdict, WorkItem, WorkResult, problems_of


class ReviewFailedError(UnusableAnswerError):
    """The reviewer's agent gave no verdict.

    Attributes:
        failure: What its attempt came to.
    """

    code = "review_failed"

    def __init__(self, *, failure: Failure) -> None:
        self.failure = failure
        super().__init__(problem="the review failed", excerpt=failure.message)


class Reviewer(AgentActor):
    """Has its agent judge results; without an agent nothing is approved."""

    async def receive(self, message: object, context: Context) -> object:
        """Answer a `Review` with `Judged`."""
        if isinstance(message, Review):
            self._answer_later(message.item.id, self.review(message, context.by), context)
            return None
        return await super().receive(message, context)

    async def review(self, message: Review, by: int | None) -> Judged:
        """The agent's verdict on a result.

        Raises:
            AgentUnavailableError: There is no agent.
            ReviewFailedError: The agent came to no verdict.
        """
        result = await self.work(review_item(message.item, message.result), message.attempt, (), by)
        if result.error is not None:
            raise ReviewFailedError(failure=result.error)
        try:
            verdict = Verdict.model_validate(result.data)
        except ValidationError as error:
            problem = "; ".join(f"{field}: {what}" for field, what in problems_of(error))
            raise UnusableAnswerError(problem=problem, excerpt=str(result.data)[:200]) from error
        return Judged(verdict=verdict, usage=result.usage)


def review_item(item: WorkItem, result: WorkResult) -> WorkItem:
    """The work that judging `result` is: the item's own words, and what came of them."""
    return WorkItem(
        id=item.id_for("review"),
        description=item.description,
        role=AgentRole.REVIEWER,
        phase=item.phase,
        requirements=item.requirements,
        timeout_s=item.timeout_s,
        namespace=item.namespace,
        review=False,
        context={"result": result.data},
    )
