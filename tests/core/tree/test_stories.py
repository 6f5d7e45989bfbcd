"""Any story: random work, random answers, random harm; the laws hold, and it ends in time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from mnemosyne_core.errors import ActorDownError, WorkError
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import AgentRole, Decision, WorkResult
from pytest_mnemosyne.simulation.loop import VirtualClock, VirtualLoop, leftovers
from pytest_mnemosyne.simulation.schedules import Pct, Policy, Random, Replay, Schedule, Tape
from tests.core.tree.cast import APPROVED, Call, Cast, done, failed, refused
from tests.core.tree.laws import assert_lawful

LIMIT = 3
TURNS = 60


class Story:
    """One tree, and a seed that decides everything that happens to it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.cast = Cast()
        for role in AgentRole:
            getattr(self.cast, role.value).answer = self.answer
        self.submitted: list[str] = []

    async def answer(self, call: Call) -> WorkResult:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        match self.chance.randrange(12):
            case 0:
                return failed(call)
            case 1:
                return failed(call, retryable=False)
            case 2:
                raise ValueError("an agent's own mistake")
            case 3:
                await asyncio.Event().wait()
            case 4:
                return done(call, "neither verdict nor guidance")
            case 5:
                return done(call, self.verdict(refused("not yet")))
            case 6:
                return done(call, self.verdict(refused("never", decision=Decision.REJECT)))
        return done(call, self.verdict(APPROVED))

    def verdict(self, verdict: object) -> object:
        return verdict.model_dump(mode="json")  # type: ignore[attr-defined]

    async def submit(self, tree: SupervisionTree) -> None:
        items: list[dict[str, object]] = []
        for _ in range(self.chance.randrange(1, 4)):
            known = self.submitted + [str(item["id"]) for item in items]
            items.append(
                {
                    "id": f"i{len(known)}",
                    "description": "x",
                    "priority": self.chance.randrange(11),
                    "role": self.chance.choice(["executor", "executor", *AgentRole]),
                    "dependencies": self.chance.sample(known, min(len(known), 1)),
                    "timeout_s": 0.02,
                    "max_attempts": self.chance.randrange(1, 4),
                    "review": self.chance.random() < 0.7,
                }
            )
        await tree.submit_all(items)
        self.submitted += [str(item["id"]) for item in items]

    async def cancel(self, tree: SupervisionTree) -> None:
        if self.submitted:
            await tree.handle(self.chance.choice(self.submitted)).cancel()

    async def replace(self, tree: SupervisionTree) -> None:
        await tree.restart_agent(self.chance.choice(list(AgentRole)))

    async def crash(self, tree: SupervisionTree) -> None:
        child = tree._supervisor.which_children()[self.chance.randrange(4)]  # type: ignore[union-attr]
        tree._supervisor._loop.children.get(child.id).life.task.cancel()  # type: ignore[union-attr]

    async def refuse(self, tree: SupervisionTree) -> None:
        with pytest.raises(WorkError):
            await tree.submit({"id": "late", "description": "x", "dependencies": ["nothing"]})

    async def turn(self, tree: SupervisionTree) -> None:
        acts: list[Callable[[SupervisionTree], Awaitable[None]]] = [self.submit] * 8
        acts += [self.cancel] * 3 + [self.replace, self.crash, self.refuse]
        act = self.chance.choice(acts)
        try:
            if self.chance.random() < 0.1:
                await asyncio.wait_for(act(tree), timeout=0.001)
            else:
                await act(tree)
        except (ActorDownError, TimeoutError):
            # The orchestrator went down over it: whatever it was, it is stored or it is not.
            self.submitted = [row.item.id for row in tree.journal.items()]
        for _ in range(self.chance.randrange(6)):
            await asyncio.sleep(0)


async def tell(story: Story, clock: VirtualClock) -> None:
    config = SupervisionConfig(max_restarts=10_000, max_concurrent_agents=LIMIT)
    async with asyncio.timeout(3600), story.cast.tree(config) as tree:
        for _ in range(TURNS):
            await story.turn(tree)
        # An orchestrator that was just killed must not take the last item with it.
        await clock.settle()
        # Stored by now, or never: the mailbox is in order.
        await tree.submit({"id": "last", "description": "x", "timeout_s": 0.02})
        for row in tree.journal.items():
            result = await tree.handle(row.item.id).result(timeout=2000)
            assert result.item_id == row.item.id
        assert_lawful(tree)
        assert tree.is_running
        for role in AgentRole:
            assert getattr(story.cast, role.value).most_at_work <= LIMIT


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(lambda _: Replay(Tape()), id="plain"),
        pytest.param(Random, id="random"),
        pytest.param(lambda seed: Pct(seed, steps=4_000), id="pct"),
    ],
)
def test_the_laws_hold_in_any_story_under_any_order(
    seed: int, policy: Callable[[int], Policy]
) -> None:
    schedule = Schedule(policy(seed))

    def loop() -> VirtualLoop:
        return VirtualLoop(order=schedule)

    async def main() -> tuple[str, ...]:
        clock = VirtualClock.of_running_loop()
        await tell(Story(seed), clock)
        return leftovers(clock.loop)

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(main()) == ()
