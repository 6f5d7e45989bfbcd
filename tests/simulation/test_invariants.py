"""The invariants: each one finds what it is about, and finds nothing where nothing is wrong."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings

from mnemosyne_core.events import (
    ChildLeaked,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    Event,
    Fact,
    Occasion,
    RestartDelayed,
    RestartIntensityReached,
    TreeStarted,
    TreeStopped,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkSubmitted,
)
from mnemosyne_core.observe import Metrics, MetricsSnapshot
from mnemosyne_core.supervision import RestartIntensity
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree
from mnemosyne_core.work import Failure, Usage, WorkItem, WorkResult
from pytest_mnemosyne.simulation.invariants import (
    InvariantError,
    SupervisorRules,
    check_history,
    check_invariants,
)
from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.strategies import event_streams
from tests.core.tree.cast import Call, Cast, done
from tests.core.tree.laws import assert_lawful

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
LAST_LINE = (
    "events are numbered as in tree.journal.events(); look at what came before the first of them"
)
ROOT = {"tree": SupervisorRules(intensity=RestartIntensity(max_restarts=1, period_s=10.0))}


class Story:
    """Events in a row, numbered; each is dated a second after the one before it."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(
        self, fact: Fact, agent: str = "tree", *, attempt: int = 1, by: int | None = None
    ) -> int:
        seq = len(self.events) + 1
        at = BEGIN + timedelta(seconds=seq)
        event = Event(seq=seq, at=at, agent=agent, attempt=attempt, by=by, fact=fact)
        self.events.append(event)
        return seq

    # --- children of the root ---

    def start(
        self,
        path: str,
        number: int = 1,
        *,
        by: int | None = None,
        occasion: Occasion = Occasion.START,
    ) -> int:
        supervisor, _, child = f"tree/{path}".rpartition("/")
        fact = ChildStarted(
            child=child,
            incarnation=number,
            supervisor=supervisor.removeprefix("tree/"),
            occasion=occasion,
        )
        return self.tell(fact, path, by=by)

    def end(
        self,
        path: str,
        number: int = 1,
        *,
        by: int | None = None,
        occasion: Occasion = Occasion.RUNNING,
    ) -> int:
        supervisor, _, child = f"tree/{path}".rpartition("/")
        fact = ChildTerminated(
            child=child,
            incarnation=number,
            reason="crash",
            abnormal=True,
            supervisor=supervisor.removeprefix("tree/"),
            occasion=occasion,
        )
        return self.tell(fact, path, by=by)

    def restart(self, path: str, number: int) -> int:
        """The end of the incarnation before `number`, and the start of this one."""
        ended = self.end(path, number - 1)
        return self.start(path, number, by=ended, occasion=Occasion.RESTART)

    # --- work ---

    def submit(self, item_id: str = "i", **fields: object) -> int:
        item = WorkItem.parse({"id": item_id, "description": "x", **fields})
        return self.tell(WorkSubmitted(item=item))

    def claim(self, item_id: str = "i", attempt: int = 1) -> int:
        return self.tell(WorkClaimed(item_id=item_id, worker="executor"), attempt=attempt)

    def release(self, item_id: str = "i") -> int:
        return self.tell(WorkReleased(item_id=item_id, reason="again"))

    def complete(self, item_id: str = "i") -> int:
        return self.tell(WorkCompleted(item_id=item_id, result=success(item_id)))

    def fail(self, item_id: str = "i") -> int:
        failure = Failure(code="crash", message="it broke")
        result = WorkResult(item_id=item_id, success=False, error=failure)
        return self.tell(WorkFailed(item_id=item_id, result=result))


def success(item_id: str = "i", *, attempt: int = 1, tokens: int = 0) -> WorkResult:
    usage = Usage(input_tokens=tokens)
    return WorkResult(item_id=item_id, attempt=attempt, success=True, usage=usage)


@pytest.fixture
def story() -> Story:
    return Story()


def broken(story: Story, **bounds: object) -> list[tuple[str, tuple[int, ...]]]:
    """The invariants that do not hold, each with the numbers of the events that show it."""
    try:
        check_history(story.events, **bounds)  # type: ignore[arg-type]
    except InvariantError as error:
        return [
            (violation.invariant, tuple(event.seq for event in violation.events))
            for violation in error.violations
        ]
    return []


# --- nothing wrong ---------------------------------------------------------------------


@settings(max_examples=50)
@given(event_streams())
def test_histories_that_a_tree_could_have_written_break_no_invariant(history: list[Event]) -> None:
    check_history(history, leaks={event.agent for event in history})


def test_nothing_is_wrong_where_nothing_has_happened() -> None:
    check_history([])


# --- any story -------------------------------------------------------------------------


def test_a_number_that_is_missing_is_found_once(story: Story) -> None:
    for _ in range(4):
        story.tell(TreeStarted())
    del story.events[1]

    assert broken(story) == [("numbers_have_no_gap", (3,))]


def test_a_cause_after_its_effect_is_found(story: Story) -> None:
    story.tell(TreeStarted(), by=2)
    story.tell(TreeStarted(), by=2)

    assert broken(story) == [("causes_come_first", (1,)), ("causes_come_first", (2,))]


def test_whatever_happens_in_a_stopped_tree_is_found(story: Story) -> None:
    story.tell(TreeStarted())
    stopped = story.tell(TreeStopped(reason="done"))
    after = story.submit()
    story.tell(TreeStarted())
    story.submit("j")

    assert broken(story) == [("nothing_follows_the_end", (stopped, after))]


def test_whoever_was_left_behind_is_found_unless_that_was_declared(story: Story) -> None:
    leaked = story.tell(ChildLeaked(child="a", shutdown_s=5.0), "a")

    assert broken(story) == [("nobody_is_left_behind", (leaked,))]
    assert broken(story, leaks={"a"}) == []


def test_tokens_that_are_counted_otherwise_than_told_are_found(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.submit()
    story.claim()
    story.tell(WorkReturned(item_id="i", result=success(tokens=7)))
    story.tell(WorkCompleted(item_id="i", result=success(tokens=7)))

    assert broken(story) == []
    twice = MetricsSnapshot(usage=Usage(input_tokens=14))
    monkeypatch.setattr(Metrics, "snapshot", lambda _: twice)
    assert broken(story) == [("usage_is_counted_once", ())]


def test_a_secret_is_found_and_not_repeated(story: Story) -> None:
    story.submit(context={"deep": ["the key is sk-canary"]})

    with pytest.raises(InvariantError) as caught:
        check_history(story.events, secrets=("other", "sk-canary"))

    assert "secret 2 stands in event 1" in str(caught.value)
    assert "canary" not in str(caught.value)


# --- supervision -----------------------------------------------------------------------


def test_a_start_beside_a_living_incarnation_is_found(story: Story) -> None:
    first = story.start("a")
    second = story.start("a", 2)

    assert broken(story) == [("one_incarnation_lives", (first, second))]


def test_an_end_of_who_does_not_live_is_found(story: Story) -> None:
    ended = story.end("a")

    assert broken(story) == [("one_incarnation_lives", (ended,))]


def test_an_end_of_an_older_incarnation_is_found(story: Story) -> None:
    started = story.start("a", 2)
    ended = story.end("a", 1)

    assert broken(story) == [("one_incarnation_lives", (started, ended))]


def test_children_of_a_killed_process_are_not_alive_in_the_next_run(story: Story) -> None:
    story.tell(TreeStarted())
    story.start("a")
    story.tell(TreeStarted())
    story.start("a")
    story.end("a")
    story.tell(TreeStopped(reason="done"))

    assert broken(story, supervisors=ROOT) == []


def test_children_that_outlive_their_supervisor_are_found(story: Story) -> None:
    inner = story.start("s/a")
    story.start("s")
    ended = story.end("s")

    assert broken(story) == [("children_end_with_their_supervisor", (inner, ended))]


def test_children_that_outlive_their_tree_are_found(story: Story) -> None:
    started = story.start("a")
    stopped = story.tell(TreeStopped(reason="done"))

    assert broken(story) == [("children_end_with_their_supervisor", (started, stopped))]


def test_restarts_beyond_the_intensity_are_found(story: Story) -> None:
    story.start("a")
    for number in (2, 3):
        story.restart("a", number)

    assert broken(story, supervisors=ROOT) == [("restarts_stay_within_the_intensity", (2, 4))]
    assert broken(story) == []


def test_a_restart_that_is_one_period_old_counts_and_an_older_one_does_not(story: Story) -> None:
    story.start("a")
    story.restart("a", 2)
    story.restart("a", 3)
    bounds = {
        period_s: {
            "tree": SupervisorRules(intensity=RestartIntensity(max_restarts=1, period_s=period_s))
        }
        for period_s in (2.0, 1.9)
    }

    assert broken(story, supervisors=bounds[2.0]) != []
    assert broken(story, supervisors=bounds[1.9]) == []


def test_one_incident_is_one_restart_whoever_is_started_again_for_it(story: Story) -> None:
    for path in ("a", "b"):
        story.start(path)
    ended = story.end("a")
    delayed = story.tell(
        RestartDelayed(child="a", incarnation=1, delay_s=1.0, in_a_row=1, supervisor="tree"),
        "a",
        by=ended,
    )
    story.end("b", by=ended, occasion=Occasion.RESTART)
    story.start("a", 2, by=delayed, occasion=Occasion.RESTART)
    story.start("b", 2, by=ended, occasion=Occasion.RESTART)

    assert broken(story, supervisors=ROOT) == []


def test_a_start_that_fails_during_a_restart_counts_too(story: Story) -> None:
    story.start("a")
    ended = story.end("a")
    fact = ChildStartFailed(
        child="a", incarnation=2, reason="no", supervisor="tree", occasion=Occasion.RESTART
    )
    failed = story.tell(fact, "a", by=ended)
    story.start("a", 3, by=failed, occasion=Occasion.RESTART)

    assert broken(story, supervisors=ROOT) == [
        ("restarts_stay_within_the_intensity", (ended, failed))
    ]


def test_a_new_life_of_a_supervisor_begins_with_a_new_window(story: Story) -> None:
    rules = {"s": ROOT["tree"]}
    for number in (1, 2):
        story.start("s/a")
        story.start("s", number)
        story.restart("s/a", 2)
        story.end("s/a", 2, occasion=Occasion.SHUTDOWN)
        story.end("s", number)

    assert broken(story, supervisors=rules) == []


def group_restart(story: Story, stops: str, starts: str) -> None:
    for path in ("a", "b", "c"):
        story.start(path)
    ended = story.end("b")
    for path in stops:
        story.end(path, by=ended, occasion=Occasion.RESTART)
    for path in starts:
        story.start(path, 2, by=ended, occasion=Occasion.RESTART)


def test_a_group_that_is_stopped_in_reverse_and_started_in_order_is_right(story: Story) -> None:
    group_restart(story, stops="ca", starts="abc")

    assert broken(story, supervisors=ROOT) == []


def test_a_group_that_is_stopped_in_start_order_is_found(story: Story) -> None:
    group_restart(story, stops="ac", starts="abc")

    assert broken(story, supervisors=ROOT) == [("groups_stop_in_reverse", (5, 6))]


def test_a_group_that_is_started_in_another_order_is_found(story: Story) -> None:
    group_restart(story, stops="ca", starts="acb")

    assert broken(story, supervisors=ROOT) == [("groups_start_in_order", (8, 9))]
    unordered = {"tree": SupervisorRules(in_order=False)}
    assert broken(story, supervisors=unordered) == []


@pytest.mark.parametrize("gave_up", [True, False], ids=["gave-up", "stopped"])
def test_a_tree_that_ends_in_start_order_is_found(story: Story, gave_up: bool) -> None:
    story.start("a")
    story.start("b")
    by = None
    if gave_up:
        reached = RestartIntensityReached(supervisor="tree", max_restarts=1, period_s=10.0)
        by = story.tell(reached)
    first = story.end("a", by=by, occasion=Occasion.SHUTDOWN)
    second = story.end("b", by=by, occasion=Occasion.SHUTDOWN)
    story.tell(TreeStopped(reason="done"))

    found = broken(story, supervisors=ROOT)

    assert set(found) == {("groups_stop_in_reverse", (first, second))}


# --- work ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [Story.complete, Story.fail, Story.claim, Story.release],
    ids=["completed", "failed", "claimed", "released"],
)
def test_whatever_happens_to_an_item_after_its_end_is_found(
    story: Story, again: Callable[[Story], int]
) -> None:
    story.submit()
    ended = story.tell(WorkCancelled(item_id="i", reason="enough"))
    later = again(story)

    assert ("each_item_ends_once", (ended, later)) in broken(story)


def test_work_on_an_item_that_was_never_submitted_is_found(story: Story) -> None:
    story.claim()

    assert broken(story) == [("each_item_is_submitted_first", (1,))]


def test_a_second_submission_is_found(story: Story) -> None:
    story.submit()
    story.submit()

    assert broken(story) == [("each_item_is_submitted_first", (1, 2))]


def test_attempts_that_overlap_are_found(story: Story) -> None:
    story.submit()
    first, second = story.claim(), story.claim(attempt=2)

    assert broken(story) == [("attempts_count_up_by_one", (first, second))]


def test_an_attempt_with_the_number_of_another_is_found(story: Story) -> None:
    story.submit()
    story.claim()
    story.release()
    again = story.claim(attempt=1)

    assert broken(story) == [("attempts_count_up_by_one", (again,))]


def test_an_attempt_too_many_is_found(story: Story) -> None:
    story.submit(max_attempts=1)
    story.claim()
    story.release()
    again = story.claim(attempt=2)

    assert broken(story) == [("attempts_count_up_by_one", (again,))]


def test_an_attempt_before_its_dependencies_are_completed_is_found(story: Story) -> None:
    story.submit("a")
    story.submit("b", dependencies=("a",))
    early = story.claim("b")
    story.release("b")
    story.complete("a")
    story.claim("b", attempt=2)

    assert broken(story) == [("dependencies_are_completed_first", (early,))]


def test_more_work_at_the_same_time_than_allowed_is_found(story: Story) -> None:
    config = SupervisionConfig(max_concurrent_agents=1)
    for item_id in ("a", "b", "c"):
        story.submit(item_id)
    first, second = story.claim("a"), story.claim("b")
    story.release("a")
    story.release("b")
    story.claim("c")

    assert broken(story, config=config) == [("concurrency_is_bounded", (first, second))]
    assert broken(story) == []


# --- the error -------------------------------------------------------------------------


def test_the_error_lists_everything_with_the_events_that_show_it(story: Story) -> None:
    story.start("a")
    story.start("a", 2)
    story.claim()

    with pytest.raises(AssertionError) as caught:
        check_history(story.events)

    assert str(caught.value).splitlines() == [
        "2 invariants do not hold:",
        "  one_incarnation_lives: a is started although it lives",
        "    event 1: child_started of a, attempt 1",
        "    event 2: child_started of a, attempt 1",
        "  each_item_is_submitted_first: item i was never submitted",
        "    event 3: work_claimed of tree, attempt 1",
        LAST_LINE,
    ]


def test_the_error_survives_pickling(story: Story) -> None:
    story.claim()
    with pytest.raises(InvariantError) as caught:
        check_history(story.events)

    again = pickle.loads(pickle.dumps(caught.value))

    assert str(again) == str(caught.value)
    assert again.violations == caught.value.violations


# --- a tree ----------------------------------------------------------------------------


def in_a_tree(look: Callable[[Cast], Coroutine[object, object, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(look(Cast()))


def test_a_tree_at_work_keeps_the_invariants_at_any_moment() -> None:
    async def look(cast: Cast) -> None:
        async def answer(call: Call) -> WorkResult:
            check_invariants(tree)
            await asyncio.sleep(10)
            check_invariants(tree)
            return done(call)

        cast.executor.answer = answer
        async with cast.tree() as tree:
            check_invariants(tree)
            await (await tree.submit({"id": "a", "description": "x"})).result()
            assert_lawful(tree)

    in_a_tree(look)


def problems(tree: SupervisionTree, *, secrets: tuple[str, ...] = ()) -> str:
    with pytest.raises(InvariantError) as caught:
        check_invariants(tree, secrets=secrets)
    return str(caught.value)


def test_a_state_that_missed_an_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(cast: Cast) -> None:
        async with cast.tree() as tree:
            handle = await tree.submit({"id": "a", "description": "x"})
            await handle.result()
            events = tree.journal.events()
            with monkeypatch.context() as patched:
                patched.setattr(tree.journal, "events", lambda: events[:-1])
                told = problems(tree)

            assert "state_is_what_the_events_say" in told
            assert f"seq is {len(events)}, not {len(events) - 1}" in told
            assert "metrics_are_what_the_events_say" in told

    in_a_tree(look)


def test_a_secret_in_what_is_said_of_the_tree_is_found() -> None:
    async def look(cast: Cast) -> None:
        cast.reviewer.missing = "sk-canary"
        async with cast.tree() as tree:
            told = problems(tree, secrets=("sk-canary",))

            assert "health_keeps_secrets" in told
            assert "no_secret_is_told" in told
            assert "canary" not in told

    in_a_tree(look)


def test_a_bound_that_the_tree_was_not_given_is_no_bound_of_earlier_runs(tmp_path: Path) -> None:
    async def look(cast: Cast) -> None:
        wide = SupervisionConfig(max_concurrent_agents=2, database=tmp_path / "tree.db")
        async with cast.tree(wide) as tree:
            handles = await tree.submit_all([{"id": name, "description": "x"} for name in "ab"])
            for handle in handles:
                await handle.result()
        narrow = wide.model_copy(update={"max_concurrent_agents": 1})
        async with Cast().tree(narrow) as tree:
            check_invariants(tree)
            with pytest.raises(InvariantError, match="concurrency_is_bounded"):
                check_history(tree.journal.events(), config=narrow)

    in_a_tree(look)
