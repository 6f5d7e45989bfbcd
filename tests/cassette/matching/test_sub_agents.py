"""Items that are worked on at once, recorded in one order and replayed in any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mnemosyne_core import lane
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult
from pytest_mnemosyne.cassette import Interaction, Request, Response
from pytest_mnemosyne.cassette._player import Player
from pytest_mnemosyne.simulation import VirtualClock
from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.simulation.schedules import Pct, Policy, Random, Schedule
from tests.core.tree.cast import Cast

DESCRIPTIONS = ("write", "write", "read", "write", "read", "count", "write")
"""Of the items; whoever has the same one asks the same."""


@dataclass
class Claude:
    """Answers from what was recorded, and otherwise with what was never said before."""

    player: Player | None = None
    recorded: list[Interaction] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)

    async def ask(self, *messages: str) -> str:
        request = Request(method="POST", url="/v1/messages", body=json.dumps(messages).encode())
        who = lane.current.get()
        assert who is not None
        self.agents.add(who.agent)
        if self.player is not None:
            index = self.player.take(self.player.key_of(request), who)
            assert index is not None, f"nothing for {who}: {messages}"
            response = self.player.interactions[index].response
            assert response is not None
            answer = response.body.decode()
        else:
            answer = f"answer {len(self.recorded)}"
            response = Response(status=200, body=answer.encode())
            self.recorded.append(Interaction(request=request, response=response, lane=who))
        await asyncio.sleep(len(answer) % 3)
        return answer


@dataclass
class Talker:
    """An agent that asks twice; what it asks second depends on the first answer."""

    claude: Claude
    role: AgentRole = AgentRole.EXECUTOR

    async def start_session(self) -> None:
        pass

    async def stop_session(self) -> None:
        pass

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        first = await self.claude.ask(item.description)
        second = await self.claude.ask(item.description, first, "go on")
        return WorkResult(item_id=item.id, attempt=attempt, success=True, data=[first, second])


def run(claude: Claude, policy: Policy) -> list[object]:
    """What the items come to, on a loop whose order `policy` decides."""

    async def main() -> list[object]:
        agents = {**Cast().makers(), AgentRole.EXECUTOR: lambda _: Talker(claude)}
        config = SupervisionConfig(max_concurrent_agents=3)
        clock = VirtualClock.of_running_loop()
        async with SupervisionTree(config, agents=agents, ids=CountedIds(), clock=clock) as tree:
            handles = await tree.submit_all(
                {"description": each, "review": False} for each in DESCRIPTIONS
            )
            return [(await handle.result()).data for handle in handles]

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(order=Schedule(policy))) as runner:
        return runner.run(main())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "policy",
    [pytest.param(Random, id="random"), pytest.param(lambda s: Pct(s, steps=500), id="pct")],
)
def test_what_was_recorded_in_one_order_replays_in_any_other_without_a_miss(
    policy: Callable[[int], Policy], seed: int
) -> None:
    live = Claude()
    said = run(live, policy(1000 + seed))
    written = sorted(live.recorded, key=lambda each: each.lane.agent if each.lane else "")

    replay = Claude(player=Player(written))
    heard = run(replay, policy(seed))

    assert replay.player is not None
    assert replay.player.unplayed() == []
    assert sorted(map(str, heard)) == sorted(map(str, said)), "each answer is given once"
    assert len(live.agents) == len(replay.agents) == 3
