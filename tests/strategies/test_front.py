"""What the package offers, and what happens where hypothesis is not installed."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from hypothesis.strategies import SearchStrategy

from pytest_mnemosyne import strategies
from pytest_mnemosyne.strategies import MissingHypothesisError, UnsupportedSchemaError
from pytest_mnemosyne.strategies.stateful import LeftRunningError, UndecoratedRuleError

WITHOUT_HYPOTHESIS = """
import sys
sys.modules["hypothesis"] = None
{program}
"""


def run(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_HYPOTHESIS.format(program=program)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout + ran.stderr


def test_every_public_strategy_can_be_made_without_arguments() -> None:
    others = {
        *("MissingHypothesisError", "UnsupportedSchemaError", "StreamedMessage", "from_schema"),
    }
    made = [getattr(strategies, name)() for name in strategies.__all__ if name not in others]

    assert len(made) > 15
    assert all(isinstance(strategy, SearchStrategy) for strategy in made)


def test_without_hypothesis_the_import_says_what_to_install() -> None:
    said = run("import pytest_mnemosyne.strategies")

    assert "MissingHypothesisError: the strategies need hypothesis" in said
    assert "pip install 'pytest-mnemosyne[hypothesis]'" in said


@pytest.mark.parametrize("error", ["ImportError", "mnemosyne_core.errors.UsageError"])
def test_it_can_be_caught_as_what_it_is(error: str) -> None:
    program = (
        "import mnemosyne_core.errors\n"
        "try:\n    import pytest_mnemosyne.strategies.stateful\n"
        f"except {error}:\n    print('caught')"
    )

    assert run(program).strip() == "caught"


def test_nothing_else_needs_hypothesis() -> None:
    program = (
        "import pytest_mnemosyne.plugin, pytest_mnemosyne.simulation.faults\n"
        "from pytest_mnemosyne.cassette import load\n"
        "print('imported')"
    )

    assert run(program).strip() == "imported"


@pytest.mark.parametrize(
    "error",
    [
        MissingHypothesisError(reason="no module"),
        UnsupportedSchemaError(place="$", problem="p"),
        UndecoratedRuleError(name="M.step"),
        LeftRunningError(tasks=("a",), shutdown_s=1.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
