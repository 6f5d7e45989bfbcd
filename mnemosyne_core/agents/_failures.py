"""Which failures another attempt can mend, and whose fault a failure is."""

from __future__ import annotations

from mnemosyne_core.errors import (
    AgentError,
    AnswerTooLongError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStatusError,
    IterationLimitError,
    MissingKeyError,
    MissingSdkError,
    RefusalError,
)
from mnemosyne_core.work import Failure

# A timeout, a conflict and a rate limit pass; so do the API's own troubles, from 500 on,
# and an error event in a stream that had begun with 200.
_PASSING_STATUS = frozenset({200, 408, 409, 429})

_ITEM_FAULTS = frozenset(
    kind.code
    for kind in (AnswerTooLongError, ClaudeRequestError, IterationLimitError, RefusalError)
)


def failure_of(error: AgentError | ClaudeError) -> Failure:
    """The failure that a work result reports for `error`."""
    return Failure.of(error, retryable=_is_retryable(error))


def is_items_fault(failure: Failure) -> bool:
    """Whether the work itself was too large or unwanted, and no agent would have fared better."""
    return failure.code in _ITEM_FAULTS


def _is_retryable(error: AgentError | ClaudeError) -> bool:
    match error:
        case ClaudeRequestError() | RefusalError() | MissingKeyError() | MissingSdkError():
            return False
        case ClaudeStatusError(status=status):
            return status in _PASSING_STATUS or status >= 500
        case _:
            return True
