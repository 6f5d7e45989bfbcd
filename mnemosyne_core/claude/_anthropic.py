"""Claude through the `anthropic` SDK.

The request goes through the SDK's generic `post`, not through its typed
`messages.create`: the answer is read as the JSON that came, so that blocks and
fields newer than the installed SDK survive, and the SDK still does what it is
here for: authentication, retries, its error classes.

The SDK costs more than a second to import; that happens when a client is opened.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from mnemosyne_core.claude._events import events_in
from mnemosyne_core.claude._limits import Limits, retry_after_s
from mnemosyne_core.claude._reply import parse_reply
from mnemosyne_core.claude._values import Block, ClaudeClient, ClaudeSettings, Prompt, Reply
from mnemosyne_core.errors import (
    ClaudeConnectionError,
    ClaudeError,
    ClaudeStatusError,
    ClaudeStreamError,
    MissingKeyError,
    MissingSdkError,
)

if TYPE_CHECKING:
    from anthropic import AnthropicError, APIStatusError, AsyncAnthropic
    from anthropic._types import RequestOptions
    from httpx2 import Headers, HTTPError

KEY_PLACES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "the SDK's credential profiles")

LimitsHeard = Callable[[str, Limits], None]
"""Hears, for the model that was asked, what each answer says of the limits; an error's too."""


@runtime_checkable
class Provider(Protocol):
    """A client that is the last one before the network, and so knows of it."""

    @property
    def provider(self) -> str:
        """Whom it asks: the API's address."""
        ...

    def with_options(
        self, *, max_retries: int | None = None, on_limits: LimitsHeard | None = None
    ) -> ClaudeClient:
        """The same client, on the same connections, with other options.

        Args:
            max_retries: How often it repeats a request by itself.
            on_limits: Who hears of rate limits.
        """
        ...


class AnthropicClient:
    """A `ClaudeClient` on an `anthropic.AsyncAnthropic`."""

    def __init__(
        self, client: AsyncAnthropic | None = None, *, settings: ClaudeSettings | None = None
    ) -> None:
        """Use `client`, which stays the caller's to close, or one that `open` makes.

        Args:
            client: An SDK client, whatever its settings.
            settings: For a client made here; a client handed in has its own.
        """
        self._connection = _Connection(client, settings or ClaudeSettings())
        self._options: RequestOptions = {}
        self._on_limits: LimitsHeard | None = None

    def with_options(
        self, *, max_retries: int | None = None, on_limits: LimitsHeard | None = None
    ) -> Self:
        """The same client, on the same connections, with other options.

        Closing one of the two closes both.

        Args:
            max_retries: How often the SDK repeats a request, whatever it was told before.
            on_limits: Who hears what each answer says of the rate limits.
        """
        other = copy.copy(self)
        if max_retries is not None:
            other._options = {**self._options, "max_retries": max_retries}
        if on_limits is not None:
            other._on_limits = on_limits
        return other

    @property
    def provider(self) -> str:
        """The API's address, without what is secret in it."""
        return self._connection.address

    async def open(self) -> None:
        """Import the SDK and find the key, if that has not been done; the next try looks again.

        Raises:
            MissingSdkError: `anthropic` cannot be imported.
            MissingKeyError: The client has nothing to authenticate itself with.
            ClaudeError: The SDK found credentials that it cannot use, or the client is closed.
        """
        await self._connection.open()

    async def send(self, prompt: Prompt) -> Reply:
        """Claude's complete answer, after the SDK's retries."""
        sdk = await self._connection.open()
        import anthropic
        import httpx2

        try:
            response = await sdk.post(
                "/v1/messages", body=prompt.body(), cast_to=httpx2.Response, options=self._options
            )
        except anthropic.AnthropicError as error:
            self._hear(prompt, error)
            raise _error_for(error) from error
        self._hear(prompt, response)
        return parse_reply(response.content)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """The answer's events as they come; the SDK retries until the first of them."""
        sdk = await self._connection.open()
        import anthropic
        import httpx2

        try:
            stream = await sdk.post(
                "/v1/messages",
                body={**prompt.body(), "stream": True},
                cast_to=object,
                options=self._options,
                stream=True,
                stream_cls=anthropic.AsyncStream[object],
            )
        except anthropic.AnthropicError as error:
            self._hear(prompt, error)
            raise _error_for(error) from error
        self._hear(prompt, stream)
        complete = False
        try:
            # Not the SDK's own events: its nested generators are closed by nobody, and
            # would end in tasks of their own when a stream is left early.
            async with (
                aclosing(stream.response.aiter_bytes()) as chunks,
                aclosing(events_in(chunks)) as events,
            ):
                async for event in events:
                    if event.get("type") == "error":
                        raise _error_event(event, stream.response.headers)
                    complete = complete or event.get("type") == "message_stop"
                    yield event
        except httpx2.HTTPError as error:
            # What breaks behind the end breaks nothing.
            if not complete:
                raise _broken(error) from error
        finally:
            # The bytes are closed already; this ends the SDK's own account of the call.
            await stream.close()
        if not complete:
            raise ClaudeStreamError(reason="the stream ended without message_stop")

    async def aclose(self) -> None:
        """Close the SDK's client if it was made here; then nothing can be asked any more."""
        await self._connection.close()

    def _hear(self, prompt: Prompt, answered: object) -> None:
        """Pass on what an answer, or the error made of one, says of the limits."""
        response = getattr(answered, "response", answered)
        headers: Headers | None = getattr(response, "headers", None)
        if self._on_limits is not None and headers is not None:
            self._on_limits(prompt.model, Limits.of(headers))


class _Connection:
    """The SDK's client, made when it is first needed."""

    def __init__(self, sdk: AsyncAnthropic | None, settings: ClaudeSettings) -> None:
        self._sdk = sdk
        self._settings = settings
        self._is_ours = sdk is None
        self._is_checked = False
        self._is_closed = False

    @property
    def address(self) -> str:
        if self._sdk is None:
            return self._settings.base_url or "the Anthropic API"
        url = self._sdk.base_url
        return f"{url.scheme}://{url.netloc.decode()}{url.path}".rstrip("/")

    async def open(self) -> AsyncAnthropic:
        if self._is_closed:
            raise ClaudeError("this client of Claude was closed; make a new one")
        if self._sdk is not None and self._is_checked:
            return self._sdk
        try:
            import anthropic
        except ImportError as error:
            raise MissingSdkError(reason=str(error)) from error
        sdk = _sdk_client(self._settings) if self._sdk is None else self._sdk
        # Without this check the SDK raises a plain TypeError, and only at the first request.
        # Its classes for other platforms have credentials of their own kind.
        if type(sdk) is anthropic.AsyncAnthropic and not _can_authenticate(sdk):
            if self._is_ours:
                # Left to the garbage collector, it would close itself in a task of its own.
                await sdk.close()
            raise MissingKeyError(looked_in=KEY_PLACES)
        self._sdk, self._is_checked = sdk, True
        return sdk

    async def close(self) -> None:
        if not self._is_ours:
            return
        self._is_closed = True
        if self._sdk is not None:
            await self._sdk.close()


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
    return ClaudeStatusError.kind_of(error.status_code, error_type)(
        status=error.status_code,
        error_type=error_type,
        message=error.api_message or error.message,
        request_id=error.request_id,
        retry_after_s=retry_after_s(error.response.headers),
        should_retry=_should_retry(error.response.headers),
    )


def _error_event(event: Block, headers: Headers) -> ClaudeStatusError:
    """The error that ended a stream which had begun with 200."""
    given = event.get("error")
    told = given if isinstance(given, dict) else {}
    error_type = str(told.get("type") or "unknown_error")
    request_id = event.get("request_id") or headers.get("request-id")
    return ClaudeStatusError.kind_of(200, error_type)(
        status=200,
        error_type=error_type,
        message=str(told.get("message") or "an error ended the stream"),
        request_id=str(request_id) if request_id else None,
    )


def _should_retry(headers: Headers) -> bool | None:
    return {"true": True, "false": False}.get(headers.get("x-should-retry", ""))


def _broken(error: HTTPError) -> ClaudeConnectionError:
    """What the transport said in the middle of a stream, where the SDK does not translate it."""
    import httpx2

    return ClaudeConnectionError(
        reason=_words(error), timed_out=isinstance(error, httpx2.TimeoutException)
    )


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
