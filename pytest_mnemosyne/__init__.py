"""Test systems of Claude agents: fixtures, cassettes, a scripted Claude.

Tests use the fixtures and need nothing from here; the names below are for
annotations, for conftest files and for tools. Importing this front imports none
of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Cassette, CassetteMissError, RecordMode, Turn
    from pytest_mnemosyne.plugin._event_log import EventLog
    from pytest_mnemosyne.plugin._faults import FaultInjector
    from pytest_mnemosyne.plugin._systems import BridgeMaker, TreeMaker
    from pytest_mnemosyne.simulation import ScriptedClaude

__all__ = [
    "BridgeMaker",
    "Cassette",
    "CassetteMissError",
    "EventLog",
    "FaultInjector",
    "RecordMode",
    "ScriptedClaude",
    "TreeMaker",
    "Turn",
]

_MODULES = {
    "BridgeMaker": "pytest_mnemosyne.plugin._systems",
    "Cassette": "pytest_mnemosyne.cassette",
    "CassetteMissError": "pytest_mnemosyne.cassette",
    "EventLog": "pytest_mnemosyne.plugin._event_log",
    "FaultInjector": "pytest_mnemosyne.plugin._faults",
    "RecordMode": "pytest_mnemosyne.cassette",
    "ScriptedClaude": "pytest_mnemosyne.simulation",
    "TreeMaker": "pytest_mnemosyne.plugin._systems",
    "Turn": "pytest_mnemosyne.cassette",
}

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
