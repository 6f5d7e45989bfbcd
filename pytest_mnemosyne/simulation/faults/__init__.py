"""Fault plans: what goes wrong in a system, when, and for whom.

A plan is a value. What it says of Claude is met by code under test through the real SDK:
a transport with faults, or the test's door, stands between the two. The rest is met at
the failpoints of the core. Faults are wrappers, never switches in production code.

===========  ==============================================================  =============
place        what goes wrong                                                 stands in
===========  ==============================================================  =============
provider     calls to Claude                                                 `_provider`
actor        an actor's start, messages, idle moments, end; coroutines       `_actor`
supervisor   crashes at the worst moment, the supervisor's death, names      `_supervisor`
mailbox      messages on their way to an actor                               `_mailbox`
bus          events on their way to a reader                                 `_mailbox`
process      an agent's process and its pipe                                 `_process`
===========  ==============================================================  =============

A name's module is imported when the name is first used: a plan itself needs no HTTP
library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from pytest_mnemosyne.simulation.faults._actor import (
        ACTOR_FAULTS,
        ActorFault,
        Crash,
        DieAsking,
        ExitNormally,
        ForeignCancel,
        Hang,
        LeakTask,
        Slow,
        SwallowCancel,
    )
    from pytest_mnemosyne.simulation.faults._address import (
        Address,
        Moment,
        Where,
        WhereOnTheWay,
        WhereWithMessage,
    )
    from pytest_mnemosyne.simulation.faults._answers import status_answer
    from pytest_mnemosyne.simulation.faults._builder import FaultPlanBuilder
    from pytest_mnemosyne.simulation.faults._errors import (
        FaultPlanError,
        FaultsNotMetError,
        InjectedCrashError,
        NotRecoveredError,
        OpenItem,
    )
    from pytest_mnemosyne.simulation.faults._failpoints import PlannedFailpoints
    from pytest_mnemosyne.simulation.faults._fault import Fault, Occasion, Place
    from pytest_mnemosyne.simulation.faults._httpx import HttpxFaults, json_object
    from pytest_mnemosyne.simulation.faults._mailbox import (
        BUS_FAULTS,
        MAILBOX_FAULTS,
        BusFault,
        Delay,
        Duplicate,
        Lag,
        Lose,
        MailboxFault,
        Overflow,
        Reorder,
        SlowSubscriber,
    )
    from pytest_mnemosyne.simulation.faults._plan import KINDS, FaultPlan, PlannedFault
    from pytest_mnemosyne.simulation.faults._process import (
        PROCESS_FAULTS,
        DescriptorsExhausted,
        Garbage,
        HalfMessage,
        ProcessExit,
        ProcessFault,
        ProcessKilled,
        ProcessNoise,
        ProcessStopped,
        SlowStart,
        WrongVersion,
    )
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
    from pytest_mnemosyne.simulation.faults._supervisor import (
        SUPERVISOR_FAULTS,
        CrashInRestart,
        CrashInShutdown,
        CrashStorm,
        NameRace,
        ParentDies,
        SupervisorFault,
    )
    from pytest_mnemosyne.simulation.faults._transport import FaultySyncTransport, FaultyTransport

__all__ = [
    "ACTOR_FAULTS",
    "BUS_FAULTS",
    "KINDS",
    "MAILBOX_FAULTS",
    "PROCESS_FAULTS",
    "PROVIDER_FAULTS",
    "SUPERVISOR_FAULTS",
    "ActorFault",
    "Address",
    "Armed",
    "BrokenToolJson",
    "BusFault",
    "ConnectRefused",
    "ConnectTimeout",
    "Crash",
    "CrashInRestart",
    "CrashInShutdown",
    "CrashStorm",
    "Cut",
    "Delay",
    "DescriptorsExhausted",
    "DieAsking",
    "Drip",
    "Drop",
    "Duplicate",
    "Empty",
    "ErrorEvent",
    "ExitNormally",
    "Fault",
    "FaultPlan",
    "FaultPlanBuilder",
    "FaultPlanError",
    "FaultsNotMetError",
    "FaultySyncTransport",
    "FaultyTransport",
    "ForeignCancel",
    "Garbage",
    "HalfMessage",
    "Hang",
    "HttpxFaults",
    "InjectedCrashError",
    "Lag",
    "Late",
    "LeakTask",
    "Lose",
    "MailboxFault",
    "Malformed",
    "MaxTokens",
    "Meeting",
    "Moment",
    "NameFailure",
    "NameRace",
    "NotRecoveredError",
    "Occasion",
    "OpenItem",
    "Overflow",
    "ParentDies",
    "PauseTurn",
    "Place",
    "PlannedFailpoints",
    "PlannedFault",
    "ProcessExit",
    "ProcessFault",
    "ProcessKilled",
    "ProcessNoise",
    "ProcessStopped",
    "ProviderFault",
    "Refusal",
    "Reorder",
    "RepeatedEvent",
    "Reset",
    "RunningPlan",
    "SentTwice",
    "ShortBody",
    "Slow",
    "SlowStart",
    "SlowSubscriber",
    "Stage",
    "Stall",
    "Status",
    "Strike",
    "SupervisorFault",
    "SwallowCancel",
    "TlsFailure",
    "Where",
    "WhereOnTheWay",
    "WhereWithMessage",
    "WrongVersion",
    "assert_recovers",
    "json_object",
    "status_answer",
]

_MODULES = {
    name: f"pytest_mnemosyne.simulation.faults.{module}"
    for module, names in {
        "_address": ("Address", "Moment", "Where", "WhereOnTheWay", "WhereWithMessage"),
        "_builder": ("FaultPlanBuilder",),
        "_errors": (
            "FaultPlanError",
            "FaultsNotMetError",
            "InjectedCrashError",
            "NotRecoveredError",
            "OpenItem",
        ),
        "_fault": ("Fault", "Occasion", "Place"),
        "_actor": (
            "ACTOR_FAULTS",
            "ActorFault",
            "Crash",
            "DieAsking",
            "ExitNormally",
            "ForeignCancel",
            "Hang",
            "LeakTask",
            "Slow",
            "SwallowCancel",
        ),
        "_failpoints": ("PlannedFailpoints",),
        "_mailbox": (
            "BUS_FAULTS",
            "MAILBOX_FAULTS",
            "BusFault",
            "Delay",
            "Duplicate",
            "Lag",
            "Lose",
            "MailboxFault",
            "Overflow",
            "Reorder",
            "SlowSubscriber",
        ),
        "_supervisor": (
            "SUPERVISOR_FAULTS",
            "CrashInRestart",
            "CrashInShutdown",
            "CrashStorm",
            "NameRace",
            "ParentDies",
            "SupervisorFault",
        ),
        "_process": (
            "PROCESS_FAULTS",
            "DescriptorsExhausted",
            "Garbage",
            "HalfMessage",
            "ProcessExit",
            "ProcessFault",
            "ProcessKilled",
            "ProcessNoise",
            "ProcessStopped",
            "SlowStart",
            "WrongVersion",
        ),
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
