"""Supervision: actors that fail alone, and supervisors that bring them back."""

from __future__ import annotations

from mnemosyne_core.supervision._actor import Actor, Context
from mnemosyne_core.supervision._children import ChildCount, ChildInfo, ChildState
from mnemosyne_core.supervision._exit import Exit, ExitKind
from mnemosyne_core.supervision._intensity import RestartIntensity, RestartWindow
from mnemosyne_core.supervision._mailbox import Mailbox
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

__all__ = [
    "Actor",
    "AutoShutdown",
    "ChildCount",
    "ChildInfo",
    "ChildKind",
    "ChildSpec",
    "ChildState",
    "Context",
    "Exit",
    "ExitKind",
    "Mailbox",
    "Ref",
    "Reply",
    "Restart",
    "RestartIntensity",
    "RestartWindow",
    "Shutdown",
    "Strategy",
    "Supervisor",
    "affected",
    "check_child_specs",
    "should_restart",
    "should_shut_down",
]
