"""Invariants: what must be true of a supervised system at any moment, whatever goes wrong in it.

An invariant is a small function on values: it looks at a history, which is the events of
one tree in their order, and says what in it cannot be right. `check_history` holds a
history against all of them; `check_invariants` does the same with a tree that runs, and
holds its state, rows, metrics and children against its own events besides. Faults may be
without bound: these are about what never happens. Whether a system comes back once its
faults have stopped is for `assert_recovers`.

A name's module is imported when the name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from pytest_mnemosyne.simulation.invariants._checks import check_history, check_invariants
    from pytest_mnemosyne.simulation.invariants._history import SupervisorRules
    from pytest_mnemosyne.simulation.invariants._violation import InvariantError, Violation

__all__ = [
    "InvariantError",
    "SupervisorRules",
    "Violation",
    "check_history",
    "check_invariants",
]

_MODULES = {
    name: f"pytest_mnemosyne.simulation.invariants.{module}"
    for module, names in {
        "_checks": ("check_history", "check_invariants"),
        "_history": ("SupervisorRules",),
        "_violation": ("InvariantError", "Violation"),
    }.items()
    for name in names
}

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
