"""Transports of httpx2 that hand requests to a handler: no socket, no thread.

What a client sees is what it would see of the same handler behind the server on loopback:
the same bytes, the same errors where a connection drops, its own timeout where an answer
is late. On an event loop all waiting is the loop's, so virtual where its time is; every
piece of an answer is a chance for other tasks to run, as on a socket.

Importing this module imports httpx2; the front of the package does so when it is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import httpx2

from pytest_mnemosyne.wire._handler import AnyAnswer, Handler, answered, headers_of, pieces_of
from pytest_mnemosyne.wire._http import ConnectionDropped, HttpRequest
from pytest_mnemosyne.wire._pace import BlockingClock, PatienceOverError, without_loop


class HandlerTransport(httpx2.AsyncBaseTransport):
    """Carries requests of an `httpx2.AsyncClient` to a handler, on the running loop."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request within the client's read timeout.

        Raises:
            httpx2.ReadTimeout: The answer did not begin in time.
            httpx2.RemoteProtocolError: The handler dropped the connection.
        """
        asked = _asked(request, await request.aread())
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(_patience_s(request)):
                answer = await answered(self._handler, asked)
        except TimeoutError as error:
            raise _late(request) from error
        except ConnectionDropped as error:
            raise _dropped_before_the_answer(request) from error
        return _response(answer, _AsyncPieces(answer, request))


class SyncHandlerTransport(httpx2.BaseTransport):
    """Carries requests of an `httpx2.Client` to a handler, without an event loop.

    The handler may wait with `pause`, which blocks, and for nothing else.
    """

    def __init__(self, handler: Handler, *, clock: BlockingClock | None = None) -> None:
        self._handler = handler
        self._clock = clock or BlockingClock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request within the client's read timeout.

        Raises:
            httpx2.ReadTimeout: The answer did not begin in time.
            httpx2.RemoteProtocolError: The handler dropped the connection.
        """
        asked = _asked(request, request.read())
        try:
            answer = without_loop(answered(self._handler, asked), self._clock, _patience_s(request))
        except PatienceOverError as error:
            raise _late(request) from error
        except ConnectionDropped as error:
            raise _dropped_before_the_answer(request) from error
        return _response(answer, _Pieces(answer, request, self._clock))


class _AsyncPieces(httpx2.AsyncByteStream):
    def __init__(self, answer: AnyAnswer, request: httpx2.Request) -> None:
        self._pieces = pieces_of(answer)
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(0)
                async with asyncio.timeout(_patience_s(self._request)):
                    piece = await anext(self._pieces, None)
                if piece is None:
                    return
                yield piece
        except TimeoutError as error:
            raise _late(self._request) from error
        except ConnectionDropped as error:
            raise _dropped_in_the_middle(self._request) from error

    async def aclose(self) -> None:
        await self._pieces.aclose()


class _Pieces(httpx2.SyncByteStream):
    def __init__(self, answer: AnyAnswer, request: httpx2.Request, clock: BlockingClock) -> None:
        self._pieces = pieces_of(answer)
        self._request = request
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (piece := self._driven(self._next())) is not None:
                yield piece
        except PatienceOverError as error:
            raise _late(self._request) from error
        except ConnectionDropped as error:
            raise _dropped_in_the_middle(self._request) from error

    async def _next(self) -> bytes | None:
        return await anext(self._pieces, None)

    def _driven(self, coroutine: Coroutine[Any, Any, bytes | None]) -> bytes | None:
        return without_loop(coroutine, self._clock, _patience_s(self._request))

    def close(self) -> None:
        self._driven(self._pieces.aclose())


def _asked(request: httpx2.Request, body: bytes) -> HttpRequest:
    return HttpRequest(
        method=request.method.upper(),
        path=request.url.path,
        query=request.url.query.decode("latin-1"),
        headers=tuple((name.lower(), value) for name, value in request.headers.multi_items()),
        body=body,
    )


def _response(
    answer: AnyAnswer, stream: httpx2.AsyncByteStream | httpx2.SyncByteStream
) -> httpx2.Response:
    return httpx2.Response(answer.status, headers=list(headers_of(answer)), stream=stream)


def _patience_s(request: httpx2.Request) -> float | None:
    """How long the client waits for the next piece; `None` is without end."""
    patience_s: float | None = request.extensions.get("timeout", {}).get("read")
    return patience_s


def _late(request: httpx2.Request) -> httpx2.ReadTimeout:
    return httpx2.ReadTimeout("The read operation timed out", request=request)


def _dropped_before_the_answer(request: httpx2.Request) -> httpx2.RemoteProtocolError:
    return httpx2.RemoteProtocolError(
        "Server disconnected without sending a response.", request=request
    )


def _dropped_in_the_middle(request: httpx2.Request) -> httpx2.RemoteProtocolError:
    return httpx2.RemoteProtocolError(
        "peer closed connection without sending complete message body (incomplete chunked read)",
        request=request,
    )
