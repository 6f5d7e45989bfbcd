"""Whether a tree comes back once its faults have stopped.

Under faults without bound only what must never happen can be checked. Once they stop,
every item must end and every agent must be well again, in bounded time.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from mnemosyne_core.errors import StateTimeoutError
from mnemosyne_core.tree import HealthStatus
from mnemosyne_core.work import WorkState
from pytest_mnemosyne.simulation.faults._errors import NotRecoveredError, OpenItem

if TYPE_CHECKING:
    from mnemosyne_core.observe import ItemState, TreeState
    from mnemosyne_core.tree import Health, SupervisionTree


async def assert_recovers(tree: SupervisionTree, *, within_s: float) -> None:
    """Wait until every item has ended and every agent is well.

    It looks at each event of the tree and never at a clock.

    Args:
        tree: A tree whose faults have stopped, or stop in time.
        within_s: Patience, in seconds of the running loop's clock.

    Raises:
        NotRecoveredError: There was no such moment, or the tree is down for good.
    """

    def is_settled(state: TreeState) -> bool:
        health = tree.health().status
        return health is HealthStatus.DOWN or (
            health is HealthStatus.HEALTHY and all(item.state.is_final for item in _all(state))
        )

    try:
        state = await tree.state.wait_until(is_settled, timeout_s=within_s)
    except StateTimeoutError:
        state = tree.state.snapshot()
    else:
        if tree.health().status is not HealthStatus.DOWN:
            return
    raise _not_recovered(state, tree.health(), within_s=within_s)


def _all(state: TreeState) -> list[ItemState]:
    return list(state.items.values())


def _not_recovered(state: TreeState, health: Health, *, within_s: float) -> NotRecoveredError:
    return NotRecoveredError(
        within_s=within_s,
        items=tuple(
            OpenItem(
                id=each.item.id,
                state=each.state.value,
                attempt=each.attempt,
                waits_for=_waits_for(each, state),
            )
            for each in _all(state)
            if not each.state.is_final
        ),
        agents={
            str(path): agent.reason or "it has given no sign of life"
            for path, agent in chain(health.agents.items(), health.sub_agents.items())
            if not agent.is_well
        },
        reason=health.reason,
    )


def _waits_for(item: ItemState, state: TreeState) -> str:
    before = [
        each
        for each in item.item.dependencies
        if (other := state.items.get(each)) is not None and not other.state.is_final
    ]
    if item.blocked is not None:
        return f"blocked: {item.blocked}"
    if item.state is WorkState.REVIEWING:
        return "waits for the reviewer"
    if item.worker is not None:
        return f"worked on by {item.worker}"
    return f"waits for {', '.join(before) or f'the {item.item.role.value}'}"
