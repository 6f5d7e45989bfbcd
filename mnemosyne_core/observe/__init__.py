"""What can be seen of a tree: the bus, and the folds over its events."""

from __future__ import annotations

from mnemosyne_core.observe._agents import AgentState, AgentStatus, silence
from mnemosyne_core.observe._broadcaster import EventBroadcaster, Lagged, Sink, Subscription
from mnemosyne_core.observe._groups import AgentFact, ChildFact, ClaudeFact, TreeFact, WorkFact
from mnemosyne_core.observe._items import ItemState, item_after, item_id_of
from mnemosyne_core.observe._metrics import Durations, Metrics, MetricsSnapshot
from mnemosyne_core.observe._state import ChildState, TreeState, reduce, replay
from mnemosyne_core.observe._state_manager import StateManager

__all__ = [
    "AgentFact",
    "AgentState",
    "AgentStatus",
    "ChildFact",
    "ChildState",
    "ClaudeFact",
    "Durations",
    "EventBroadcaster",
    "ItemState",
    "Lagged",
    "Metrics",
    "MetricsSnapshot",
    "Sink",
    "StateManager",
    "Subscription",
    "TreeFact",
    "TreeState",
    "WorkFact",
    "item_after",
    "item_id_of",
    "reduce",
    "replay",
    "silence",
]
