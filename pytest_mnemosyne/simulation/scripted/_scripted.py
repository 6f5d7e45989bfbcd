"""A stand-in for the Messages API that plays a script: over loopback, or in the process."""

from __future__ import annotations

from datetime import datetime
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from pytest_mnemosyne.simulation.loop import EPOCH
from pytest_mnemosyne.simulation.scripted._batches import BatchPace
from pytest_mnemosyne.simulation.scripted._conditions import Condition
from pytest_mnemosyne.simulation.scripted._dates import Dates
from pytest_mnemosyne.simulation.scripted._endpoints import Endpoints
from pytest_mnemosyne.simulation.scripted._errors import ScriptNotPlayedError
from pytest_mnemosyne.simulation.scripted._latency import Latency
from pytest_mnemosyne.simulation.scripted._limits import RateLimit, RateLimiter
from pytest_mnemosyne.simulation.scripted._player import Player, Unscripted
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.simulation.scripted._script import Script
from pytest_mnemosyne.simulation.scripted._scripting import Scripting, When
from pytest_mnemosyne.wire import AnyAnswer, HttpRequest

if TYPE_CHECKING:
    from typing import Self

    from anthropic import Anthropic, AsyncAnthropic

    from pytest_mnemosyne.wire import (
        BlockingClock,
        HandlerTransport,
        LoopbackServer,
        SyncHandlerTransport,
    )

# No network resolves this name, should a client ever come to leave the process.
_ASKING = {
    "base_url": "http://scripted.claude.invalid",
    "api_key": "scripted-claude-asks-for-no-key",
}
"""Where clients inside the process believe to be, and the key that they show there."""


class ScriptedClaude(Scripting):
    """A Claude that says what a script tells it to.

    Write the script first, then ask with `client()` or `sync_client()`, inside the process;
    or point any client at `url`. Safe to use from several threads. What has to do with
    time (latency, limits, dates) goes by the clock of whoever carries the exchange; one
    script should know one such clock.
    """

    def __init__(self, *, epoch: datetime = EPOCH) -> None:
        """Start with an empty script, whose dates begin at `epoch`, that of every virtual loop."""
        super().__init__(Script(), RLock(), ())
        self._dates = Dates(epoch)
        self._player = Player(self._script, self._lock)
        self._endpoints = Endpoints(self._player, self._dates, self._lock)
        self._server: LoopbackServer | None = None

    # --- writing -------------------------------------------------------------------------

    def when(self, *conditions: Condition) -> When:
        """Answer only requests for which all conditions hold, before anything unconditional."""
        return When(self._script, self._lock, conditions)

    def latency(self, *, first_byte_s: float = 0.0, per_token_s: float = 0.0) -> Self:
        """Take time for each answer that has none of its own.

        Args:
            first_byte_s: Seconds until an answer begins.
            per_token_s: Seconds for each token of it.
        """
        self._player.latency = Latency(first_byte_s=first_byte_s, per_token_s=per_token_s)
        return self

    def rate_limit(
        self,
        *,
        requests_per_minute: int | None = None,
        input_tokens_per_minute: int | None = None,
        output_tokens_per_minute: int | None = None,
    ) -> Self:
        """Count requests for messages and answer 429 beyond a limit; a batch has none.

        Every answer says in its headers what is left. What is refused does not reach the
        script.
        """
        limit = RateLimit(
            requests_per_minute=requests_per_minute,
            input_tokens_per_minute=input_tokens_per_minute,
            output_tokens_per_minute=output_tokens_per_minute,
        )
        self._endpoints.limiter = RateLimiter(limit, self._dates, self._lock)
        return self

    def batch_pace(self, *, polls: int | None = 1, after_s: float | None = None) -> Self:
        """Say when the processing of a batch ends: with the first of these.

        Args:
            polls: With this poll (`retrieve`), counted from 1; `None` is with none.
            after_s: So many seconds after the batch was made. What is not processed within
                a day has expired.
        """
        self._endpoints.batches.pace = BatchPace(polls=polls, after_s=after_s)
        return self

    # --- what happened -------------------------------------------------------------------

    @property
    def requests(self) -> tuple[ClaudeRequest, ...]:
        """Every request for a message, in order of arrival, whatever was answered.

        Those of a batch arrive when its processing ends.
        """
        with self._lock:
            return tuple(self._player.requests)

    @property
    def unscripted(self) -> tuple[Unscripted, ...]:
        """The requests that the script has no usable answer for; they got a 400."""
        with self._lock:
            return tuple(self._player.unscripted)

    def pending(self) -> tuple[str, ...]:
        """What the script promised and nobody asked for, a text for each step."""
        with self._lock:
            return tuple(str(step) for step in self._script.pending())

    def assert_all_played(self) -> None:
        """Check that the script was played: all of it, and nothing else.

        Raises:
            ScriptNotPlayedError: It was not.
        """
        unscripted = tuple(str(finding) for finding in self.unscripted)
        pending = self.pending()
        if unscripted or pending:
            raise ScriptNotPlayedError(unscripted=unscripted, pending=pending)

    # --- in the process ------------------------------------------------------------------

    def client(self, **options: object) -> AsyncAnthropic:
        """An asynchronous client of this script: no socket, no thread, no key.

        Args:
            **options: Those of `anthropic.AsyncAnthropic`, such as `max_retries`.
        """
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

        if "http_client" not in options:
            made = DefaultAsyncHttpxClient(transport=self.transport(), trust_env=False)
            options["http_client"] = made
        client = AsyncAnthropic(**cast("dict[str, Any]", _ASKING | options))
        # Or else its first request starts a thread, for a header that nobody reads here.
        client._platform = "Unknown"
        return client

    def sync_client(self, **options: object) -> Anthropic:
        """A synchronous client of this script: no socket, no thread, no key.

        Args:
            **options: Those of `anthropic.Anthropic`, such as `max_retries`.
        """
        from anthropic import Anthropic, DefaultHttpxClient

        if "http_client" not in options:
            made = DefaultHttpxClient(transport=self.sync_transport(), trust_env=False)
            options["http_client"] = made
        return Anthropic(**cast("dict[str, Any]", _ASKING | options))

    def transport(self) -> HandlerTransport:
        """What an `httpx2.AsyncClient` takes as its transport, to ask this script."""
        from pytest_mnemosyne.wire import HandlerTransport

        return HandlerTransport(self.handle)

    def sync_transport(self, *, clock: BlockingClock | None = None) -> SyncHandlerTransport:
        """The same for an `httpx2.Client`; it waits on `clock`, by default in real time."""
        from pytest_mnemosyne.wire import SyncHandlerTransport

        return SyncHandlerTransport(self.handle, clock=clock)

    async def handle(self, request: HttpRequest) -> AnyAnswer:
        """Answer one request; whatever is wrong with it is an answer too."""
        return await self._endpoints.answer(request)

    # --- over loopback -------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL to point a client at; starts the server if need be."""
        return self.serve().url

    def serve(self) -> LoopbackServer:
        """The server on loopback that plays this script, started; `stop` ends it."""
        with self._lock:
            if self._server is None:
                from pytest_mnemosyne.wire import LoopbackServer

                server = LoopbackServer(self.handle)
                server.start()
                self._server = server
            return self._server

    def stop(self) -> None:
        """Stop the server if it was started; the script and its records stay."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
