"""Supervision: actors that fail alone, and supervisors that bring them back."""

from __future__ import annotations

from mnemosyne_core.supervision._actor import Actor, Context
from mnemosyne_core.supervision._backoff import Backoff
from mnemosyne_core.supervision._dynamic import DynamicSupervisor
from mnemosyne_core.supervision._exit import LOOP_BREAKERS, Exit, ExitKind, Ignore
from mnemosyne_core.supervision._info import ChildCount, ChildInfo, ChildState
from mnemosyne_core.supervision._intensity import RestartIntensity, RestartWindow
from mnemosyne_core.supervision._links import ExitSignal
from mnemosyne_core.supervision._mailbox import Mailbox, Overflow
from mnemosyne_core.supervision._monitors import Down, Monitor
from mnemosyne_core.supervision._ref import Ref, Reply
from mnemosyne_core.supervision._restart import (
    AutoShutdown,
    Restart,
    should_restart,
    should_shut_down,
)
from mnemosyne_core.supervision._spec import ChildKind, ChildSpec, Shutdown, check_child_specs
from mnemosyne_core.supervision._strategy import Strategy, affected
from mnemosyne_core.supervision._supervisor import Supervisor
from mnemosyne_core.supervision._watchdog import Blockage, Watchdog, keeps_real_time

__all__ = [
    "LOOP_BREAKERS",
    "Actor",
    "AutoShutdown",
    "Backoff",
    "Blockage",
    "ChildCount",
    "ChildInfo",
    "ChildKind",
    "ChildSpec",
    "ChildState",
    "Context",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "ExitKind",
    "ExitSignal",
    "Ignore",
    "Mailbox",
    "Monitor",
    "Overflow",
    "Ref",
    "Reply",
    "Restart",
    "RestartIntensity",
    "RestartWindow",
    "Shutdown",
    "Strategy",
    "Supervisor",
    "Watchdog",
    "affected",
    "check_child_specs",
    "keeps_real_time",
    "should_restart",
    "should_shut_down",
]
