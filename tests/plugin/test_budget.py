"""A run that may spend so much and no more, and says what it has spent and saved."""

from __future__ import annotations

import pytest

from pytest_mnemosyne.cassette import journals
from tests.plugin.project import MODEL, Project

RECORD = ("--mnemosyne-mode=record", "--mnemosyne-upstream=scripted")

TWO_CALLS = """
    async def test_it(claude, scripted_claude):
        scripted_claude.reply("one").reply("two")
        await ask(claude, "One?")
        with contextlib.suppress(Exception):
            await ask(claude, "Two?")
"""


def priced(project: Project, price: str = "input=0 output=10000") -> None:
    """Each token of an answer costs a cent by default; the project's calls allow 16."""
    with (project.path / "tox.ini").open("a", encoding="utf-8") as ini:
        ini.write(f"\nmnemosyne_prices =\n    {MODEL} {price}\n")


def test_the_call_that_may_cost_too_much_is_not_made_and_fails_the_test(project: Project) -> None:
    priced(project)
    project.test_file(TWO_CALLS)

    result = project.run(*RECORD, "--mnemosyne-budget=0.17")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "the budget of $0.1700 does not cover one more call to Claude",
            "*requests to Claude without an answer*",
            "  the budget of $0.1700 does not cover one more call to Claude",
            "mnemosyne: test_it.py::test_it did not pass, so *test_it.yaml was not written",
            "mnemosyne: 1 answer recorded by test_it.py::test_it reached no cassette *",
            "mnemosyne: $* of the budget of $0.1700 spent",
        ]
    )
    (journal,) = journals(project.path / "cassettes")
    assert journal.exchanges == 1


def test_a_budget_that_is_enough_is_told_with_what_was_spent(project: Project) -> None:
    priced(project)
    project.test_file(TWO_CALLS)

    result = project.run(*RECORD, "--mnemosyne-budget=$5")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "mnemosyne: $0.* of the budget of $5.00 spent",
            "mnemosyne (record): 2 recorded; *",
        ]
    )


def test_replay_says_what_it_has_saved(project: Project) -> None:
    priced(project, "input=1000 output=10000")
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(
        """
        async def test_it(claude):
            await ask(claude, "known")
        """
    )

    result = project.run("--mnemosyne-budget=1")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mnemosyne: $0.0370 saved by replay"])


def test_a_live_call_without_a_cassette_counts_too(project: Project) -> None:
    priced(project)
    project.test_file(
        """
        async def test_it(claude_cassette, scripted_claude):
            scripted_claude.reply("one")
            from anthropic import AsyncAnthropic
            await ask(AsyncAnthropic(api_key="none"), "One?")
        """
    )

    result = project.run(
        "--mnemosyne-mode=live", "--mnemosyne-upstream=scripted", "--mnemosyne-budget=0.10"
    )

    result.assert_outcomes(failed=1)


def test_a_call_that_is_compared_is_paid_for_as_well(project: Project) -> None:
    priced(project)
    project.cassette("test_it/test_it", ("known", "answer"))
    project.test_file(
        """
        async def test_it(claude, scripted_claude):
            scripted_claude.reply("answer")
            await ask(claude, "known")
        """
    )

    result = project.run(
        "--mnemosyne-mode=verify", "--mnemosyne-upstream=scripted", "--mnemosyne-budget=0.10"
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the budget of $0.1000 does not cover one more call to Claude"])


@pytest.mark.parametrize("given", ["much", "0", "-1", "nan", "inf"])
def test_a_budget_that_is_no_money_stops_the_run(project: Project, given: str) -> None:
    result = project.run(f"--mnemosyne-budget={given}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--mnemosyne-budget takes US dollars*{given}*"])


@pytest.mark.parametrize("price", ["", "input=3", "input=3 output=-1", "input", "input=3 outpt=1"])
def test_a_price_that_is_none_stops_the_run(project: Project, price: str) -> None:
    priced(project, price)

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*mnemosyne_prices has a line*{MODEL}*"])


@pytest.mark.slow
def test_workers_share_the_budget(project: Project) -> None:
    priced(project)
    project.test_file(
        """
        @pytest.mark.parametrize("number", range(6))
        async def test_it(claude, scripted_claude, number):
            scripted_claude.reply("a", usage={"output_tokens": 10, "input_tokens": 1})
            await ask(claude, f"Say {number}.")
        """
    )

    result = project.run_apart(
        "-n",
        "2",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:recording",
        *RECORD,
        "--mnemosyne-budget=0.40",
    )

    # Each may cost 16 cents and costs 10: two fit for certain, and a third if none is under way.
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] in (2, 3)
    assert outcomes["failed"] == 6 - outcomes["passed"]
    result.stdout.fnmatch_lines(["mnemosyne: $0.[23]000 of the budget of $0.4000 spent"])
