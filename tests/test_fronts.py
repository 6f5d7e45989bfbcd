"""The package fronts that import late: what they offer, and what importing them costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mnemosyne_core
import pytest_mnemosyne
import pytest_mnemosyne.simulation
import pytest_mnemosyne.simulation.faults
import pytest_mnemosyne.simulation.invariants

FRONTS = pytest.mark.parametrize(
    "front",
    [
        pytest.param(mnemosyne_core, id="mnemosyne_core"),
        pytest.param(pytest_mnemosyne, id="pytest_mnemosyne"),
        pytest.param(pytest_mnemosyne.simulation, id="pytest_mnemosyne.simulation"),
        pytest.param(pytest_mnemosyne.simulation.faults, id="pytest_mnemosyne.simulation.faults"),
        pytest.param(
            pytest_mnemosyne.simulation.invariants, id="pytest_mnemosyne.simulation.invariants"
        ),
    ],
)
HEAVY = {"anthropic", "httpx2", "hypothesis", "pydantic", "typer", "vcr", "yaml"}


def imported_for_type_checkers(front: ModuleType) -> dict[str, str]:
    """The module of each name under the front's `if TYPE_CHECKING`."""
    assert front.__file__ is not None
    block = next(
        node
        for node in ast.parse(Path(front.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    return {
        alias.name: str(statement.module)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


@FRONTS
def test_every_public_name_can_be_imported(front: ModuleType) -> None:
    found = {name for name in front.__all__ if getattr(front, name, None) is not None}

    assert found == set(front.__all__)


@FRONTS
def test_type_checkers_and_programs_get_the_same_names_from_the_same_modules(
    front: ModuleType,
) -> None:
    for_types = imported_for_type_checkers(front)

    assert sorted(for_types) == sorted(front.__all__)
    for name, module in for_types.items():
        assert _named(getattr(front, name)) == _named(
            getattr(importlib.import_module(module), name)
        )


@FRONTS
def test_an_unknown_name_is_an_attribute_error(front: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{front.__name__}' has no attribute"):
        _ = front.nothing_of_the_kind


@FRONTS
def test_dir_lists_the_public_names(front: ModuleType) -> None:
    assert dir(front) == sorted(front.__all__)


@FRONTS
def test_importing_a_front_imports_nothing_heavy(front: ModuleType) -> None:
    program = f"import sys, {front.__name__}; print(*sys.modules, sep='\\n')"

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    modules = ran.stdout.splitlines()
    imported = {name.partition(".")[0] for name in modules}
    assert front.__name__ in modules
    assert not imported & HEAVY


def _named(value: object) -> object:
    """A value by its name: a run of pytest inside of this process may have imported it anew."""
    name = getattr(value, "__qualname__", None)
    return value if name is None else (getattr(value, "__module__", None), name)
