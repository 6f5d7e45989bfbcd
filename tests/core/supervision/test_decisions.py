"""The pure part: who is restarted, whether that is tolerated, what a spec may say."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import Abort, ActorDownError, ChildSpecError
from mnemosyne_core.supervision import (
    AutoShutdown,
    ChildKind,
    ChildSpec,
    Exit,
    ExitKind,
    Restart,
    RestartIntensity,
    RestartWindow,
    Shutdown,
    Strategy,
    Supervisor,
    affected,
    check_child_specs,
    should_restart,
    should_shut_down,
)
from tests.core.supervision.support import Boom, Puppet, child

IDS = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("times_s", "tolerated"),
    [
        pytest.param((0.0, 1.0, 2.0), [True, True, False], id="third-in-period"),
        pytest.param((0.0, 1.0, 10.5), [True, True, True], id="first-has-aged-out"),
        pytest.param((0.0, 1.0, 10.0), [True, True, False], id="exactly-one-period-old"),
    ],
)
def test_restarts_beyond_the_intensity_are_refused(
    times_s: tuple[float, ...], tolerated: list[bool]
) -> None:
    window = RestartWindow(RestartIntensity(max_restarts=2, period_s=10.0))

    assert [window.record(t) for t in times_s] == tolerated


def test_an_intensity_of_zero_tolerates_no_restart() -> None:
    assert RestartWindow(RestartIntensity(max_restarts=0)).record(0.0) is False


@given(
    max_restarts=st.integers(0, 5),
    period_s=st.integers(1, 20),
    gaps_s=st.lists(st.integers(0, 10), max_size=30),
)
def test_the_window_agrees_with_counting_from_scratch(
    max_restarts: int, period_s: int, gaps_s: list[int]
) -> None:
    window = RestartWindow(RestartIntensity(max_restarts=max_restarts, period_s=float(period_s)))
    times_s: list[int] = []

    for gap_s in gaps_s:
        times_s.append((times_s[-1] if times_s else 0) + gap_s)
        recent = [t for t in times_s if times_s[-1] - t <= period_s]
        assert window.record(float(times_s[-1])) == (len(recent) <= max_restarts)


@pytest.mark.parametrize(
    ("max_restarts", "period_s"),
    [(-1, 1.0), (1, 0.0), (1, -1.0), (1, math.inf), (1, math.nan)],
)
def test_an_impossible_intensity_is_refused(max_restarts: int, period_s: float) -> None:
    with pytest.raises(ChildSpecError, match=r"max_restarts|period_s"):
        RestartIntensity(max_restarts=max_restarts, period_s=period_s)


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [
        pytest.param(Strategy.ONE_FOR_ONE, ("b",), id="one-for-one"),
        pytest.param(Strategy.ONE_FOR_ALL, IDS, id="one-for-all"),
        pytest.param(Strategy.REST_FOR_ONE, ("b", "c", "d"), id="rest-for-one"),
    ],
)
def test_a_strategy_says_who_is_restarted(strategy: Strategy, restarted: tuple[str, ...]) -> None:
    assert affected(strategy, IDS, "b") == restarted


@given(
    strategy=st.sampled_from(Strategy),
    ids=st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, unique=True),
    data=st.data(),
)
def test_whoever_failed_is_restarted_and_nobody_changes_places(
    strategy: Strategy, ids: Sequence[str], data: st.DataObject
) -> None:
    failed = data.draw(st.sampled_from(ids))

    restarted = affected(strategy, ids, failed)

    assert failed in restarted
    assert [i for i in ids if i in restarted] == list(restarted)


NORMAL, SHUTDOWN = Exit(ExitKind.NORMAL), Exit(ExitKind.SHUTDOWN)
KILLED, CRASH = Exit(ExitKind.KILLED), Exit(ExitKind.CRASH, Boom("boom"))


@pytest.mark.parametrize("end", [NORMAL, SHUTDOWN, KILLED, CRASH], ids=lambda end: end.kind)
@pytest.mark.parametrize("restart", Restart)
def test_the_restart_type_and_the_exit_say_whether_a_child_comes_back(
    restart: Restart, end: Exit
) -> None:
    expected = {
        Restart.PERMANENT: True,
        Restart.TRANSIENT: end in (KILLED, CRASH),
        Restart.TEMPORARY: False,
    }
    assert should_restart(restart, end) is expected[restart]


@pytest.mark.parametrize(
    ("auto_shutdown", "significant", "others_active", "ends"),
    [
        (AutoShutdown.NEVER, True, 0, False),
        (AutoShutdown.ANY_SIGNIFICANT, True, 2, True),
        (AutoShutdown.ANY_SIGNIFICANT, False, 0, False),
        (AutoShutdown.ALL_SIGNIFICANT, True, 1, False),
        (AutoShutdown.ALL_SIGNIFICANT, True, 0, True),
        (AutoShutdown.ALL_SIGNIFICANT, False, 0, False),
    ],
)
def test_significant_children_end_their_supervisor(
    auto_shutdown: AutoShutdown, significant: bool, others_active: int, ends: bool
) -> None:
    assert (
        should_shut_down(auto_shutdown, significant=significant, others_active=others_active)
        is ends
    )


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (NORMAL, "normal"),
        (SHUTDOWN, "shutdown"),
        (KILLED, "killed"),
        (CRASH, "Boom: boom"),
        (Exit(ExitKind.SHUTDOWN, Boom("enough")), "shutdown (Boom: enough)"),
    ],
)
def test_an_exit_says_its_reason_in_words(end: Exit, reason: str) -> None:
    assert end.reason == reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Boom(), ExitKind.CRASH),
        (asyncio.CancelledError(), ExitKind.KILLED),
        (Abort(), ExitKind.ABORT),
        (SystemExit(), ExitKind.ABORT),
    ],
)
def test_what_was_raised_decides_the_kind_of_exit(error: BaseException, kind: ExitKind) -> None:
    assert Exit.of(error).kind is kind


def test_an_abort_reaches_whoever_asked_as_itself_and_a_system_exit_does_not() -> None:
    abort = Abort("stop everything")

    assert Exit.of(abort).down("a") is abort
    assert isinstance(Exit.of(SystemExit()).down("a"), ActorDownError)


@pytest.mark.parametrize(
    ("spec", "shutdown_s"),
    [
        pytest.param(ChildSpec(id="a", start=Puppet), 5.0, id="worker"),
        pytest.param(
            ChildSpec(id="a", start=Supervisor, kind=ChildKind.SUPERVISOR),
            math.inf,
            id="supervisor",
        ),
        pytest.param(ChildSpec(id="a", start=Puppet, shutdown=0.5), 0.5, id="seconds"),
        pytest.param(child("a", shutdown=Shutdown.BRUTAL_KILL), 0.0, id="brutal-kill"),
        pytest.param(child("a", shutdown=Shutdown.INFINITY), math.inf, id="infinity"),
    ],
)
def test_the_shutdown_time_has_a_default_for_each_kind(spec: ChildSpec, shutdown_s: float) -> None:
    assert spec.shutdown_s == shutdown_s


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({"id": ""}, "without '/'", id="empty-id"),
        pytest.param({"id": "a/b"}, "without '/'", id="slash-in-id"),
        pytest.param({"start": "not callable"}, "callable", id="start-is-no-function"),
        pytest.param({"shutdown": -1.0}, "0 s or more", id="negative-shutdown"),
        pytest.param({"shutdown": math.inf}, "INFINITY", id="infinite-seconds"),
        pytest.param({"shutdown": math.nan}, "0 s or more", id="no-number"),
        pytest.param({"significant": True}, "permanent", id="significant-and-permanent"),
        pytest.param({"restart": "temporary"}, r"Restart\.TEMPORARY, got", id="restart-is-a-word"),
        pytest.param({"kind": "supervisor"}, r"ChildKind\.SUPERVISOR, got", id="kind-is-a-word"),
        pytest.param({"shutdown": "never"}, r"Shutdown\.INFINITY, got", id="shutdown-is-a-word"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(ChildSpecError, match=problem):
        ChildSpec(**{"id": "a", "start": Puppet, **fields})  # type: ignore[arg-type]


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(ChildSpecError, match="'a'; ids are unique"):
        check_child_specs([child("a"), child("b"), child("a")])


def test_a_significant_child_needs_a_supervisor_that_minds() -> None:
    spec = child("a", restart=Restart.TRANSIENT, significant=True)

    with pytest.raises(ChildSpecError, match="auto_shutdown is never"):
        Supervisor([spec])
    assert check_child_specs([spec], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT) == (spec,)


def test_a_grace_period_without_end_is_refused() -> None:
    with pytest.raises(ChildSpecError, match="kill_grace_s"):
        Supervisor(kill_grace_s=math.inf)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param(
            {"strategy": "typo"},
            r"strategy of supervisor 'top' must be one of Strategy\.ONE_FOR_ONE, .*, got 'typo'",
            id="strategy",
        ),
        pytest.param({"strategy": "one_for_all"}, "got 'one_for_all'", id="strategy-is-a-word"),
        pytest.param(
            {"auto_shutdown": "all_significant"},
            r"auto_shutdown of supervisor 'top' must be one of AutoShutdown\.NEVER",
            id="auto-shutdown-is-a-word",
        ),
    ],
)
def test_a_supervisor_says_at_once_what_it_does_not_know(
    fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(ChildSpecError, match=problem):
        Supervisor([child("a")], name="top", **fields)  # type: ignore[arg-type]
