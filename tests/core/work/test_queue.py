from __future__ import annotations

from collections.abc import Callable

import pytest

from mnemosyne_core.errors import (
    DependencyCycleError,
    DuplicateWorkItemError,
    IllegalWorkStateError,
    QueueFullError,
    StaleClaimError,
    UnknownDependencyError,
    UnknownWorkItemError,
    UsageError,
    WorkError,
)
from mnemosyne_core.work import AgentRole, WorkItem, WorkQueue, WorkState
from tests.core.work.building import claim, drain, item, queue_of

# --- what is next ---


@pytest.mark.parametrize(
    ("items", "order"),
    [
        pytest.param([item("a"), item("b"), item("c")], ["a", "b", "c"], id="submission-order"),
        pytest.param(
            [item("a", priority=0), item("b", priority=10), item("c", priority=10)],
            ["b", "c", "a"],
            id="highest-priority-first",
        ),
        pytest.param(
            [item("a", "c", priority=10), item("b"), item("c", priority=0)],
            ["b", "c", "a"],
            id="dependencies-outrank-priority",
        ),
        pytest.param(
            [item("r", role=AgentRole.REVIEWER, priority=4), item("e"), item("o", priority=3)],
            ["e", "r", "o"],
            id="roles-share-one-order",
        ),
    ],
)
def test_items_are_claimed_in_order(items: list[WorkItem], order: list[str]) -> None:
    assert drain(queue_of(*items)) == order


def test_an_item_waits_for_all_of_its_dependencies() -> None:
    queue = queue_of(item("a"), item("b"), item("c", "a", "b", priority=10))

    assert queue.complete(claim(queue).item.id, attempt=1) == ()
    assert queue.complete(claim(queue).item.id, attempt=1) == ("c",)
    assert claim(queue).item.id == "c"


def test_an_item_under_way_is_not_handed_out_again() -> None:
    queue = queue_of(item("a"))
    claim(queue)

    assert queue.claim(now_s=0.0, worker="executor/2", lease_s=1.0) is None


def test_a_role_without_an_agent_blocks_no_other() -> None:
    queue = queue_of(item("r", role=AgentRole.REVIEWER, priority=10), item("e"))

    taken = queue.claim(now_s=0.0, worker="executor", lease_s=1.0, roles={AgentRole.EXECUTOR})

    assert taken is not None
    assert taken.item.id == "e"
    assert [each.id for each in queue.ready({AgentRole.REVIEWER}, now_s=0.0)] == ["r"]
    assert queue.claim(now_s=0.0, worker="x", lease_s=1.0, roles={AgentRole.EXECUTOR}) is None


def test_a_completed_dependency_never_holds_up_a_later_item() -> None:
    queue = queue_of(item("a"))
    drain(queue)
    queue.add([item("b", "a")])

    assert drain(queue) == ["b"]


def test_ready_lists_what_can_be_claimed_next_one_first() -> None:
    queue = queue_of(item("a", priority=1), item("b"), item("c", "a"), item("d", priority=9))

    assert [each.id for each in queue.ready(now_s=0.0)] == ["d", "b", "a"]


# --- what comes in ---


@pytest.mark.parametrize(
    ("items", "error"),
    [
        pytest.param([item("x"), item("old")], DuplicateWorkItemError, id="id-taken"),
        pytest.param([item("x"), item("done")], DuplicateWorkItemError, id="id-taken-by-finished"),
        pytest.param([item("x"), item("x")], DuplicateWorkItemError, id="id-twice-in-one-batch"),
        pytest.param([item("x"), item("y", "nobody")], UnknownDependencyError, id="unknown"),
        pytest.param([item("x", "y"), item("y", "x")], DependencyCycleError, id="cycle"),
        pytest.param([item(f"x{n}") for n in range(5)], QueueFullError, id="too-many"),
    ],
)
def test_a_refused_batch_changes_nothing(items: list[WorkItem], error: type[WorkError]) -> None:
    queue = queue_of(item("done"), capacity=5)
    drain(queue)
    queue.add([item("old")])
    before = queue.snapshot()

    with pytest.raises(error):
        queue.check(items)
    with pytest.raises(error):
        queue.add(items)

    assert queue.snapshot() == before
    assert drain(queue) == ["old"]


def test_checking_takes_nothing() -> None:
    queue = WorkQueue()

    queue.check([item("a"), item("b", "a")])

    assert len(queue) == 0


def test_a_full_queue_says_how_full() -> None:
    queue = queue_of(item("a"), item("b"), capacity=3)

    with pytest.raises(QueueFullError) as caught:
        queue.add([item("c"), item("d")])

    assert (caught.value.capacity, caught.value.live, caught.value.offered) == (3, 2, 2)


def test_finished_items_leave_room_for_others() -> None:
    queue = WorkQueue(capacity=10)
    for round_number in range(500):
        queue.add([item(f"i{round_number}-{n}") for n in range(10)])
        assert len(drain(queue)) == 10

    assert len(queue) == 0
    assert queue.snapshot().counts[WorkState.COMPLETED] == 5000


@pytest.mark.parametrize(
    "misuse",
    [
        pytest.param(lambda: WorkQueue(capacity=0), id="no-capacity"),
        pytest.param(lambda: claim(queue_of(item("a")), lease_s=0.0), id="no-lease"),
        pytest.param(lambda: claim(queue_of(item("a")), lease_s=float("nan")), id="nan-lease"),
    ],
)
def test_senseless_bounds_are_refused(misuse: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        misuse()


# --- attempts and leases ---


def test_a_released_item_comes_back_as_the_next_attempt_in_its_old_place() -> None:
    queue = queue_of(item("a"), item("b"))
    first = claim(queue)

    assert queue.release("a", attempt=first.attempt, guidance=("be brief",)) == 2

    second = claim(queue)
    assert (second.item.id, second.attempt, second.guidance) == ("a", 2, ("be brief",))


def test_guidance_stays_until_there_is_other_guidance() -> None:
    queue = queue_of(item("a"))
    queue.release("a", attempt=claim(queue).attempt, guidance=("be brief",))
    queue.release("a", attempt=claim(queue).attempt)

    assert claim(queue).guidance == ("be brief",)


def test_the_last_attempt_is_not_released_but_left_to_be_failed() -> None:
    queue = queue_of(item("a", max_attempts=2), item("b", "a"))
    queue.release("a", attempt=claim(queue).attempt)
    last = claim(queue)

    assert queue.release("a", attempt=last.attempt) is None
    assert queue.state("a") is WorkState.ACTIVE
    assert queue.fail("a", attempt=last.attempt) == ("b",)


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(lambda queue: queue.complete("a", attempt=1), id="complete"),
        pytest.param(lambda queue: queue.fail("a", attempt=1), id="fail"),
        pytest.param(lambda queue: queue.release("a", attempt=1), id="release"),
        pytest.param(
            lambda queue: queue.extend("a", attempt=1, now_s=0.0, lease_s=1.0), id="extend"
        ),
        pytest.param(
            lambda queue: queue.begin_review(
                "a", attempt=1, now_s=0.0, reviewer="reviewer", lease_s=1.0
            ),
            id="begin-review",
        ),
    ],
)
@pytest.mark.parametrize("claimed_again", [False, True], ids=["waiting", "claimed-again"])
def test_a_stale_claim_cannot_touch_the_next_attempt(
    late: Callable[[WorkQueue], object], claimed_again: bool
) -> None:
    queue = queue_of(item("a"))
    queue.release("a", attempt=claim(queue).attempt)
    if claimed_again:
        claim(queue)
    before = queue.snapshot()

    with pytest.raises(StaleClaimError) as caught:
        late(queue)

    assert (caught.value.attempt, caught.value.current) == (1, 2)
    assert queue.snapshot() == before


def test_an_item_rests_until_its_moment_and_the_others_pass_it_by() -> None:
    queue = queue_of(item("a", priority=9), item("b"), item("c"))
    queue.release("a", attempt=claim(queue).attempt, not_before_s=60.0)

    assert [each.id for each in queue.ready(now_s=59.9)] == ["b", "c"]
    assert claim(queue, now_s=59.9).item.id == "b"
    assert [each.id for each in queue.ready(now_s=60.0)] == ["a", "c"]
    again = claim(queue, now_s=60.0)
    assert (again.item.id, again.attempt) == ("a", 2)


def test_an_item_of_the_past_rests_no_more() -> None:
    queue = queue_of(item("a"))
    queue.release("a", attempt=claim(queue).attempt, not_before_s=-5.0)

    assert claim(queue, now_s=0.0).attempt == 2


def test_a_rest_is_for_one_attempt_only() -> None:
    queue = queue_of(item("a"))
    queue.release("a", attempt=claim(queue).attempt, not_before_s=60.0)
    second = claim(queue, now_s=60.0)
    assert queue.snapshot().live[0].not_before_s is None
    queue.release("a", attempt=second.attempt)

    assert queue.snapshot().live[0].not_before_s is None
    assert claim(queue, now_s=0.0).attempt == 3


def test_the_next_moment_is_that_of_the_first_who_still_rests() -> None:
    queue = queue_of(item("a"), item("b"), item("c"))
    for rest_s in (30.0, 10.0, 20.0):
        taken = claim(queue)
        queue.release(taken.item.id, attempt=1, not_before_s=rest_s)

    shown = {each.item.id: each.not_before_s for each in queue.snapshot().live}
    assert shown == {"a": 30.0, "b": 10.0, "c": 20.0}
    assert queue.next_due_s(0.0) == 10.0
    assert queue.next_due_s(10.0) == 20.0, "b is ready, and waits for nobody but a worker"
    queue.cancel("c")
    assert queue.next_due_s(10.0) == 30.0
    assert queue.next_due_s(30.0) is None
    assert WorkQueue().next_due_s(0.0) is None


@pytest.mark.parametrize("moment_s", [float("nan"), float("inf")])
def test_a_moment_that_is_none_is_refused_and_changes_nothing(moment_s: float) -> None:
    queue = queue_of(item("a"))
    attempt = claim(queue).attempt
    before = queue.snapshot()

    with pytest.raises(UsageError, match="finite"):
        queue.release("a", attempt=attempt, not_before_s=moment_s)
    assert queue.snapshot() == before

    with pytest.raises(UsageError, match="finite"):
        WorkQueue().restore((), finished={}, not_before_s={"a": moment_s})


def test_a_lease_that_is_not_renewed_expires() -> None:
    queue = queue_of(item("a"), item("b"))
    claim(queue, now_s=0.0, lease_s=10.0)
    claim(queue, now_s=5.0, lease_s=10.0)

    assert queue.next_expiry_s() == 10.0
    assert queue.expired(9.9) == ()
    assert [late.item.id for late in queue.expired(10.0)] == ["a"]
    queue.extend("a", attempt=1, now_s=12.0, lease_s=10.0)
    assert [late.item.id for late in queue.expired(15.0)] == ["b"]
    assert [late.item.id for late in queue.expired(22.0)] == ["b", "a"]


def test_an_expired_claim_counts_until_it_is_released() -> None:
    queue = queue_of(item("a"))
    claim(queue, now_s=0.0, lease_s=1.0)

    assert len(queue.expired(2.0)) == 1
    queue.complete("a", attempt=1)

    assert queue.expired(2.0) == ()
    assert queue.next_expiry_s() is None


def test_a_review_has_a_lease_of_its_own() -> None:
    queue = queue_of(item("a"))
    claim(queue, now_s=0.0, lease_s=10.0)

    handed_on = queue.begin_review("a", attempt=1, now_s=8.0, reviewer="reviewer", lease_s=10.0)

    assert (handed_on.worker, handed_on.expires_at_s) == ("reviewer", 18.0)
    assert queue.claims() == (handed_on,)
    assert queue.state("a") is WorkState.REVIEWING
    assert queue.expired(17.0) == ()
    assert queue.release("a", attempt=1) == 2


# --- the end ---


def test_a_failure_names_everything_that_can_never_run() -> None:
    queue = queue_of(
        item("a"), item("b", "a"), item("c", "b"), item("d", "a", "c"), item("e"), item("f", "e")
    )

    lost = queue.fail("a")
    assert lost == ("b", "d", "c")
    for item_id in lost:
        assert set(queue.fail(item_id)) <= set(lost)

    assert drain(queue) == ["e", "f"]
    assert len(queue) == 0


def test_a_cancelled_item_takes_its_dependents_with_it_and_voids_its_claim() -> None:
    queue = queue_of(item("a"), item("b", "a"))
    taken = claim(queue)

    assert queue.cancel("a") == ("b",)

    assert queue.state("a") is WorkState.CANCELLED
    with pytest.raises(IllegalWorkStateError, match="it is cancelled"):
        queue.complete("a", attempt=taken.attempt)


def test_a_cancelled_item_is_not_handed_out() -> None:
    queue = queue_of(item("a", priority=9), item("b"))
    queue.cancel("a")

    assert drain(queue) == ["b"]


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_items_that_depend_on_a_lost_one_are_named_when_they_are_added(end: str) -> None:
    queue = queue_of(item("a"))
    getattr(queue, end)("a")

    assert queue.add([item("c", "b"), item("b", "a"), item("d")]) == ("b", "c")
    assert [each.id for each in queue.ready(now_s=0.0)] == ["d"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param(lambda q: q.complete("a", attempt=1), IllegalWorkStateError, id="unclaimed"),
        pytest.param(lambda q: q.release("a", attempt=1), IllegalWorkStateError, id="release"),
        pytest.param(
            lambda q: q.fail("a", attempt=1), IllegalWorkStateError, id="fail-an-attempt-not-begun"
        ),
        pytest.param(lambda q: q.cancel("done"), IllegalWorkStateError, id="cancel-finished"),
        pytest.param(lambda q: q.fail("done"), IllegalWorkStateError, id="fail-finished"),
        pytest.param(lambda q: q.cancel("nobody"), UnknownWorkItemError, id="unknown"),
        pytest.param(lambda q: q.state("nobody"), UnknownWorkItemError, id="state-of-unknown"),
    ],
)
def test_a_senseless_move_is_refused(
    call: Callable[[WorkQueue], object], error: type[WorkError]
) -> None:
    queue = queue_of(item("done"))
    drain(queue)
    queue.add([item("a")])
    before = queue.snapshot()

    with pytest.raises(error):
        call(queue)

    assert queue.snapshot() == before


# --- seen from outside ---


def test_a_snapshot_shows_who_has_what_and_who_waits_for_whom() -> None:
    queue = queue_of(item("a"), item("b", "a"), item("c"))
    claim(queue, now_s=1.0, lease_s=2.0)
    queue.cancel("c")

    snapshot = queue.snapshot()

    shown = [(each.item.id, each.state, each.worker, each.waits_for) for each in snapshot.live]
    assert shown == [
        ("a", WorkState.ACTIVE, "executor", ()),
        ("b", WorkState.WAITING, None, ("a",)),
    ]
    assert snapshot.live[0].expires_at_s == 3.0
    assert snapshot.counts[WorkState.CANCELLED] == 1
    assert "c" in queue
    assert "nobody" not in queue


# --- the next run ---


def test_a_restored_queue_goes_on_where_the_old_one_stopped() -> None:
    old = queue_of(item("done"), item("a"), item("b", "done", "a"), item("lost"))
    old.complete(claim(old).item.id, attempt=1)
    old.release("a", attempt=claim(old).attempt, guidance=("be brief",))
    old.cancel("lost")

    queue = WorkQueue(capacity=1)
    finished = {"done": WorkState.COMPLETED, "lost": WorkState.CANCELLED}
    assert queue.restore(old.snapshot().live, finished=finished) == ()

    resumed = claim(queue)
    assert (resumed.item.id, resumed.attempt, resumed.guidance) == ("a", 2, ("be brief",))
    queue.complete("a", attempt=2)
    assert drain(queue) == ["b"]
    assert queue.state("lost") is WorkState.CANCELLED


def test_a_restored_item_rests_as_long_as_the_new_clock_says() -> None:
    old = queue_of(item("a", priority=9), item("b"))
    old.release("a", attempt=claim(old).attempt, not_before_s=1000.0)
    queue = WorkQueue()

    queue.restore(old.snapshot().live, finished={}, not_before_s={"a": 7.0})

    assert queue.next_due_s(0.0) == 7.0
    assert claim(queue, now_s=0.0).item.id == "b"
    assert claim(queue, now_s=7.0).item.id == "a"


def test_restoring_names_what_can_never_run() -> None:
    live = queue_of(item("gone"), item("a", "gone"), item("b", "a")).snapshot().live[1:]

    assert WorkQueue().restore(live, finished={"gone": WorkState.FAILED}) == ("a", "b")


def test_an_attempt_under_way_has_to_end_before_it_is_restored() -> None:
    old = queue_of(item("a"))
    claim(old)
    queue = WorkQueue()

    with pytest.raises(IllegalWorkStateError):
        queue.restore(old.snapshot().live, finished={})

    assert len(queue) == 0


def test_only_an_empty_queue_is_restored() -> None:
    with pytest.raises(UsageError, match="empty"):
        queue_of(item("a")).restore((), finished={})


def test_only_final_states_are_restored_as_finished() -> None:
    with pytest.raises(IllegalWorkStateError):
        WorkQueue().restore((), finished={"a": WorkState.ACTIVE})
