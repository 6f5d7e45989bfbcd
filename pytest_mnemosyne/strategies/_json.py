"""Any JSON value."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

from pytest_mnemosyne.wire import JsonObject


def json_values(*, max_leaves: int = 8) -> SearchStrategy[JsonValue]:
    """Any value that JSON can say.

    Never NaN, an infinity or half a surrogate pair, which Python's `json` writes and other
    readers refuse. Shrinks to `None`, containers to fewer and smaller members.

    Args:
        max_leaves: About how many scalars one value holds at most.
    """
    scalars: SearchStrategy[JsonValue] = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=12)
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
        ),
        max_leaves=max_leaves,
    )


@cache
def json_objects() -> SearchStrategy[JsonObject]:
    """JSON objects with any members. Shrinks to an empty one."""
    return st.dictionaries(st.text(max_size=6), json_values(max_leaves=4), max_size=3)
