"""Where new ids come from, handed in so that a run can be repeated."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import NewType, Protocol

WorkItemId = NewType("WorkItemId", str)
MemoryId = NewType("MemoryId", str)


class IdSource(Protocol):
    """Mints ids that are unique within a system."""

    def mint(self, kind: str) -> str:
        """A new id such as `work-…`; `kind` is its first word."""
        ...


class RandomIds:
    """Ids that are unique everywhere."""

    def mint(self, kind: str) -> str:
        """`kind` and 12 random hexadecimal digits."""
        return f"{kind}-{uuid.uuid4().hex[:12]}"


class CountedIds:
    """Ids that are the same in every run: `work-1`, `work-2`, `memory-1`, ..."""

    def __init__(self) -> None:
        self._minted: Counter[str] = Counter()

    def mint(self, kind: str) -> str:
        """`kind` and how many of that kind there are now."""
        self._minted[kind] += 1
        return f"{kind}-{self._minted[kind]}"
