"""Where new ids come from, handed in so that a run can be repeated."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import NewType, Protocol

from mnemosyne_core import origins

WorkItemId = NewType("WorkItemId", str)
MemoryId = NewType("MemoryId", str)


class IdSource(Protocol):
    """Mints ids that are unique within a system.

    A source whose ids differ from run to run passes each on through `origins.minted`, so that
    a recording of one run can be played in another.
    """

    def mint(self, kind: str) -> str:
        """A new id such as `work-…`; `kind` is its first word."""
        ...


class RandomIds:
    """Ids that are unique everywhere; each is told to `mnemosyne_core.origins`."""

    def mint(self, kind: str) -> str:
        """`kind` and 12 random hexadecimal digits."""
        return origins.minted(f"{kind}-{uuid.uuid4().hex[:12]}", kind)


class CountedIds:
    """Ids that are the same in every run: `work-1`, `work-2`, `memory-1`, ..."""

    def __init__(self) -> None:
        self._minted: Counter[str] = Counter()

    def mint(self, kind: str) -> str:
        """`kind` and how many of that kind there are now."""
        self._minted[kind] += 1
        return f"{kind}-{self._minted[kind]}"
