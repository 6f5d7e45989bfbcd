"""Which troubles of the API pass by themselves."""

from __future__ import annotations

from mnemosyne_core.errors import (
    ClaudeConnectionError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
)

# A timeout, a conflict and a rate limit pass; so do the API's own troubles, from 500 on,
# and an error event in a stream that had begun with 200.
_PASSING_STATUS = frozenset({200, 408, 409, 429})


def is_passing(error: ClaudeError) -> bool:
    """Whether the same request may well succeed later, for all that can be seen from here."""
    match error:
        case ClaudeRequestError():
            return False
        case ClaudeStatusError(status=status):
            return status in _PASSING_STATUS or status >= 500
        case _:
            return isinstance(error, ClaudeConnectionError | ClaudeStreamError)
