from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mnemosyne.simulation.faults import (
    ACTOR_FAULTS,
    BUS_FAULTS,
    KINDS,
    MAILBOX_FAULTS,
    PROCESS_FAULTS,
    PROVIDER_FAULTS,
    SUPERVISOR_FAULTS,
    Address,
    BrokenToolJson,
    Crash,
    CrashStorm,
    Cut,
    Delay,
    Drip,
    Drop,
    ErrorEvent,
    ExitNormally,
    Fault,
    FaultPlan,
    FaultPlanBuilder,
    FaultPlanError,
    ForeignCancel,
    Garbage,
    Hang,
    Late,
    LeakTask,
    Malformed,
    Occasion,
    Overflow,
    ParentDies,
    Place,
    PlannedFault,
    ProcessExit,
    ProcessKilled,
    ProcessNoise,
    ProcessStopped,
    Reorder,
    RepeatedEvent,
    Reset,
    Slow,
    SlowStart,
    SlowSubscriber,
    Stage,
    Stall,
    Status,
    SwallowCancel,
    WrongVersion,
)
from pytest_mnemosyne.simulation.faults import _actor as actor
from pytest_mnemosyne.simulation.faults import _mailbox as mailbox
from pytest_mnemosyne.simulation.faults import _process as process
from pytest_mnemosyne.simulation.faults import _provider as provider
from pytest_mnemosyne.simulation.faults import _supervisor as supervisor
from pytest_mnemosyne.simulation.faults._fault import WITH_A_MESSAGE

SECONDS = st.floats(min_value=0, max_value=1e6) | st.integers(0, 1000)
COUNTS = st.integers(1, 10_000)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
MAYBE_COUNTS = st.none() | COUNTS
AT_PROCESS = st.sampled_from(["start", "sent", "received"])

WITH_FIELDS: dict[type[Fault], st.SearchStrategy[Fault]] = {
    Status: st.builds(
        Status,
        st.integers(400, 599),
        retry_after=st.none() | SECONDS | st.text("aZ09 ,:'\"", max_size=20),
        retry_after_ms=st.none() | SECONDS,
        should_retry=st.none() | st.booleans(),
        error_type=st.none() | TEXTS,
        message=st.none() | TEXTS,
    ),
    Late: st.builds(Late, SECONDS),
    Drip: st.builds(Drip, SECONDS),
    ErrorEvent: st.builds(ErrorEvent, TEXTS, st.none() | TEXTS),
    Malformed: st.builds(Malformed, st.sampled_from(["json", "name", "utf8"])),
    **{
        kind: st.builds(kind, at=st.sampled_from(["start", "message", "idle", "stopping"]))
        for kind in (Crash, ForeignCancel)
    },
    **{
        kind: st.builds(kind, at=st.sampled_from(["start", "message", "stopping"]))
        for kind in (Hang, SwallowCancel, LeakTask)
    },
    Slow: st.builds(Slow, SECONDS, at=st.sampled_from(["start", "message", "stopping"])),
    ExitNormally: st.builds(ExitNormally, at=st.sampled_from(["start", "message", "idle"])),
    CrashStorm: st.builds(CrashStorm, st.floats(0.001, 1e6)),
    ParentDies: st.builds(ParentDies, st.sampled_from(["crash", "cancel"])),
    Delay: st.builds(Delay, SECONDS, st.none() | SECONDS.map(lambda more: 1e6 + more)),
    Reorder: st.builds(Reorder, SECONDS),
    Overflow: st.builds(Overflow, SECONDS),
    SlowSubscriber: st.builds(SlowSubscriber, SECONDS),
    SlowStart: st.builds(SlowStart, SECONDS),
    WrongVersion: st.builds(WrongVersion, COUNTS),
    ProcessKilled: st.builds(ProcessKilled, at=AT_PROCESS),
    ProcessStopped: st.builds(ProcessStopped, SECONDS, at=AT_PROCESS),
    ProcessExit: st.builds(ProcessExit, st.integers(0, 255), at=AT_PROCESS),
    ProcessNoise: st.builds(ProcessNoise, COUNTS, at=st.sampled_from(["sent", "received"])),
    Garbage: st.builds(Garbage, TEXTS),
}
FAULTS = st.one_of([WITH_FIELDS.get(kind, st.builds(kind)) for kind in KINDS.values()])
"""Of every kind; where `at` can be said, at every moment."""

MUST_NAME_AN_EVENT = (ErrorEvent, Malformed, RepeatedEvent)
MAY_NAME_AN_EVENT = (Reset, Drop, Stall, BrokenToolJson, Drip, Cut)


@st.composite
def planned_faults(draw: st.DrawFn) -> PlannedFault:
    fault = draw(FAULTS)
    event: int | None = None
    if isinstance(fault, MUST_NAME_AN_EVENT):
        event = draw(COUNTS)
    elif isinstance(fault, MAY_NAME_AN_EVENT):
        event = draw(MAYBE_COUNTS)
    after_s = draw(SECONDS)
    has_message = fault.occasion in WITH_A_MESSAGE
    address = Address(
        agent=draw(st.none() | TEXTS),
        attempt=draw(MAYBE_COUNTS),
        message=draw(st.none() | TEXTS) if has_message else None,
        sender=draw(st.none() | TEXTS) if fault.occasion is Occasion.DELIVERY else None,
        call=draw(MAYBE_COUNTS),
        stream_event=event,
        count=draw(MAYBE_COUNTS),
        chance=draw(st.none() | st.floats(0, 1, exclude_min=True)),
        after_s=after_s,
        before_s=draw(st.none() | st.floats(0.5, 1e6).map(lambda more: after_s + more)),
    )
    return PlannedFault(fault, address, draw(st.booleans()))


PLANS = st.lists(planned_faults(), max_size=5).map(lambda faults: FaultPlan(tuple(faults)))


@given(PLANS)
def test_a_plan_can_be_read_back_from_its_text(plan: FaultPlan) -> None:
    text = str(plan)

    assert FaultPlan.parse(text) == plan
    assert len(text.splitlines()) <= 1


@given(PLANS)
def test_a_plan_survives_pickling_and_the_pasting_of_its_repr(plan: FaultPlan) -> None:
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert eval(repr(plan), {"FaultPlan": FaultPlan}) == plan


@given(PLANS, PLANS)
def test_plans_are_joined_by_their_texts(first: FaultPlan, second: FaultPlan) -> None:
    assert FaultPlan.parse(f"{first}\n{second}") == first + second


def test_a_text_says_only_what_was_said() -> None:
    plan = (
        FaultPlanBuilder()
        .status(429, retry_after=3, agent="executor", call=2)
        .drop(stream_event=5, optional=True)
        .plan
    )

    assert str(plan) == (
        "status(429, retry_after=3, agent='executor', call=2); drop(stream_event=5, optional=True)"
    )


SENTENCES: list[tuple[str, FaultPlanBuilder]] = [
    ("status(400, should_retry=True)", FaultPlanBuilder().status(400, should_retry=True)),
    ("connect_refused(call=2)", FaultPlanBuilder().connect_refused(call=2)),
    ("connect_timeout()", FaultPlanBuilder().connect_timeout()),
    ("tls_failure()", FaultPlanBuilder().tls_failure()),
    ("name_failure()", FaultPlanBuilder().name_failure()),
    ("sent_twice()", FaultPlanBuilder().sent_twice()),
    ("reset(stream_event=2)", FaultPlanBuilder().reset(stream_event=2)),
    ("drop()", FaultPlanBuilder().drop()),
    ("stall()", FaultPlanBuilder().stall()),
    ("empty()", FaultPlanBuilder().empty()),
    ("refusal()", FaultPlanBuilder().refusal()),
    ("max_tokens()", FaultPlanBuilder().max_tokens()),
    ("pause_turn()", FaultPlanBuilder().pause_turn()),
    ("broken_tool_json()", FaultPlanBuilder().broken_tool_json()),
    ("late(2.5)", FaultPlanBuilder().late(2.5)),
    ("late(1, up_to_s=30)", FaultPlanBuilder().late(1, up_to_s=30)),
    ("drip(1, count=None)", FaultPlanBuilder().drip(1, count=None)),
    ("cut()", FaultPlanBuilder().cut()),
    (
        "error_event('api_error', stream_event=3)",
        FaultPlanBuilder().error_event("api_error", stream_event=3),
    ),
    ("malformed('utf8', stream_event=1)", FaultPlanBuilder().malformed("utf8", stream_event=1)),
    ("repeated_event(stream_event=1)", FaultPlanBuilder().repeated_event(stream_event=1)),
    ("short_body()", FaultPlanBuilder().short_body()),
    ("crash(agent='a', message='Do')", FaultPlanBuilder().crash(agent="a", message="Do")),
    ("crash(at='start', count=3)", FaultPlanBuilder().crash(at="start", count=3)),
    ("hang(at='stopping')", FaultPlanBuilder().hang(at="stopping")),
    ("swallow_cancel()", FaultPlanBuilder().swallow_cancel()),
    ("slow(2, up_to_s=3, at='start')", FaultPlanBuilder().slow(2, up_to_s=3, at="start")),
    ("foreign_cancel(at='idle')", FaultPlanBuilder().foreign_cancel(at="idle")),
    ("leak_task()", FaultPlanBuilder().leak_task()),
    ("exit_normally(at='idle')", FaultPlanBuilder().exit_normally(at="idle")),
    ("die_asking(agent='a')", FaultPlanBuilder().die_asking(agent="a")),
    ("crash_storm(0.5, count=None)", FaultPlanBuilder().crash_storm(0.5, count=None)),
    ("crash_in_restart(agent='a')", FaultPlanBuilder().crash_in_restart(agent="a")),
    ("crash_in_shutdown(agent='a')", FaultPlanBuilder().crash_in_shutdown(agent="a")),
    ("parent_dies(how='cancel')", FaultPlanBuilder().parent_dies("cancel")),
    ("name_race(agent='a')", FaultPlanBuilder().name_race(agent="a")),
    ("lose(agent='b', sender='a')", FaultPlanBuilder().lose(sender="a", agent="b")),
    ("duplicate(message='Do')", FaultPlanBuilder().duplicate(message="Do")),
    ("delay(1, up_to_s=2)", FaultPlanBuilder().delay(1, up_to_s=2)),
    ("reorder(within_s=5, call=2)", FaultPlanBuilder().reorder(5, call=2)),
    ("overflow()", FaultPlanBuilder().overflow()),
    ("slow_subscriber(2)", FaultPlanBuilder().slow_subscriber(2)),
    ("lag(message='work_*')", FaultPlanBuilder().lag(message="work_*")),
    ("descriptors_exhausted()", FaultPlanBuilder().descriptors_exhausted()),
    ("slow_start(9, attempt=2)", FaultPlanBuilder().slow_start(9, attempt=2)),
    ("wrong_version(major=2)", FaultPlanBuilder().wrong_version(2)),
    ("process_killed(message='work')", FaultPlanBuilder().process_killed(message="work")),
    ("process_stopped(9, at='received')", FaultPlanBuilder().process_stopped(9, at="received")),
    ("process_exit(exit_code=3, at='start')", FaultPlanBuilder().process_exit(3, at="start")),
    ("process_noise()", FaultPlanBuilder().process_noise()),
    ("half_message(call=3)", FaultPlanBuilder().half_message(call=3)),
    ("garbage(text='oops')", FaultPlanBuilder().garbage("oops")),
]


@pytest.mark.parametrize(
    ("text", "said"), [pytest.param(text, said, id=text) for text, said in SENTENCES]
)
def test_a_sentence_and_its_text_are_one_plan(text: str, said: FaultPlanBuilder) -> None:
    assert FaultPlan.parse(text) == said.plan


def test_there_is_a_sentence_for_every_kind_of_fault() -> None:
    assert {next(iter(said.plan)).fault.word for _, said in SENTENCES} == set(KINDS)


def test_a_fault_given_as_a_value_is_the_same_plan_as_its_sentence() -> None:
    assert FaultPlan.of(Drop(), stream_event=5) == FaultPlanBuilder().drop(stream_event=5).plan


def test_the_table_of_stages_names_every_kind_where_it_strikes() -> None:
    assert provider.__doc__ is not None
    _, _, table, _ = re.split(r"^=+ .*\n", provider.__doc__, flags=re.MULTILINE)
    drawn: dict[str, set[str]] = {}
    stage = ""
    for line in table.splitlines():
        stage = line[:8].strip() or stage
        drawn.setdefault(stage, set()).update(re.findall(r"\w+", line[8:]))

    assert list(drawn) == [stage.value for stage in Stage]
    for kind in PROVIDER_FAULTS:
        assert kind.word in drawn[kind.stage.value]


@pytest.mark.parametrize(
    ("module", "kinds"),
    [
        pytest.param(actor, ACTOR_FAULTS, id="actor"),
        pytest.param(supervisor, SUPERVISOR_FAULTS, id="supervisor"),
        pytest.param(mailbox, (*MAILBOX_FAULTS, *BUS_FAULTS), id="mailbox"),
        pytest.param(process, PROCESS_FAULTS, id="process"),
    ],
)
def test_the_table_of_a_module_names_every_kind_of_it(
    module: ModuleType, kinds: Sequence[type[Fault]]
) -> None:
    assert module.__doc__ is not None
    table = re.split(r"^=+ .*\n", module.__doc__, flags=re.MULTILINE)[-2]
    words = re.findall(r"^(\w+)", table, flags=re.MULTILINE)

    assert words == [kind.word for kind in kinds]
    assert {kind.word: KINDS[kind.word] for kind in kinds} == {kind.word: kind for kind in kinds}


def test_the_table_of_actors_says_at_which_moments_a_fault_happens() -> None:
    assert actor.__doc__ is not None
    table = re.split(r"^=+ .*\n", actor.__doc__, flags=re.MULTILINE)[-2]
    for line in table.splitlines():
        word, moments = line[:16].strip(), line[56:].strip()
        if moments.startswith("("):
            continue
        for at in ("start", "message", "idle", "stopping"):
            text = f"{word}({'1, ' if word == 'slow' else ''}at={at!r})"
            if at in moments.split(", "):
                FaultPlan.parse(text)
            else:
                with pytest.raises(FaultPlanError, match=f"at of {word} is one of"):
                    FaultPlan.parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("status(429", "not a fault plan", id="no-python"),
        pytest.param("status(429) + drop()", "a plan is a row of faults", id="no-row"),
        pytest.param("x = status(429)", "a plan is a row of faults", id="assignment"),
        pytest.param("plan.status(429)", "a plan is a row of faults", id="attribute"),
        pytest.param("statsu(429)", "no fault is called 'statsu'", id="typo"),
        pytest.param("status()", "status takes status, retry_after", id="field-missing"),
        pytest.param("drop(5)", "drop takes nothing and an address", id="field-too-many"),
        pytest.param("drop(agnet='x')", "drop takes nothing and an address", id="word-unknown"),
        pytest.param("drop(call=1, call=2)", "drop takes each word once", id="word-twice"),
        pytest.param("drop(**x)", "drop takes each word once", id="stars"),
        pytest.param("drop(call=print(1))", "takes texts, numbers", id="not-a-literal"),
        pytest.param("\ud800", "not a fault plan", id="surrogate"),
        pytest.param("(" * 10_000, "not a fault plan", id="too-deep"),
    ],
)
def test_a_text_that_is_no_plan_is_refused(text: str, problem: str) -> None:
    with pytest.raises(FaultPlanError) as caught:
        FaultPlan.parse(text)

    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("fault", "where", "problem"),
    [
        pytest.param(Drop(), {"call": 0}, "call is a whole number from 1 on, got 0", id="call"),
        pytest.param(Drop(), {"attempt": True}, "attempt is a whole number", id="bool"),
        pytest.param(Drop(), {"count": 1.5}, "count is a whole number", id="fraction"),
        pytest.param(Drop(), {"agent": ""}, "agent is a text that is not empty", id="agent"),
        pytest.param(Drop(), {"agent": "\ud800"}, "agent has no UTF-8 form", id="surrogate"),
        pytest.param(Drop(), {"chance": 0}, "chance lies above 0 and up to 1", id="no-chance"),
        pytest.param(Drop(), {"chance": 1.1}, "chance lies above 0 and up to 1", id="chance"),
        pytest.param(Drop(), {"after_s": -1}, "after_s is a number of seconds", id="past"),
        pytest.param(Drop(), {"before_s": float("nan")}, "before_s is a number", id="nan"),
        pytest.param(Drop(), {"after_s": 2, "before_s": 2}, "no moment lies", id="empty-window"),
        pytest.param(Drop(), {"optional": 1}, "optional is True or False", id="optional"),
        pytest.param(Status(429), {"stream_event": 1}, "leave stream_event out", id="no-event"),
        pytest.param(RepeatedEvent(), {}, "give stream_event=", id="event-missing"),
        pytest.param(Crash(), {"stream_event": 1}, "leave stream_event out", id="no-stream"),
        pytest.param(Crash(at="start"), {"message": "Do"}, "leave message out", id="no-message"),
        pytest.param(Drop(), {"message": "Do"}, "leave message out", id="message-to-claude"),
        pytest.param(Crash(), {"sender": "a"}, "leave sender out", id="no-sender"),
        pytest.param(Crash(), {"message": ""}, "message is a text that is not empty", id="message"),
    ],
)
def test_an_address_that_cannot_be_is_refused(
    fault: Fault, where: dict[str, Any], problem: str
) -> None:
    with pytest.raises(FaultPlanError) as caught:
        FaultPlan.of(fault, **where)

    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("status(200)", "status lies between 400 and 599, got 200", id="status"),
        pytest.param("status(429, retry_after=-1)", "retry_after is a number", id="past"),
        pytest.param("status(429, retry_after='a\\nb')", "no header value", id="header"),
        pytest.param("status(429, retry_after_ms='x')", "retry_after_ms is a number", id="ms"),
        pytest.param("status(429, should_retry=1)", "should_retry is True or False", id="retry"),
        pytest.param("status(429, message='')", "message is a text", id="message"),
        pytest.param("late(None)", "by_s is a number of seconds", id="late"),
        pytest.param("late(3, up_to_s=2)", "up_to_s=2 is less than by_s=3", id="late-range"),
        pytest.param("drip(1e999)", "delay_s is a number of seconds", id="infinite"),
        pytest.param("malformed('xml', stream_event=1)", "flaw is one of 'json'", id="flaw"),
        pytest.param("error_event(3, stream_event=1)", "error_type is a text", id="error-type"),
        pytest.param("slow(3, up_to_s=2)", "up_to_s=2 is less than by_s=3", id="slow-range"),
        pytest.param("slow(3, at='idle')", "at of slow is one of 'start', 'message'", id="slow-at"),
        pytest.param("crash_storm(0)", "per_s is more than 0", id="no-storm"),
        pytest.param("parent_dies('boredom')", "how is one of 'crash', 'cancel'", id="death"),
        pytest.param("reorder(-1)", "within_s is a number of seconds", id="reorder"),
        pytest.param("process_exit(256)", "exit_code lies between 0 and 255", id="exit-code"),
        pytest.param("process_noise(0)", "lines is a whole number", id="noise"),
        pytest.param("process_noise(at='start')", "at of process_noise is one", id="noise-at"),
        pytest.param("garbage('')", "text is a text that is not empty", id="garbage"),
        pytest.param("wrong_version(0)", "major is a whole number", id="version"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(text: str, problem: str) -> None:
    with pytest.raises(FaultPlanError) as caught:
        FaultPlan.parse(text)

    assert problem in caught.value.problem


def test_an_error_survives_pickling() -> None:
    error = FaultPlanError("chance lies above 0 and up to 1, got 2")

    again = pickle.loads(pickle.dumps(error))

    assert (again.problem, str(again), again.code) == (error.problem, str(error), "fault_plan")


def test_a_place_gets_its_faults() -> None:
    plan = FaultPlan.parse("drop(); crash(); status(529); lag()")

    assert str(plan.at(Place.PROVIDER)) == "drop(); status(529)"
    assert str(plan.at(Place.BUS)) == "lag()"


def test_a_plan_can_be_made_to_stop_in_time() -> None:
    plan = FaultPlan.parse("drop(); drop(after_s=3, before_s=5); drop(after_s=8)")

    assert str(plan.until(8)) == "drop(before_s=8); drop(after_s=3, before_s=5)"


def test_a_plan_can_be_made_to_stop_after_a_number_of_strikes() -> None:
    plan = FaultPlan.parse("drop(count=None); drop(call=2, count=9); drop()")

    assert str(plan.at_most(3)) == "drop(count=3); drop(call=2, count=3); drop()"


def test_nothing_but_a_plan_can_be_added_to_a_plan() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = FaultPlan() + "drop()"  # type: ignore[operator]
