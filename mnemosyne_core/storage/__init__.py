"""What is kept: the journal of events, and the work items and results that follow from it."""

from __future__ import annotations

from mnemosyne_core.observe import ItemState as StoredItem
from mnemosyne_core.storage._database import MEMORY, Database
from mnemosyne_core.storage._journal import Journal

__all__ = ["MEMORY", "Database", "Journal", "StoredItem"]
