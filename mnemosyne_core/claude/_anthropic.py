"""Claude through the `anthropic` SDK.

The request goes through the SDK's generic `post`, not through its typed
`messages.create`: the answer is read as the JSON that came, so that blocks and
fields newer than the installed SDK survive, and the SDK still does what it is
here for: authentication, retries, its error classes.

The SDK costs more than a second to import; that happens when a client is made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from pydantic import JsonValue, ValidationError

from mnemosyne_core.claude._values import Block, ClaudeSettings, Prompt, Reply
from mnemosyne_core.errors import (
    ClaudeConnectionError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
    MissingKeyError,
    MissingSdkError,
)
from mnemosyne_core.work import Usage, problems_of

if TYPE_CHECKING:
    from anthropic import AnthropicError, APIStatusError, AsyncAnthropic
    from httpx2 import Headers

KEY_PLACES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "the SDK's credential profiles")

# The request itself is at fault: too long, malformed, not allowed in this form.
_UNTAKEN_STATUS = frozenset({400, 413, 422})
_UNTAKEN_TYPES = frozenset({"invalid_request_error", "request_too_large"})


class AnthropicClient:
    """A `ClaudeClient` on an `anthropic.AsyncAnthropic`."""

    def __init__(
        self, client: AsyncAnthropic | None = None, *, settings: ClaudeSettings | None = None
    ) -> None:
        """Use `client`, which stays the caller's to close, or make one of our own.

        Args:
            client: An SDK client, whatever its settings.
            settings: For a client made here; a client handed in has its own.

        Raises:
            MissingSdkError: `anthropic` cannot be imported.
            MissingKeyError: The client has nothing to authenticate itself with.
            ClaudeError: The SDK found credentials that it cannot use.
        """
        try:
            import anthropic
        except ImportError as error:
            raise MissingSdkError(reason=str(error)) from error
        self._is_ours = client is None
        if client is None:
            client = _sdk_client(settings or ClaudeSettings())
        # Without this check the SDK raises a plain TypeError, and only at the first request.
        # Its classes for other platforms have credentials of their own kind.
        if type(client) is anthropic.AsyncAnthropic and not _can_authenticate(client):
            raise MissingKeyError(looked_in=KEY_PLACES)
        self._client = client

    @classmethod
    async def open(cls, *, settings: ClaudeSettings | None = None) -> Self:
        """A client made here, as by the constructor; nothing stays open when that fails.

        Raises:
            ClaudeError: As for the constructor.
        """
        try:
            sdk = _sdk_client(settings or ClaudeSettings())
        except ImportError as error:
            raise MissingSdkError(reason=str(error)) from error
        try:
            made = cls(sdk)
        except BaseException:
            # Left to the garbage collector, it would close itself in a task of its own.
            await sdk.close()
            raise
        made._is_ours = True
        return made

    async def send(self, prompt: Prompt) -> Reply:
        """Claude's complete answer, after the SDK's retries."""
        import anthropic
        import httpx2

        try:
            response = await self._client.post(
                "/v1/messages", body=prompt.body(), cast_to=httpx2.Response
            )
        except anthropic.AnthropicError as error:
            raise _error_for(error) from error
        return parse_reply(response.content)

    async def aclose(self) -> None:
        """Close the SDK's client if it was made here."""
        if self._is_ours:
            await self._client.close()


def _sdk_client(settings: ClaudeSettings) -> AsyncAnthropic:
    import anthropic

    try:
        return anthropic.AsyncAnthropic(
            base_url=settings.base_url,
            max_retries=settings.max_retries,
            timeout=settings.timeout_s,
        )
    except anthropic.CredentialsError as error:
        raise ClaudeError(f"the SDK's credentials are unusable: {error}") from error


def parse_reply(content: bytes) -> Reply:
    """The reply in an answer's bytes.

    Raises:
        ClaudeStreamError: They are no complete message.
    """
    try:
        message = json.loads(content)
    except ValueError as error:
        raise ClaudeStreamError(reason=f"the answer is no JSON ({error})") from error
    if not isinstance(message, dict):
        raise ClaudeStreamError(reason=f"expected a message, got a {type(message).__name__}")
    blocks = message.get("content")
    if not isinstance(blocks, list) or not all(_is_block(block) for block in blocks):
        raise ClaudeStreamError(reason="the message has no list of content blocks")
    stop_reason = message.get("stop_reason")
    if not isinstance(stop_reason, str):
        raise ClaudeStreamError(reason="the message has no stop reason, so its end is missing")
    details = message.get("stop_details")
    return Reply(
        id=str(message.get("id", "")),
        model=str(message.get("model", "")),
        content=tuple(blocks),
        stop_reason=stop_reason,
        stop_details=details if isinstance(details, dict) else None,
        usage=_usage_in(message.get("usage")),
    )


def _is_block(value: JsonValue) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _usage_in(given: Block | None) -> Usage:
    counted = {name: (given or {}).get(name) for name in Usage.model_fields}
    try:
        return Usage.model_validate({k: v for k, v in counted.items() if v is not None})
    except ValidationError as error:
        problems = "; ".join(f"{field}: {problem}" for field, problem in problems_of(error))
        raise ClaudeStreamError(reason=f"the token counts are unusable: {problems}") from error


def _can_authenticate(client: AsyncAnthropic) -> bool:
    if client.api_key or client.auth_token or client.credentials is not None:
        return True
    return any(name.lower() in ("authorization", "x-api-key") for name in client.default_headers)


def _error_for(error: AnthropicError) -> ClaudeError:
    """Our error for one of the SDK's; the rarer ones keep only their text."""
    import anthropic

    match error:
        case anthropic.APIStatusError():
            return _status_error(error)
        case anthropic.APITimeoutError():
            return ClaudeConnectionError(reason=_words(error.__cause__ or error), timed_out=True)
        case anthropic.APIConnectionError():
            return ClaudeConnectionError(reason=_words(error.__cause__ or error))
        case _:
            return ClaudeError(_words(error))


def _status_error(error: APIStatusError) -> ClaudeStatusError:
    error_type = str(error.type or "unknown_error")
    untaken = error.status_code in _UNTAKEN_STATUS or error_type in _UNTAKEN_TYPES
    kind = ClaudeRequestError if untaken else ClaudeStatusError
    return kind(
        status=error.status_code,
        error_type=error_type,
        message=error.api_message or error.message,
        request_id=error.request_id,
        retry_after_s=_retry_after_s(error.response.headers),
    )


def _retry_after_s(headers: Headers) -> float | None:
    """Seconds that the API asks for; a date in place of seconds is left unread."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
    return None


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
