from __future__ import annotations

import pickle
from collections.abc import Sequence
from threading import Thread

import pytest

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.simulation.draws import Seeded
from pytest_mnemosyne.simulation.faults import (
    Crash,
    CrashStorm,
    FaultPlan,
    FaultsNotMetError,
    Moment,
    Occasion,
    RunningPlan,
    Stage,
    Strike,
)

EXECUTOR, REVIEWER = Lane("executor"), Lane("reviewer")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Told:
    """Draws that a test has written down."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.labels: list[str] = []

    def draw(self, label: str, options: int) -> int:
        self.labels.append(label)
        number = self.numbers.pop(0)
        assert number < options
        return number


def struck(running: RunningPlan, *lanes: Lane | None, stage: Stage = Stage.CALL) -> list[int]:
    """The places of the calls that were struck, of these calls one after the other."""
    return [
        number
        for number, lane in enumerate(lanes, start=1)
        if (armed := running.meet(lane=lane, streamed=False).at(stage)) is not None
        and armed.strikes()
    ]


@pytest.mark.parametrize(
    ("plan", "lanes", "numbers"),
    [
        pytest.param("drop()", [None] * 3, [1], id="once-by-default"),
        pytest.param("drop(call=2)", [None] * 3, [2], id="the-second-call"),
        pytest.param("drop(call=2, count=2)", [None] * 4, [2, 3], id="two-in-a-row"),
        pytest.param("drop(call=2, count=None)", [None] * 4, [2, 3, 4], id="from-the-second-on"),
        pytest.param("drop(count=2)", [None] * 3, [1, 2], id="the-first-two"),
        pytest.param("drop(count=None)", [None] * 3, [1, 2, 3], id="all"),
        pytest.param("drop(call=9)", [None] * 3, [], id="never-reached"),
        pytest.param("drop(agent='executor')", [None, REVIEWER, EXECUTOR], [3], id="agent"),
        pytest.param(
            "drop(agent='executor', call=2)",
            [EXECUTOR, REVIEWER, REVIEWER, EXECUTOR],
            [4],
            id="an-agents-calls-are-counted-by-themselves",
        ),
        pytest.param(
            "drop(call=2)", [EXECUTOR, REVIEWER, EXECUTOR], [2], id="calls-of-all-together"
        ),
        pytest.param(
            "drop(agent='executor/*')",
            [EXECUTOR, Lane("executor/sub-1"), Lane("executor/sub-2"), Lane("executor/sub-1")],
            [2, 3],
            id="each-agent-of-a-glob-on-its-own",
        ),
        pytest.param(
            "drop(agent='a[1]')", [Lane("a1"), Lane("a[1]")], [1, 2], id="glob-or-exact-path"
        ),
        pytest.param("drop(agent='*')", [None, EXECUTOR], [2], id="any-agent-is-not-no-agent"),
        pytest.param("drop(attempt=1)", [None, EXECUTOR], [1], id="no-agent-is-in-its-first"),
        pytest.param(
            "drop(attempt=2, call=1)",
            [EXECUTOR, EXECUTOR, Lane("executor", 2), Lane("executor", 2)],
            [3],
            id="an-attempts-calls-are-counted-by-themselves",
        ),
        pytest.param(
            "status(429, agent='executor'); drop(agent='executor', call=2)",
            [EXECUTOR, EXECUTOR, EXECUTOR],
            [1, 2],
            id="what-is-spent-gives-way",
        ),
    ],
)
def test_a_fault_strikes_the_calls_that_its_address_names(
    plan: str, lanes: Sequence[Lane | None], numbers: list[int]
) -> None:
    assert struck(RunningPlan(FaultPlan.parse(plan)), *lanes) == numbers


def test_of_two_faults_for_one_stage_the_first_strikes_and_the_other_is_not_used_up() -> None:
    running = RunningPlan(FaultPlan.parse("status(429); status(529)"))

    struck(running, None, None, None)

    assert [str(each.planned) for each in running.strikes] == ["status(429)", "status(529)"]


def test_a_call_can_be_struck_at_every_stage() -> None:
    running = RunningPlan(FaultPlan.parse("short_body(); refusal(); sent_twice(); late(1)"))

    meeting = running.meet(lane=None, streamed=False)

    assert set(meeting.armed) == {Stage.ARRIVAL, Stage.CALL, Stage.MESSAGE, Stage.BODY}


@pytest.mark.parametrize(
    ("plan", "streamed", "unstreamed"),
    [
        pytest.param("drop(stream_event=1)", Stage.BODY, None, id="at-an-event"),
        pytest.param("drop()", Stage.CALL, Stage.CALL, id="before-any-answer"),
        pytest.param("short_body()", None, Stage.BODY, id="whole-answers-only"),
        pytest.param("drip(1)", Stage.PACE, None, id="streams-only"),
        pytest.param("broken_tool_json(stream_event=1)", Stage.MESSAGE, None, id="an-events-own"),
    ],
)
def test_a_fault_is_ready_only_for_answers_to_which_it_can_happen(
    plan: str, streamed: Stage | None, unstreamed: Stage | None
) -> None:
    running = RunningPlan(FaultPlan.parse(plan))

    assert list(running.meet(lane=None, streamed=True).armed) == [streamed] * (streamed is not None)
    assert list(running.meet(lane=None, streamed=False).armed) == (
        [unstreamed] * (unstreamed is not None)
    )


def test_of_calls_that_are_ready_together_the_first_to_be_struck_uses_a_fault_up() -> None:
    running = RunningPlan(FaultPlan.parse("drop(stream_event=5)"))

    first = running.meet(lane=None, streamed=True).at(Stage.BODY)
    second = running.meet(lane=None, streamed=True).at(Stage.BODY)

    assert first is not None
    assert second is not None
    assert second.strikes()
    assert not first.strikes()
    assert second.strikes(), "asked again, it says the same"
    assert [each.call for each in running.strikes] == [2]


def test_a_time_window_begins_with_the_first_call() -> None:
    clock = Clock()
    running = RunningPlan(FaultPlan.parse("drop(after_s=10, before_s=20, count=None)"), clock=clock)
    found = []
    for now_s in (100.0, 109.5, 110.0, 119.5, 120.0):
        clock.now_s = now_s
        found.append(bool(struck(running, None)))

    assert found == [False, False, True, True, False]
    assert [each.at_s for each in running.strikes] == [10.0, 19.5]


@pytest.mark.parametrize(
    ("number", "happens"),
    [
        pytest.param(0, False, id="the-plain-choice-is-no-fault"),
        pytest.param(749_999, False, id="just-not"),
        pytest.param(750_000, True, id="just"),
        pytest.param(999_999, True, id="the-last"),
    ],
)
def test_chance_is_drawn(number: int, happens: bool) -> None:
    told = Told(number)
    running = RunningPlan(FaultPlan.parse("drop(chance=0.25)"), draws=told)

    assert bool(struck(running, None)) is happens
    assert told.labels == ["fault: drop(chance=0.25)"]


def test_chance_is_drawn_only_where_it_matters() -> None:
    told = Told(999_999)
    running = RunningPlan(
        FaultPlan.parse("drop(chance=0.5, call=2); status(529, chance=1, call=1)"),
        draws=told,
    )

    assert struck(running, None, None, None) == [1, 2]
    assert told.numbers == []


def test_the_same_seed_lets_the_same_things_happen() -> None:
    def run(seed: int) -> list[int]:
        plan = FaultPlan.parse("drop(chance=0.5, count=None)")
        running = RunningPlan(plan, draws=Seeded(seed))
        return struck(running, *[None] * 40)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_nothing_is_left_to_chance_without_a_source_of_it() -> None:
    assert struck(RunningPlan(FaultPlan.parse("drop(chance=0.999)")), None) == []


def test_what_was_never_met_is_told_with_the_calls_that_were_made() -> None:
    running = RunningPlan(
        FaultPlan.parse(
            "drop(agent='exectuor'); status(529); drop(call=7, optional=True); "
            "drop(chance=0.1); drop(after_s=5); drop(before_s=5, call=9)"
        )
    )
    struck(running, EXECUTOR, EXECUTOR, None)

    with pytest.raises(FaultsNotMetError) as caught:
        running.check_met()

    assert caught.value.unmet == ("drop(agent='exectuor')",)
    assert caught.value.calls == {"executor": 2, "": 1}
    assert str(caught.value).splitlines() == [
        "planned, but never met:",
        "  drop(agent='exectuor')",
        "calls to Claude: executor 2, no agent 1",
        "correct the address, or say optional=True",
    ]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_plan_that_was_met_is_fine() -> None:
    running = RunningPlan(FaultPlan.parse("drop()"))
    struck(running, None)

    running.check_met()


def test_faults_may_be_added_while_the_plan_runs() -> None:
    running = RunningPlan()
    struck(running, None)

    running.add(FaultPlan.parse("drop(call=3)"))

    assert struck(running, None, None) == [2]
    assert str(running.plan) == "drop(call=3)"


def test_a_strike_is_told_to_the_call_that_it_struck() -> None:
    running, told = RunningPlan(FaultPlan.parse("drop()")), list[Strike]()

    meeting = running.meet(lane=Lane("executor", 2), streamed=False, on_strike=told.append)
    armed = meeting.at(Stage.CALL)

    assert told == []
    assert armed is not None
    assert armed.strikes()
    assert armed.strikes()
    assert tuple(told) == running.strikes
    assert str(told[0]).startswith("call 1 of executor (attempt 2), ")
    assert str(told[0]).endswith(" s: drop()")


def test_calls_from_many_threads_are_counted_once_each() -> None:
    running = RunningPlan(FaultPlan.parse("drop(call=150, count=51)"))
    threads = [Thread(target=struck, args=(running, *[None] * 50)) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(each.call for each in running.strikes) == list(range(150, 201))


# --- occasions other than calls to Claude -----------------------------------------------


def reached(
    running: RunningPlan, occasion: Occasion, *moments: Moment, again: bool = False
) -> list[int]:
    """The places of the moments that were struck, of these one after the other."""
    return [
        number
        for number, moment in enumerate(moments, start=1)
        if (armed := running.reach(occasion, moment, again=again)) is not None and armed.strikes()
    ]


@pytest.mark.parametrize(
    ("plan", "numbers"),
    [
        pytest.param("lose(call=2)", [2], id="all-together"),
        pytest.param("lose(agent='a', call=2)", [3], id="by-receiver"),
        pytest.param("lose(sender='x', call=2)", [4], id="by-sender"),
        pytest.param("lose(message='Do', call=2)", [4], id="by-type"),
        pytest.param("lose(message='D*', count=None)", [1, 3, 4], id="by-glob"),
        pytest.param("lose(agent='a', sender='x', message='Do', call=1)", [1], id="by-all"),
        pytest.param("lose(attempt=2)", [4], id="by-incarnation"),
    ],
)
def test_what_the_address_names_is_counted_by_itself(plan: str, numbers: list[int]) -> None:
    moments = (
        Moment(agent="a", message="Do", sender="x"),
        Moment(agent="b", message="Say", sender="y"),
        Moment(agent="a", message="Dig", sender="y"),
        Moment(agent="b", message="Do", sender="x", attempt=2),
    )

    assert reached(RunningPlan(FaultPlan.parse(plan)), Occasion.DELIVERY, *moments) == numbers


def test_each_kind_of_occasion_is_counted_on_its_own() -> None:
    running = RunningPlan(FaultPlan.parse("crash(call=2); crash(at='start', call=2)"))
    moment = Moment(agent="a")

    assert reached(running, Occasion.START, moment) == []
    assert reached(running, Occasion.MESSAGE, moment, moment) == [2]
    assert reached(running, Occasion.START, moment) == [1]
    assert [str(each).split(",")[0] for each in running.strikes] == [
        "message 2 of a (attempt 1)",
        "start 2 of a (attempt 1)",
    ]


def test_an_occasion_that_is_met_again_is_not_counted_again() -> None:
    running = RunningPlan(FaultPlan.parse("crash(at='idle', call=2)"))
    moment = Moment(agent="a")
    reached(running, Occasion.IDLE, moment)

    assert reached(running, Occasion.IDLE, moment, moment, again=True) == []
    assert reached(running, Occasion.IDLE, moment) == [1]


def test_what_lies_ahead_is_told_with_its_time() -> None:
    clock = Clock()
    running = RunningPlan(
        FaultPlan.parse(
            "crash_storm(2, agent='a', after_s=5); crash_storm(3, agent='b'); "
            "crash_storm(4, agent='a', before_s=1)"
        ),
        clock=clock,
    )
    moment = Moment(agent="a")

    assert running.ahead(Occasion.TICK, moment) == [(CrashStorm(2), 5), (CrashStorm(4), 0)]
    clock.now_s += 2
    assert running.ahead(Occasion.TICK, moment) == [(CrashStorm(2), 3)]
    clock.now_s += 4
    assert reached(running, Occasion.TICK, moment) == [1]
    assert running.ahead(Occasion.TICK, moment) == []


def test_a_fault_that_cannot_happen_here_lets_the_next_one_strike() -> None:
    running = RunningPlan(FaultPlan.parse("exit_normally(at='start'); crash(at='start')"))

    armed = running.reach(
        Occasion.START, Moment(agent="a"), can_strike=lambda fault: isinstance(fault, Crash)
    )

    assert armed is not None
    assert str(armed.planned) == "crash(at='start')"


def test_what_was_never_met_is_told_with_what_there_was_of_its_kind() -> None:
    running = RunningPlan(FaultPlan.parse("crash(agent='exectuor'); lag()"))
    reached(running, Occasion.MESSAGE, Moment(agent="executor"), Moment(agent="executor"))

    with pytest.raises(FaultsNotMetError) as caught:
        running.check_met()

    *lines, advice = str(caught.value).splitlines()
    assert lines == [
        "planned, but never met:",
        "  crash(agent='exectuor')",
        "  lag()",
        "message: executor 2",
        "event: none",
    ]
    assert advice == (
        "correct the address, or say optional=True; a supervisor, a bridge or a bus of your own "
        "meets a plan only if it is given its failpoints"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
