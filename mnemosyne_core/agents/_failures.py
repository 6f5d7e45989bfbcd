"""Which failures another attempt can mend."""

from __future__ import annotations

from mnemosyne_core.claude import is_passing
from mnemosyne_core.errors import (
    AgentError,
    BudgetExceededError,
    ClaudeError,
    ClaudeStatusError,
    MissingKeyError,
    MissingPriceError,
    MissingSdkError,
    RefusalError,
)
from mnemosyne_core.work import Failure


def failure_of(error: AgentError | ClaudeError) -> Failure:
    """The failure that a work result reports for `error`."""
    return Failure.of(error, retryable=_is_retryable(error))


def _is_retryable(error: AgentError | ClaudeError) -> bool:
    match error:
        case RefusalError() | MissingKeyError() | MissingSdkError():
            return False
        case BudgetExceededError() | MissingPriceError():
            return False
        case ClaudeStatusError():
            return is_passing(error)
        case _:
            return True
