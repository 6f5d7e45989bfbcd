"""Virtual time: an event loop whose clock jumps, and the clock to steer it by."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext

from pytest_mnemosyne.simulation.loop._clock import EPOCH, VirtualClock
from pytest_mnemosyne.simulation.loop._errors import (
    ConditionNotMetError,
    HoldTooLongError,
    HorizonError,
    LeftoversError,
    LivelockError,
    StallError,
    VirtualTimeError,
)
from pytest_mnemosyne.simulation.loop._holds import Hold
from pytest_mnemosyne.simulation.loop._leftovers import leftovers
from pytest_mnemosyne.simulation.loop._limits import Limits
from pytest_mnemosyne.simulation.loop._loop import Check, VirtualLoop
from pytest_mnemosyne.simulation.loop._order import Order
from pytest_mnemosyne.simulation.loop._steps import name_of
from pytest_mnemosyne.simulation.loop._trace import Divergence, Trace
from pytest_mnemosyne.simulation.loop._waiting import Waiting, told, waiting_tasks

__all__ = [
    "EPOCH",
    "Check",
    "ConditionNotMetError",
    "Divergence",
    "Hold",
    "HoldTooLongError",
    "HorizonError",
    "LeftoversError",
    "Limits",
    "LivelockError",
    "Order",
    "StallError",
    "Trace",
    "VirtualClock",
    "VirtualLoop",
    "VirtualTimeError",
    "Waiting",
    "holding",
    "leftovers",
    "name_of",
    "told",
    "waiting_tasks",
]


def holding(label: str) -> AbstractContextManager[object]:
    """Hold the running loop's time for a block, where it is virtual; nothing elsewhere."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return nullcontext()
    return loop.hold(label) if isinstance(loop, VirtualLoop) else nullcontext()
