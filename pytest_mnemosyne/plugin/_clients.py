"""SDK clients for tests that replay.

A client of one's own costs 22 ms per test, nearly all of it for a TLS context that a
replaying test never uses. Here the clients stand on one HTTP client whose TLS context
trusts nobody: a request that came past the cassette could not even shake hands.

Even so, making one costs a fifth of a replayed call, and leaves some fifty objects to
the garbage collector. So one client serves test after test, and is as new for each:
what a test has set on it is gone.
"""

from __future__ import annotations

import os
import ssl
from typing import Final

import httpx2
from anthropic import Anthropic, AsyncAnthropic
from anthropic.resources.messages import AsyncMessages

from pytest_mnemosyne.plugin._shared_http import SharedAsyncHttp, SharedHttp

_SETTINGS: Final = ("ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS")
"""What a new client reads from the environment for its requests; a test may set it."""


class SharedClients:
    """Hands out SDK clients on shared HTTP clients, which are made at the first use."""

    def __init__(self) -> None:
        self._sync: SharedHttp | None = None
        self._async: SharedAsyncHttp | None = None
        self._async_client: AsyncAnthropic | None = None
        self._async_state: dict[str, object] = {}
        self._async_settings: tuple[str | None, ...] = ()

    def for_async(self, api_key: str) -> AsyncAnthropic:
        """The asynchronous client, as new; closing it is free."""
        settings = (api_key, *map(os.environ.get, _SETTINGS))
        if self._async_client is None or settings != self._async_settings:
            self._async_client = self._new_async(api_key)
            self._async_state = dict(vars(self._async_client))
            self._async_settings = settings
        else:
            client = self._async_client
            state = vars(client)
            state.clear()
            state.update(self._async_state)
            # Nearly every test uses it, and the SDK's property imports its class each time.
            state["messages"] = AsyncMessages(client)
        return self._async_client

    def _new_async(self, api_key: str) -> AsyncAnthropic:
        if self._async is None:
            self._async = SharedAsyncHttp(httpx2.AsyncHTTPTransport(verify=_trusting_nobody()))
        client = AsyncAnthropic(api_key=api_key, http_client=self._async)
        # Or else each new client starts a thread at its first request, to find out what
        # goes into a header that nobody reads here. That costs more than the replay.
        client._platform = "Unknown"
        return client

    def for_sync(self, api_key: str) -> Anthropic:
        """A new synchronous client; closing it is free."""
        if self._sync is None:
            self._sync = SharedHttp(httpx2.HTTPTransport(verify=_trusting_nobody()))
        return Anthropic(api_key=api_key, http_client=self._sync)

    def close(self) -> None:
        """Close the shared HTTP clients; no loop may be running."""
        if self._sync is not None:
            self._sync.really_close()
            self._sync = None
        self._async_client = None
        if self._async is not None:
            self._async.really_close()
            self._async = None


def _trusting_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
