"""The small things of which everything else is made: texts, names, ids, times, counts."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The moment towards which dates shrink."""

_ALPHANUMERIC = string.digits + string.ascii_letters
_ID_CHARS = 200
# A visible character: neither a space nor a control character nor half of a pair.
_VISIBLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"))


@cache
def texts(*, max_size: int = 16) -> SearchStrategy[str]:
    """Text that begins with something to see; what follows may be any of Unicode.

    Never half a surrogate pair, which no UTF-8 can carry. Shrinks to `0`.
    """
    return st.builds(str.__add__, _VISIBLE, st.text(max_size=max_size - 1))


@cache
def item_ids() -> SearchStrategy[str]:
    """Ids as work items have them. Shrinks to `0`."""
    rest = st.text(f"{_ALPHANUMERIC}_.:-é語", max_size=_ID_CHARS - 1)
    return st.builds(str.__add__, st.sampled_from(_ALPHANUMERIC), rest)


@cache
def tool_names() -> SearchStrategy[str]:
    """Names that a tool or a property may have. Shrinks to `a`."""
    return st.text(f"{string.ascii_lowercase}{string.ascii_uppercase}_-9", min_size=1, max_size=8)


@cache
def api_ids(kind: str) -> SearchStrategy[str]:
    """Ids as the API mints them, such as `msg_0`; `kind` is what stands before the underscore."""
    return st.text(_ALPHANUMERIC, min_size=1, max_size=8).map(f"{kind}_{{}}".format)


@cache
def agent_paths() -> SearchStrategy[str]:
    """Paths of agents in a tree, sub-agents among them. Shrinks to `executor`."""
    return st.sampled_from(
        ("executor", "reviewer", "optimizer", "orchestrator", "executor/sub-1", "executor/sub-2")
    )


@cache
def counts() -> SearchStrategy[int]:
    """How many there are of something, such as tokens; often few. Shrinks to 0."""
    return st.integers(0, 9) | st.integers(0, 1_000_000)


@cache
def durations_s(*, max_s: float = 3600.0) -> SearchStrategy[float]:
    """Seconds, in steps of a tenth of a millisecond. Shrinks to 0."""
    return st.integers(0, round(max_s * 10_000)).map(lambda steps: steps / 10_000)
