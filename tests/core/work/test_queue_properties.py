"""Whatever is asked of the queue, in whatever order, its promises hold."""

from __future__ import annotations

import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Claims
from hypothesis.stateful import (
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from mnemosyne_core.errors import IllegalWorkStateError, StaleClaimError
from mnemosyne_core.work import AgentRole, Claim, WorkItem, WorkQueue, WorkState
from tests.core.work.building import claim, item, queue_of

ROLES = (AgentRole.EXECUTOR, AgentRole.REVIEWER)
LEASE_S = 10.0


class QueueMachine(RuleBasedStateMachine):
    """Random graphs, workers that finish, fail, vanish and come back late, items that rest."""

    held = Claims("held")
    void = Claims("void")

    def __init__(self) -> None:
        super().__init__()
        self.queue = WorkQueue(capacity=12)
        self.items: dict[str, WorkItem] = {}
        self.attempts: dict[str, int] = {}
        self.ended: dict[str, WorkState] = {}
        self.not_before_s: dict[str, float] = {}
        self.now_s = 0.0

    @initialize(data=st.data())
    def submit_some(self, data: st.DataObject) -> None:
        self.submit(data)

    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, 4), label="count")
        new = [f"i{len(self.items) + n}" for n in range(count)]
        batch: list[WorkItem] = []
        for place, item_id in enumerate(new):
            # Only ids further left: a batch without circles.
            candidates = [*self.items, *new[:place]]
            dependencies = (
                data.draw(st.lists(st.sampled_from(candidates), max_size=3, unique=True))
                if candidates
                else []
            )
            priority, role = data.draw(st.integers(0, 2)), data.draw(st.sampled_from(ROLES))
            max_attempts = data.draw(st.integers(1, 3))
            batch.append(
                item(
                    item_id,
                    *dependencies,
                    priority=priority,
                    role=role,
                    max_attempts=max_attempts,
                )
            )
        if len(self.queue) + count > self.queue.capacity:
            return
        arrival = data.draw(st.permutations(batch), label="arrival")
        lost = self.queue.add(arrival)
        self.items.update({each.id: each for each in arrival})
        self.fail_all(lost)

    def fail_all(self, lost: tuple[str, ...]) -> None:
        assert len(set(lost)) == len(lost)
        for item_id in lost:
            assert set(self.queue.fail(item_id)) <= set(lost)
            self.end(item_id, WorkState.FAILED)

    def end(self, item_id: str, state: WorkState) -> None:
        assert item_id not in self.ended, "an item ends once"
        self.ended[item_id] = state

    def runnable(self, roles: frozenset[AgentRole]) -> list[str]:
        """The model: a plain scan over everything."""
        order = list(self.items)
        ready = [
            each
            for each in self.items.values()
            if each.role in roles
            and each.id not in self.ended
            and self.queue.state(each.id) is WorkState.WAITING
            and self.not_before_s.get(each.id, 0.0) <= self.now_s
            and all(self.ended.get(d) is WorkState.COMPLETED for d in each.dependencies)
        ]
        ready.sort(key=lambda each: (-each.priority, order.index(each.id)))
        return [each.id for each in ready]

    @rule(target=held, roles=st.frozensets(st.sampled_from(ROLES)))
    def take(self, roles: frozenset[AgentRole]) -> object:
        expected = self.runnable(roles)
        assert [each.id for each in self.queue.ready(roles, now_s=self.now_s)] == expected
        taken = self.queue.claim(now_s=self.now_s, worker="worker", lease_s=LEASE_S, roles=roles)
        if taken is None:
            assert not expected
            return multiple()
        assert taken.item.id == expected[0]
        assert taken.attempt == self.attempts.get(taken.item.id, 0) + 1
        assert taken.attempt <= taken.item.max_attempts
        self.attempts[taken.item.id] = taken.attempt
        self.not_before_s.pop(taken.item.id, None)
        return taken

    def is_current(self, taken: Claim) -> bool:
        return taken.item.id not in self.ended and any(
            (live.item.id, live.attempt) == (taken.item.id, taken.attempt)
            for live in self.queue.claims()
        )

    @rule(target=void, taken=consumes(held))
    def complete(self, taken: Claim) -> Claim:
        if self.is_current(taken):
            self.queue.complete(taken.item.id, attempt=taken.attempt)
            self.end(taken.item.id, WorkState.COMPLETED)
        return taken

    @rule(target=void, taken=consumes(held))
    def fail(self, taken: Claim) -> Claim:
        if self.is_current(taken):
            lost = self.queue.fail(taken.item.id, attempt=taken.attempt)
            self.end(taken.item.id, WorkState.FAILED)
            self.fail_all(lost)
        return taken

    @rule(target=void, taken=consumes(held), rest_s=st.none() | st.sampled_from((0.0, 5.0, 15.0)))
    def release(self, taken: Claim, rest_s: float | None) -> Claim:
        if self.is_current(taken):
            self.give_back(taken, None if rest_s is None else self.now_s + rest_s)
        return taken

    def give_back(self, taken: Claim, not_before_s: float | None = None) -> None:
        following = self.queue.release(
            taken.item.id, attempt=taken.attempt, not_before_s=not_before_s
        )
        if following is not None:
            if not_before_s is not None:
                self.not_before_s[taken.item.id] = not_before_s
        else:
            assert taken.attempt == taken.item.max_attempts
            lost = self.queue.fail(taken.item.id, attempt=taken.attempt)
            self.end(taken.item.id, WorkState.FAILED)
            self.fail_all(lost)

    @rule(taken=held)
    def review(self, taken: Claim) -> None:
        if self.is_current(taken) and self.queue.state(taken.item.id) is WorkState.ACTIVE:
            self.queue.begin_review(
                taken.item.id,
                attempt=taken.attempt,
                now_s=self.now_s,
                reviewer="reviewer",
                lease_s=LEASE_S,
            )

    @rule(data=st.data())
    @precondition(lambda self: len(self.queue) > 0)
    def cancel(self, data: st.DataObject) -> None:
        live = [each.item.id for each in self.queue.snapshot().live]
        item_id = data.draw(st.sampled_from(live))
        lost = self.queue.cancel(item_id)
        self.end(item_id, WorkState.CANCELLED)
        self.fail_all(lost)

    @rule(passed_s=st.floats(0.0, 20.0))
    def time_passes(self, passed_s: float) -> None:
        self.now_s += passed_s
        for late in self.queue.expired(self.now_s):
            self.give_back(late)
        next_expiry_s = self.queue.next_expiry_s()
        assert next_expiry_s is None or next_expiry_s > self.now_s

    @rule(taken=void)
    def come_back_late(self, taken: Claim) -> None:
        if self.is_current(taken):
            return
        before = self.queue.snapshot()
        with pytest.raises((StaleClaimError, IllegalWorkStateError)):
            self.queue.complete(taken.item.id, attempt=taken.attempt)
        assert self.queue.snapshot() == before

    @invariant()
    def every_item_is_in_one_place(self) -> None:
        snapshot = self.queue.snapshot()
        live = {each.item.id for each in snapshot.live}
        assert live.isdisjoint(self.ended)
        assert live | set(self.ended) == set(self.items)
        assert sum(snapshot.counts.values()) == len(self.items)
        assert all(self.queue.state(item_id) is state for item_id, state in self.ended.items())

    @invariant()
    def the_next_moment_is_that_of_the_first_who_rests(self) -> None:
        resting = [
            moment_s
            for item_id, moment_s in self.not_before_s.items()
            if item_id not in self.ended and moment_s > self.now_s
        ]
        assert self.queue.next_due_s(self.now_s) == min(resting, default=None)

    @invariant()
    def nothing_waits_for_what_cannot_come(self) -> None:
        for waiting in self.queue.snapshot().live:
            assert all(awaited not in self.ended for awaited in waiting.waits_for)

    @invariant()
    def dependencies_are_complete_before_an_item_starts(self) -> None:
        for taken in self.queue.claims():
            assert all(self.ended[d] is WorkState.COMPLETED for d in taken.item.dependencies)


QueueMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
test_the_queue_keeps_its_promises = QueueMachine.TestCase


def test_the_cost_of_a_claim_does_not_grow_with_the_queue() -> None:
    def cost_s(size: int) -> float:
        queue = queue_of(*(item(f"i{n}") for n in range(size)), capacity=size)
        started_s = time.perf_counter()
        for _ in range(200):
            queue.complete(claim(queue).item.id, attempt=1)
        return time.perf_counter() - started_s

    # A scan would cost 40 times as much.
    assert min(cost_s(8000) for _ in range(2)) < 10 * min(cost_s(200) for _ in range(3))
