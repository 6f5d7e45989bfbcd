"""The desk: from a topic to an article, over a supervision tree."""

from __future__ import annotations

from dataclasses import dataclass

from mnemosyne_core import AgentRole, SupervisionTree, WorkItem, WorkResult


class NotPublishedError(Exception):
    """A topic did not become an article."""


@dataclass(frozen=True)
class Article:
    """What a reader gets."""

    path: str
    outline: tuple[str, ...]
    attempts: int


async def publish(tree: SupervisionTree, topic: str, *, timeout: float = 120.0) -> Article:
    """Have the tree plan, write and review an article.

    Args:
        tree: A started tree whose orchestrator agent is the planner and whose executor
            agent is the writer.
        topic: What the article is about; also names its file.
        timeout: Seconds to wait for each of the two steps.

    Raises:
        NotPublishedError: The planner or the writer failed, or the reviewer refused.
    """
    slug = "-".join(topic.lower().split())
    plan = await _done(
        tree,
        WorkItem(
            id=f"{slug}.plan",
            description=f"Topic: {topic}",
            role=AgentRole.ORCHESTRATOR,
            review=False,
        ),
        timeout,
    )
    outline = plan.data["outline"]
    path = f"{slug}.md"
    article = await _done(
        tree,
        WorkItem(
            id=f"{slug}.article",
            description=f"Write an article about {topic} into {path}, along the outline.",
            dependencies=(f"{slug}.plan",),
            requirements=("It has a heading.", "It has at most 60 words; count them."),
            context={"outline": outline},
        ),
        timeout,
    )
    return Article(path=path, outline=tuple(outline), attempts=article.attempt)


async def _done(tree: SupervisionTree, item: WorkItem, timeout: float) -> WorkResult:
    result = await (await tree.submit(item)).result(timeout)
    if result.error is not None:
        raise NotPublishedError(f"{item.id}: {result.error.message}")
    return result
