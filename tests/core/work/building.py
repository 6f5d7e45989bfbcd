"""Short ways to say what these tests are about."""

from __future__ import annotations

from mnemosyne_core.work import AgentRole, Claim, WorkItem, WorkQueue


def item(
    name: str,
    *dependencies: str,
    priority: int = 5,
    role: AgentRole = AgentRole.EXECUTOR,
    max_attempts: int = 3,
) -> WorkItem:
    return WorkItem(
        id=name,
        description=f"do {name}",
        role=role,
        priority=priority,
        dependencies=dependencies,
        max_attempts=max_attempts,
    )


def queue_of(*items: WorkItem, capacity: int = 1000) -> WorkQueue:
    queue = WorkQueue(capacity=capacity)
    queue.add(items)
    return queue


def claim(queue: WorkQueue, *, now_s: float = 0.0, lease_s: float = 60.0) -> Claim:
    """The next claim, of which there has to be one."""
    taken = queue.claim(now_s=now_s, worker="executor", lease_s=lease_s)
    assert taken is not None
    return taken


def drain(queue: WorkQueue) -> list[str]:
    """Complete everything that can be, and say in which order."""
    order: list[str] = []
    while (taken := queue.claim(now_s=0.0, worker="executor", lease_s=60.0)) is not None:
        order.append(taken.item.id)
        queue.complete(taken.item.id, attempt=taken.attempt)
    return order
