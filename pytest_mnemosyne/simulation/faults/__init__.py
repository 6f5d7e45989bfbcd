"""Fault plans: what goes wrong between a system and Claude, when, and for whom.

A plan is a value. It is met by code under test through the real SDK: a transport with
faults, or the test's door, stands between the two. Faults are wrappers, never switches
in production code.

A name's module is imported when the name is first used: a plan itself needs no HTTP
library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from pytest_mnemosyne.simulation.faults._address import Address, Where
    from pytest_mnemosyne.simulation.faults._answers import status_answer
    from pytest_mnemosyne.simulation.faults._builder import FaultPlanBuilder
    from pytest_mnemosyne.simulation.faults._errors import (
        FaultPlanError,
        FaultsNotMetError,
        NotRecoveredError,
        OpenItem,
    )
    from pytest_mnemosyne.simulation.faults._fault import Fault, Place
    from pytest_mnemosyne.simulation.faults._httpx import HttpxFaults, json_object
    from pytest_mnemosyne.simulation.faults._plan import KINDS, FaultPlan, PlannedFault
    from pytest_mnemosyne.simulation.faults._provider import (
        PROVIDER_FAULTS,
        BrokenToolJson,
        ConnectRefused,
        ConnectTimeout,
        Cut,
        Drip,
        Drop,
        Empty,
        ErrorEvent,
        Late,
        Malformed,
        MaxTokens,
        NameFailure,
        PauseTurn,
        ProviderFault,
        Refusal,
        RepeatedEvent,
        Reset,
        SentTwice,
        ShortBody,
        Stage,
        Stall,
        Status,
        TlsFailure,
    )
    from pytest_mnemosyne.simulation.faults._recovery import assert_recovers
    from pytest_mnemosyne.simulation.faults._running import Armed, Meeting, RunningPlan, Strike
    from pytest_mnemosyne.simulation.faults._transport import FaultySyncTransport, FaultyTransport

__all__ = [
    "KINDS",
    "PROVIDER_FAULTS",
    "Address",
    "Armed",
    "BrokenToolJson",
    "ConnectRefused",
    "ConnectTimeout",
    "Cut",
    "Drip",
    "Drop",
    "Empty",
    "ErrorEvent",
    "Fault",
    "FaultPlan",
    "FaultPlanBuilder",
    "FaultPlanError",
    "FaultsNotMetError",
    "FaultySyncTransport",
    "FaultyTransport",
    "HttpxFaults",
    "Late",
    "Malformed",
    "MaxTokens",
    "Meeting",
    "NameFailure",
    "NotRecoveredError",
    "OpenItem",
    "PauseTurn",
    "Place",
    "PlannedFault",
    "ProviderFault",
    "Refusal",
    "RepeatedEvent",
    "Reset",
    "RunningPlan",
    "SentTwice",
    "ShortBody",
    "Stage",
    "Stall",
    "Status",
    "Strike",
    "TlsFailure",
    "Where",
    "assert_recovers",
    "json_object",
    "status_answer",
]

_MODULES = {
    name: f"pytest_mnemosyne.simulation.faults.{module}"
    for module, names in {
        "_address": ("Address", "Where"),
        "_builder": ("FaultPlanBuilder",),
        "_errors": ("FaultPlanError", "FaultsNotMetError", "NotRecoveredError", "OpenItem"),
        "_fault": ("Fault", "Place"),
        "_answers": ("status_answer",),
        "_httpx": ("HttpxFaults", "json_object"),
        "_plan": ("KINDS", "FaultPlan", "PlannedFault"),
        "_provider": (
            "PROVIDER_FAULTS",
            "BrokenToolJson",
            "ConnectRefused",
            "ConnectTimeout",
            "Cut",
            "Drip",
            "Drop",
            "Empty",
            "ErrorEvent",
            "Late",
            "Malformed",
            "MaxTokens",
            "NameFailure",
            "PauseTurn",
            "ProviderFault",
            "Refusal",
            "RepeatedEvent",
            "Reset",
            "SentTwice",
            "ShortBody",
            "Stage",
            "Stall",
            "Status",
            "TlsFailure",
        ),
        "_recovery": ("assert_recovers",),
        "_running": ("Armed", "Meeting", "RunningPlan", "Strike"),
        "_transport": ("FaultySyncTransport", "FaultyTransport"),
    }.items()
    for name in names
}

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
