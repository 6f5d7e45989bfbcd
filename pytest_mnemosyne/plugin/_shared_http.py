"""HTTP clients that the SDK clients of all tests share.

A test may close its client; the next one goes on with the same. And they take the short
way where httpx2's is long for what replaying needs, each time with the same result:

- httpx2 looks for every header of a request among the client's own and writes all of
  them down twice. That is a twentieth of a test with one replayed call, and so is
- the answer's way through the generators that sign in, follow redirects, keep cookies
  and decode, for a body that lies there whole.

Only what the SDK usually asks for, and what a cassette usually answers, goes the short
way. Everything else is left to httpx2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any, Final

import httpx2

_LOG: Final = logging.getLogger("httpx2")

_USUAL: Final = ("content", "headers", "timeout")
"""What the SDK says of a request beside its method and URL; the rest is `None`."""

_WRITTEN_BY_HTTPX: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})


class SharedHttp(httpx2.Client):
    """For synchronous SDK clients."""

    def __init__(self, wire: httpx2.BaseTransport) -> None:
        """Send everything over `wire`."""
        super().__init__(transport=wire, follow_redirects=True)

    def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
        """The request that any client builds."""
        return _built(self, method, url, given) or super().build_request(method, url, **given)

    def close(self) -> None:
        """Not for a test to do."""

    def __exit__(self, *exc_info: object) -> None:
        """Not for a test to do."""

    def really_close(self) -> None:
        """For the end of the run."""
        super().close()


class SharedAsyncHttp(httpx2.AsyncClient):
    """For asynchronous SDK clients."""

    def __init__(self, wire: httpx2.AsyncBaseTransport) -> None:
        """Send everything over `wire`."""
        super().__init__(transport=wire, follow_redirects=True)

    def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
        """The request that any client builds."""
        return _built(self, method, url, given) or super().build_request(method, url, **given)

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **given: Any
    ) -> httpx2.Response:
        """The answer that any client gets."""
        if stream or given or any(self.event_hooks.values()):
            return await super().send(request, stream=stream, **given)
        began_s = time.perf_counter()
        try:
            response = await self._transport.handle_async_request(request)
        except httpx2.RequestError as error:
            error.request = request
            raise
        if response.is_redirect or not isinstance(response.stream, httpx2.ByteStream):
            begun = _Begun(response, self._transport)
            return await httpx2.AsyncClient(transport=begun, follow_redirects=True).send(request)
        response.request = request
        # As `aread` leaves it; a played answer has no encoding to undo.
        response._content = b"".join(response.stream)
        response._num_bytes_downloaded = len(response._content)
        response.is_stream_consumed = response.is_closed = True
        response.elapsed = timedelta(seconds=time.perf_counter() - began_s)
        if _LOG.isEnabledFor(logging.INFO):
            _log(response)
        return response

    async def aclose(self) -> None:
        """Not for a test to do."""

    async def __aexit__(self, *exc_info: object) -> None:
        """Not for a test to do."""

    def really_close(self) -> None:
        """For the end of the run, when no loop is running."""
        asyncio.run(super().aclose())


class _Begun(httpx2.AsyncBaseTransport):
    """Hands out an answer that is there already, and from then on what the wire answers."""

    def __init__(self, response: httpx2.Response, wire: httpx2.AsyncBaseTransport) -> None:
        self._first: httpx2.Response | None = response
        self._wire = wire

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        first, self._first = self._first, None
        return first or await self._wire.handle_async_request(request)


def _built(
    client: httpx2.Client | httpx2.AsyncClient,
    method: str,
    url: httpx2.URL | str,
    given: dict[str, Any],
) -> httpx2.Request | None:
    """The request that `client` would build; `None` where it is not a usual one."""
    content, headers, timeout = map(given.get, _USUAL)
    if not (
        isinstance(url, httpx2.URL)
        and isinstance(content, bytes)
        and isinstance(headers, httpx2.Headers)
        and isinstance(timeout, httpx2.Timeout)
    ):
        return None
    raw = headers.raw
    named = {name.lower() for name, _ in raw}
    if (
        not content
        or url.is_relative_url
        or not named.isdisjoint(_WRITTEN_BY_HTTPX)
        or any(given[name] is not None for name in given.keys() - _USUAL)
        or client.params
        or client.cookies
    ):
        return None
    request = httpx2.Request(
        method,
        url,
        headers=[
            (b"Host", url.netloc),
            *(each for each in client.headers.raw if each[0].lower() not in named),
            *raw,
            (b"Content-Length", b"%d" % len(content)),
        ],
        stream=httpx2.ByteStream(content),
        extensions={"timeout": timeout.as_dict()},
    )
    request.read()
    return request


def _log(response: httpx2.Response) -> None:
    _LOG.info(
        'HTTP Request: %s %s "%s %d %s"',
        response.request.method,
        response.request.url,
        response.http_version,
        response.status_code,
        response.reason_phrase,
    )
