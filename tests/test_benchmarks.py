"""The benchmarks run and make their tables; how long anything takes is not asked here."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks import bridge, cassettes, replay, startup, supervision, virtual_day, virtual_time
from benchmarks._laboratory import (
    Cost,
    Environment,
    LaboratoryError,
    in_turns,
    lower_quartile,
    ms,
    over,
    plain_environment,
    table,
)

# Names of the plug-ins that are installed with the tests, which stand in for the peers.
_INSTALLED_ROWS = (replay.EMPTY, replay.FLOOR, replay.WARM, replay.COLD)


@pytest.fixture
def here() -> Environment:
    """The environment that these tests run in."""
    return Environment(Path(sys.executable))


def test_rows_are_measured_in_turns_after_a_round_that_does_not_count() -> None:
    asked: list[str] = []

    def measure(row: str) -> int:
        asked.append(row)
        return len(asked)

    samples = in_turns(["a", "b"], 2, measure)

    assert asked == ["a", "b", "a", "b", "b", "a"]
    assert samples == {"a": [3, 6], "b": [4, 5]}


def test_rows_are_compared_round_by_round() -> None:
    samples = {"ours": [Cost(3.0, 4.0), Cost(9.0, 9.0)], "base": [Cost(1.0, 1.0), Cost(8.0, 7.0)]}

    assert over(samples, "ours", "base") == [Cost(2.0, 3.0), Cost(1.0, 2.0)]


def test_the_lower_quartile_is_not_moved_by_what_disturbs_a_few_tests() -> None:
    quiet = [Cost(1.0, 2.0)] * 10

    assert lower_quartile([*quiet, Cost(50.0, 60.0), Cost(70.0, 80.0)]) == Cost(1.0, 2.0)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0012345, "1.23"), (0.012345, "12.3"), (0.12345, "123"), (-0.0004, "-0.40"), (0.0, "0.00")],
)
def test_milliseconds_have_three_digits(seconds: float, shown: str) -> None:
    assert ms(seconds) == shown


def test_a_table_has_its_first_column_to_the_left_and_numbers_to_the_right() -> None:
    assert table(["row", "ms"], [["bare", "1.00"], ["with", "10.0"]]).splitlines() == [
        "row     ms",
        "----  ----",
        "bare  1.00",
        "with  10.0",
    ]


def test_what_would_change_a_measurement_is_kept_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "ANTHROPIC_API_KEY", "PYTEST_ADDOPTS", "PYTHONDEVMODE", "MNEMOSYNE_MODE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HOME_OF_NOTHING", "kept")

    environment = plain_environment()

    assert environment["HOME_OF_NOTHING"] == "kept"
    assert not {"CI", "ANTHROPIC_API_KEY", "PYTEST_ADDOPTS", "PYTHONDEVMODE"} & set(environment)
    assert "MNEMOSYNE_MODE" not in environment


def test_a_command_that_fails_is_told_with_the_end_of_what_it_said(here: Environment) -> None:
    program = "import sys; print('x' * 100_000); sys.exit('this is why')"

    with pytest.raises(LaboratoryError, match="this is why") as caught:
        here.run("-c", program)

    assert len(str(caught.value)) < 10_000


def test_a_run_costs_time_on_both_clocks(here: Environment) -> None:
    cost = here.cost("-c", "sum(range(100_000))")

    assert cost.cpu_s > 0
    assert cost.wall_s > 0


@pytest.mark.parametrize(
    ("added_s", "verdict"), [(0.010, "goal met"), (0.030, "goal MISSED")], ids=["met", "missed"]
)
def test_the_start_up_table_says_whether_the_goal_is_met(added_s: float, verdict: str) -> None:
    costs = {row: [Cost(0.2, 0.3)] * 3 for row in startup.ROWS}
    costs[startup.OURS] = [Cost(0.2 + added_s, 0.3 + added_s)] * 3

    report = startup.report({"collect only": costs, "one test": costs})

    assert report.count(verdict) == 2
    assert [line for line in startup.ROWS if line not in report] == []
    assert re.search(rf"it adds {ms(added_s)} \({ms(added_s)} by the wall\)", report)


@pytest.mark.parametrize(
    ("ours_s", "verdict"), [(0.0022, "goal met"), (0.0024, "goal MISSED")], ids=["met", "missed"]
)
def test_the_replay_table_says_whether_the_goal_is_met(
    ours_s: float, verdict: str, tmp_path: Path
) -> None:
    each_s = {replay.EMPTY: 0.001, replay.FLOOR: 0.002, replay.WARM: ours_s}

    class Canned(replay.Bench):
        def run(self, row: str, tests: int) -> list[Cost]:
            return [Cost(0.5, 0.5), *[Cost(each_s[row], each_s[row])] * tests]

    bench = Canned(Environment(Path()), tmp_path)
    measured = replay.measure(bench, 4, rounds=2, rows=list(each_s))

    assert {row: len(runs) for row, runs in measured.runs.items()} == dict.fromkeys(each_s, 2)
    report = replay.report(measured)
    assert verdict in report
    floor = r"floor.* 2\.00 +1\.00 +1\.00 to 1\.00 +1\.00 +1\.00 +500$"
    assert re.search(floor, report, re.MULTILINE)


@pytest.mark.parametrize(
    ("step_s", "jump_s", "verdicts"),
    [
        pytest.param(1.3e-6, 15e-6, ["met", "met"], id="met"),
        pytest.param(1.5e-6, 25e-6, ["MISSED", "MISSED"], id="missed"),
    ],
)
def test_the_table_of_loops_says_whether_the_goals_are_met(
    step_s: float, jump_s: float, verdicts: list[str]
) -> None:
    steps = {virtual_time.STOCK: [1e-6] * 3, virtual_time.VIRTUAL: [step_s] * 3}
    measured = dict.fromkeys(virtual_time.STEPS, steps)
    measured[virtual_time.JUMPS] = {virtual_time.VIRTUAL: [jump_s] * 3}

    report = virtual_time.report(measured)

    assert re.findall(r"goal (\w+):", report) == verdicts
    assert f"{step_s * 1e6:.2f} ({step_s * 1e6:.2f} x)" in report


@pytest.mark.parametrize(("wall_s", "verdict"), [(4.0, "goal met"), (6.0, "goal MISSED")])
def test_the_table_of_days_says_whether_the_goal_is_met(wall_s: float, verdict: str) -> None:
    day = virtual_day.Day(1_000, 2_001, 100, virtual_s=86_400.0, wall_s=wall_s, cpu_s=wall_s)

    report = virtual_day.report([day] * 3)

    assert verdict in report
    assert report.count("86,400") == 3


def test_a_virtual_day_is_lived_with_all_its_faults() -> None:
    day = virtual_day.measure(items=12, faults=8)

    assert day.items == 12
    assert day.faults == 8
    assert day.calls >= 24
    assert day.virtual_s >= virtual_day.DAY_S


@pytest.mark.parametrize(
    ("share", "restart_s", "verdicts"),
    [
        pytest.param(0.6, 0.000_1, ["met"] * 4, id="met"),
        pytest.param(0.4, 0.000_3, ["MISSED", "met", "met", "MISSED"], id="two-missed"),
        pytest.param(0.2, 0.000_3, ["MISSED"] * 4, id="missed"),
    ],
)
def test_the_table_of_actors_says_whether_the_goals_are_met(
    share: float, restart_s: float, verdicts: list[str]
) -> None:
    rates = {supervision.RAW: [1e6] * 3, supervision.OURS: [share * 1e6] * 3}
    latency = supervision.Latency(restart_s, 2 * restart_s)
    measured = supervision.Measured(
        dict.fromkeys(supervision.THROUGHPUT, rates), dict.fromkeys(rates, [latency] * 3)
    )

    report = supervision.report(measured)

    assert re.findall(r"goal (\w+):", report) == verdicts
    assert report.count(f"{share:.0%} ({share:.0%} to {share:.0%})") == len(supervision.THROUGHPUT)


def test_a_row_without_a_program_has_a_dash_in_its_place() -> None:
    rates = {supervision.RAW: [1e6], supervision.OURS: [1e6], supervision.THESPIAN: [1e5]}
    measured = supervision.Measured(
        dict.fromkeys(supervision.THROUGHPUT, rates)
        | {supervision.IN_FLIGHT: {row: rates[row] for row in list(rates)[:2]}},
        {row: [supervision.Latency(1e-4, 2e-4)] for row in rates},
    )

    rows = re.findall(rf"^{supervision.THESPIAN} .*$", supervision.report(measured), re.MULTILINE)

    assert [row.count(" - ") for row in rows] == [1, 1]


def test_a_latency_is_what_half_and_all_but_a_hundredth_of_the_restarts_take() -> None:
    latency = supervision.Latency.of([number / 1000 for number in range(200, 0, -1)])

    assert (latency.p50_s, latency.p99_s) == (0.1005, 0.198)


@pytest.mark.parametrize(
    ("own_s", "verdict"), [(90e-6, "goal met"), (110e-6, "goal MISSED")], ids=["met", "missed"]
)
def test_the_table_of_bridges_says_whether_the_goal_is_met(own_s: float, verdict: str) -> None:
    def rounds(p50_s: float) -> list[bridge.Round]:
        return [bridge.Round(p50_s=p50_s, p99_s=2e-4, each_s=5e-5, large_s=3e-4)] * 3

    own = bridge.transport_row(bridge.SUBPROCESS)

    report = bridge.report({bridge.EXECUTOR: rounds(100e-6), own: rounds(own_s)})

    assert verdict in report
    times = f"{own_s * 1e4:.2f}"
    row = rf"^{own} +{own_s * 1e6:.0f} +200 +{times} \({times} to {times}\) +50 +300$"
    assert re.search(row, report, re.MULTILINE)


@pytest.mark.slow
def test_actors_that_need_no_peer_can_be_measured(here: Environment) -> None:
    rows = [supervision.RAW, supervision.OURS]
    sizes = supervision.Sizes(asks=64, tells=20, spawns=5, restarts=3, crowd=5)

    measured = supervision.measure(here, rows, rounds=1, sizes=sizes)

    assert all(list(rates) == rows for rates in measured.rates.values())
    assert all(latency.p50_s > 0 for (latency,) in measured.restarts.values())
    assert supervision.report(measured).count("goal") == 4


@pytest.mark.slow
def test_crowds_are_started_stopped_and_weighed(here: Environment) -> None:
    sizes = supervision.Sizes(asks=1, tells=1, spawns=1, restarts=1, crowd=5)

    crowds = supervision.measure_crowds(here, rounds=1, sizes=sizes)

    assert list(crowds) == list(supervision.CROWDS)
    assert all(crowd.each_bytes > 1000 for crowd in crowds.values())
    assert "5 at once" in supervision.report_crowds(crowds, 5)


@pytest.mark.slow
def test_every_line_of_the_bridges_answers() -> None:
    rows = bridge.rows(bridge.TRANSPORTS)

    measured = bridge.measure(rows, rounds=1, count=bridge.AT_ONCE)

    assert list(measured) == list(rows)
    assert "goal" in bridge.report(measured)


@pytest.mark.slow
def test_loops_that_need_no_peer_can_be_measured(here: Environment) -> None:
    rows = [virtual_time.STOCK, virtual_time.VIRTUAL, virtual_time.TRACED]

    measured = virtual_time.measure(here, rows, rounds=1, count=200)

    assert sorted(measured) == sorted((*virtual_time.STEPS, virtual_time.JUMPS))
    assert list(measured[virtual_time.JUMPS]) == rows[1:]
    assert "goal" in virtual_time.report(measured)
    assert not here.has("simloom")


@pytest.mark.slow
def test_the_start_up_rows_that_need_no_peer_can_be_measured(
    here: Environment, tmp_path: Path
) -> None:
    startup.write_project(tmp_path)

    for row in (startup.BARE, startup.WITHOUT, startup.OURS):
        variables, chosen = startup.ROWS[row]
        said = here.run("-m", "pytest", *chosen, cwd=tmp_path, variables=variables)
        assert "1 passed" in said
        loaded = re.search(r"^plugins:.*\bmnemosyne-", said, re.MULTILINE)
        assert (loaded is not None) == (row == startup.OURS)


@pytest.mark.slow
def test_our_replayed_rows_are_recorded_and_measured(here: Environment, tmp_path: Path) -> None:
    bench = replay.Bench(here, tmp_path)
    bench.record(3)

    # Once each: the rounds of `replay.measure` need no process to be seen.
    runs = {row: [bench.run(row, 2)] for row in _INSTALLED_ROWS}

    assert {row: len(run) for row, (run,) in runs.items()} == dict.fromkeys(_INSTALLED_ROWS, 3)
    for peer in (replay.SHARED, replay.EACH):
        written = tmp_path / "cassettes" / replay.ROWS[peer].module
        assert len(list(written.iterdir())) == 4
    assert "goal" in replay.report(replay.Measured(2, runs))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "given", "count"),
    [
        pytest.param("match", (2, 1, 2), 1, id="match"),
        pytest.param("opening", (2, 1, False), 1, id="opening"),
        pytest.param("retries", (), 1, id="retries"),
        pytest.param("miss", (2, 1), 2, id="miss"),
        pytest.param("first_event", ("slow-1-1",), 1, id="first-event"),
        pytest.param("answering", (4, 2), 3, id="answering"),
        pytest.param("size", (2, "streamed"), 1, id="size"),
    ],
)
def test_our_cassettes_are_measured(
    program: str, given: tuple[object, ...], count: int, here: Environment, tmp_path: Path
) -> None:
    bench = cassettes.Bench(here, tmp_path, rounds=1)

    numbers = bench.once(cassettes.RECORDERS[cassettes.OURS], program, *given)

    assert len(numbers) == count
    assert all(number > 0 for number in numbers)


@pytest.mark.slow
def test_cassettes_of_vcrpy_are_measured_beside_ours(here: Environment, tmp_path: Path) -> None:
    bench = cassettes.Bench(here, tmp_path, rounds=1)
    bench.once("with_vcrpy_json", "prepare", 2, 1)

    for program, module, given in (
        ("match", "with_vcrpy", (2, 1, 2)),
        ("opening", "with_vcrpy_json", (2, 1, False)),
    ):
        (seconds,) = bench.once(module, program, *given)
        assert seconds > 0


@pytest.mark.slow
def test_an_idle_rerecord_of_our_cassettes_changes_no_line(
    here: Environment, tmp_path: Path
) -> None:
    bench = cassettes.Bench(here, tmp_path, rounds=1)

    changed, lines = bench.once("ours", "rerecord", 2)

    assert changed == 0 < lines


def test_a_table_of_cassettes_has_a_row_for_each_recorder_and_says_what_was_missed() -> None:
    class Canned(cassettes.Bench):
        def once(self, module: str, program: str, *given: object) -> list[float]:
            return [3.0, 628.0] if program == "rerecord" else [1.25]

    shown = cassettes.keeping(Canned(Environment(Path()), Path(), rounds=1), cassettes.WHOLE)

    rows = [line.split("  ")[0] for line in shown.splitlines()[2:5]]
    assert rows == list(cassettes.RECORDERS)
    assert re.search(r"1\.25 +3 of 628$", shown, re.MULTILINE)
    assert "goal met: a file has under twice the unique bytes; it has up to 1.25 times" in shown
    assert "goal MISSED: an idle re-record changes no line; it changes 3" in shown
