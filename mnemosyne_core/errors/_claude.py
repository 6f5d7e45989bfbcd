"""Errors of a turn with Claude, and of the policies around it."""

from __future__ import annotations

from mnemosyne_core.errors._base import MnemosyneError, Recovery


class ClaudeError(MnemosyneError):
    """A turn with Claude failed."""

    code = "claude"


class ClaudeConnectionError(ClaudeError):
    """The API could not be reached, or the connection broke.

    Attributes:
        reason: What the transport said.
        timed_out: Whether patience ended rather than the connection.
    """

    code = "claude_connection"
    recovery = Recovery.LATER
    hint = "check the network and ANTHROPIC_BASE_URL if it stays"

    def __init__(self, *, reason: str, timed_out: bool = False) -> None:
        self.reason = reason
        self.timed_out = timed_out
        super().__init__(f"{'timed out waiting for' if timed_out else 'lost'} Claude: {reason}")


class ClaudeStatusError(ClaudeError):
    """The API answered with an error.

    Attributes:
        status: The HTTP status; 200 when an error event ended a stream.
        error_type: The API's own word, such as `overloaded_error`.
        message: The API's own text.
        request_id: The API's id of the request, for its support.
        retry_after_s: Seconds after which the API wants to be asked again.
        should_retry: Whether asking again can help, where the API says so itself.
    """

    code = "claude_status"
    recovery = Recovery.LATER
    hint = "try again later"

    def __init__(
        self,
        *,
        status: int,
        error_type: str,
        message: str,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        self.status = status
        self.error_type = error_type
        self.message = message
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        named = f" (request {request_id})" if request_id else ""
        super().__init__(f"Claude answered {status} {error_type}: {message}{named}")

    @classmethod
    def kind_of(cls, status: int, error_type: str) -> type[ClaudeStatusError]:
        """The class for an answer: by the API's own word, else by the status.

        The word decides where both are known: an error event in a stream has status 200.
        """
        return _KINDS_BY_TYPE.get(error_type) or _KINDS_BY_STATUS.get(status, ClaudeStatusError)


class ClaudeRequestError(ClaudeStatusError):
    """The API does not take this request as it is; asking again changes nothing."""

    code = "claude_request"
    recovery = Recovery.WORK
    hint = "make the item smaller or mend what the message names"


class ClaudeAuthenticationError(ClaudeStatusError):
    """The API does not know the key."""

    code = "claude_authentication"
    recovery = Recovery.CONFIGURATION
    hint = "set ANTHROPIC_API_KEY to a key that is valid"


class ClaudePermissionError(ClaudeStatusError):
    """The key is known, but its account may not do this, or has not paid for it."""

    code = "claude_permission"
    recovery = Recovery.CONFIGURATION
    hint = "use a key whose account may use this model"


class ClaudeNotFoundError(ClaudeStatusError):
    """The API has no such model, or no such address."""

    code = "claude_not_found"
    recovery = Recovery.CONFIGURATION
    hint = "check AgentSettings.model and ANTHROPIC_BASE_URL"


class ClaudeRateLimitError(ClaudeStatusError):
    """The account's limit is reached for the moment."""

    code = "claude_rate_limit"
    recovery = Recovery.LATER
    hint = "try again after retry_after_s, or run fewer agents at once"


class ClaudeOverloadedError(ClaudeStatusError):
    """The API has more to do than it can."""

    code = "claude_overloaded"
    recovery = Recovery.LATER
    hint = "try again later"


class ClaudeStreamError(ClaudeError):
    """An answer ended before it was complete.

    Attributes:
        reason: What was missing.
    """

    code = "claude_stream"
    recovery = Recovery.LATER
    hint = "try again"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Claude's answer was cut: {reason}")


class ClaudeDeadlineError(ClaudeError, TimeoutError):
    """A call of Claude took longer than it may, with all its waits and retries; it was abandoned.

    Attributes:
        deadline_s: Its bound, in seconds.
    """

    code = "claude_deadline"
    recovery = Recovery.LATER
    hint = "raise DeadlineSettings.call_s, or ask for less at once"

    def __init__(self, *, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        super().__init__(
            f"a call of Claude took longer than its {deadline_s:g} s and was abandoned; {self.hint}"
        )


class RateLimitWaitError(ClaudeError):
    """A call was not made, because it would have had to wait too long for the rate limit.

    Attributes:
        retry_after_s: Seconds after which it can be made; `None` where nobody can tell.
        max_wait_s: How long calls wait at most, in seconds.
        reason: What there is too little of.
    """

    code = "rate_limit_wait"
    recovery = Recovery.LATER
    hint = "try again later, or run fewer agents at once"

    def __init__(self, *, retry_after_s: float | None, max_wait_s: float, reason: str) -> None:
        self.retry_after_s = retry_after_s
        self.max_wait_s = max_wait_s
        self.reason = reason
        room = (
            "and that was not enough"
            if retry_after_s is None
            else f"which has room in {retry_after_s:g} s"
        )
        super().__init__(
            f"Claude was not asked: a call waits at most {max_wait_s:g} s for the rate limit "
            f"({reason}), {room}; ask later, or raise RateLimitSettings.max_wait_s"
        )


class CircuitOpenError(ClaudeError):
    """A call was not made, because its provider has been failing.

    Attributes:
        provider: Whom it would have asked.
        retry_after_s: Seconds after which the provider is tried again; 0 while somebody tries.
        reason: The provider's last failure, in words.
    """

    code = "circuit_open"
    recovery = Recovery.LATER
    hint = "try again when the provider has had time to recover"

    def __init__(self, *, provider: str, retry_after_s: float, reason: str) -> None:
        self.provider = provider
        self.retry_after_s = retry_after_s
        self.reason = reason
        when = (
            f"it is tried again in {retry_after_s:g} s"
            if retry_after_s > 0
            else "one call is trying it right now"
        )
        super().__init__(
            f"Claude was not asked: {provider} keeps failing ({reason}); {when}, ask after that"
        )


class BudgetExceededError(ClaudeError):
    """A call was not made, because what it may use is more than is left.

    Attributes:
        unit: What is counted: `tokens`, or `money`.
        limit: The whole budget.
        spent: What has been used of it.
        needed: What the call may use at most.
    """

    code = "budget_exceeded"
    recovery = Recovery.CONFIGURATION
    hint = "raise the budget"

    def __init__(self, *, unit: str, limit: float, spent: float, needed: float) -> None:
        self.unit = unit
        self.limit = limit
        self.spent = spent
        self.needed = needed
        super().__init__(
            f"Claude was not asked: {spent:,.10g} of the budget's {limit:,.10g} {unit} are used, "
            f"and this call may use {needed:,.10g}; raise BudgetSettings, or max_tokens is too high"
        )


class MissingPriceError(ClaudeError):
    """Money is to be counted, but nobody has said what a model costs.

    Attributes:
        model: The model.
        known: The models that have a price.
    """

    code = "missing_price"
    recovery = Recovery.CONFIGURATION
    hint = "add its price to BudgetSettings.prices"

    def __init__(self, *, model: str, known: tuple[str, ...]) -> None:
        self.model = model
        self.known = known
        has = f"only {', '.join(known)} have one" if known else "no model has one"
        super().__init__(
            f"Claude was not asked: there is a budget of money, and {model} has no price ({has}); "
            "add it to BudgetSettings.prices"
        )


class MissingKeyError(ClaudeError):
    """There is no API key.

    Attributes:
        looked_in: The places that were searched, in order.
    """

    code = "missing_key"
    recovery = Recovery.CONFIGURATION
    hint = "set ANTHROPIC_API_KEY"

    def __init__(self, *, looked_in: tuple[str, ...]) -> None:
        self.looked_in = looked_in
        super().__init__(f"no Anthropic API key: looked in {', '.join(looked_in)}; {self.hint}")


class MissingSdkError(ClaudeError):
    """The anthropic package cannot be imported.

    Attributes:
        reason: What the import raised.
    """

    code = "missing_sdk"
    recovery = Recovery.CONFIGURATION
    hint = "pip install anthropic"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the anthropic package cannot be imported ({reason}); {self.hint}")


_KINDS_BY_TYPE: dict[str, type[ClaudeStatusError]] = {
    "invalid_request_error": ClaudeRequestError,
    "request_too_large": ClaudeRequestError,
    "authentication_error": ClaudeAuthenticationError,
    "billing_error": ClaudePermissionError,
    "permission_error": ClaudePermissionError,
    "not_found_error": ClaudeNotFoundError,
    "rate_limit_error": ClaudeRateLimitError,
    "overloaded_error": ClaudeOverloadedError,
}
_KINDS_BY_STATUS: dict[int, type[ClaudeStatusError]] = {
    400: ClaudeRequestError,
    401: ClaudeAuthenticationError,
    402: ClaudePermissionError,
    403: ClaudePermissionError,
    404: ClaudeNotFoundError,
    413: ClaudeRequestError,
    422: ClaudeRequestError,
    429: ClaudeRateLimitError,
    529: ClaudeOverloadedError,
}
