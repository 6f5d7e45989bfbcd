"""Handlers for the transports of httpx2, which the SDK uses, and of httpx, its sibling.

The two libraries have the same shape and different classes, so a pair of handlers is
made for each. They replace the transport's `handle_request` and
`handle_async_request`; connections, proxies and TLS stay the client's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_mnemosyne.cassette._cassette import Cassette
from pytest_mnemosyne.cassette._exchange import OWN_HEADERS, READ_HEADERS, Call, call_of
from pytest_mnemosyne.cassette._httpx_streams import Endings, stream_types
from pytest_mnemosyne.cassette._interaction import Interaction, Outcome
from pytest_mnemosyne.cassette._pace import AsyncRecordedTimes, Pace, RecordedTimes, begins_s
from pytest_mnemosyne.cassette._recorder import Recording, without_wire_headers
from pytest_mnemosyne.cassette._retries import waiting_is_free, without_waiting

if TYPE_CHECKING:
    import httpx2

    from pytest_mnemosyne.cassette._door import Door
    from pytest_mnemosyne.cassette._door_faults import HttpxPlan
    from pytest_mnemosyne.cassette._verify import Comparison

    SyncMethod = Callable[[httpx2.HTTPTransport, httpx2.Request], httpx2.Response]
    AsyncMethod = Callable[[httpx2.AsyncHTTPTransport, httpx2.Request], Awaitable[httpx2.Response]]

PROBE_URL = "http://probe.mnemosyne.invalid/"
"""Requests to this URL end in the handlers: they prove that a client passes here."""

PROBE_STATUS = 299
"""What they are answered with; no server sends it."""

_REPLACED = "__mnemosyne_replaced__"
_READ = frozenset(name.encode() for name in READ_HEADERS)
_OWN = frozenset(name.encode() for name in OWN_HEADERS)


class HttpxHandlers:
    """The handlers of one door for one library."""

    def __init__(self, door: Door, library: Any) -> None:
        """`library` is the module httpx2, or httpx."""
        self._door = door
        self._lib = library
        self._endings = Endings(library)
        self._streams = stream_types(library)

    def patches(self) -> tuple[tuple[type, str, object], ...]:
        """What to replace: class, attribute, and the replacement."""
        sync, unsync = self._lib.HTTPTransport, self._lib.AsyncHTTPTransport
        return (
            (sync, "handle_request", self._sync(replaced(sync.handle_request))),
            (unsync, "handle_async_request", self._async(replaced(unsync.handle_async_request))),
        )

    def _sync(self, real: SyncMethod) -> SyncMethod:
        def handle_request(
            transport: httpx2.HTTPTransport, asked: httpx2.Request
        ) -> httpx2.Response:
            url = str(asked.url)
            if url == PROBE_URL:
                return self._response(PROBE_STATUS)
            cassette = self._door.meet(asked.method, url, asked.headers)
            if cassette is None:
                return real(transport, asked)
            asked.read()
            call = _call(cassette, asked, url)
            running = self._door.faults
            if running is None:
                return self._answer(call, transport, asked, real)
            return self._plan.answer(
                running, call, asked, lambda call: self._answer(call, transport, asked, real)
            )

        setattr(handle_request, _REPLACED, real)
        return handle_request

    def _async(self, real: AsyncMethod) -> AsyncMethod:
        async def handle_async_request(
            transport: httpx2.AsyncHTTPTransport, asked: httpx2.Request
        ) -> httpx2.Response:
            url = str(asked.url)
            if url == PROBE_URL:
                return self._response(PROBE_STATUS)
            cassette = self._door.meet(asked.method, url, asked.headers)
            if cassette is None:
                return await real(transport, asked)
            await asked.aread()
            call = _call(cassette, asked, url)
            running = self._door.faults
            if running is None:
                return await self._answer_async(call, transport, asked, real)
            return await self._plan.answer_async(
                running, call, asked, lambda call: self._answer_async(call, transport, asked, real)
            )

        setattr(handle_async_request, _REPLACED, real)
        return handle_async_request

    @cached_property
    def _plan(self) -> HttpxPlan:
        from pytest_mnemosyne.cassette._door_faults import HttpxPlan

        return HttpxPlan(self._lib, is_recorded=self._streams.is_tee)

    def _answer(
        self, call: Call, transport: httpx2.HTTPTransport, asked: httpx2.Request, real: SyncMethod
    ) -> httpx2.Response:
        interaction = call.answer()
        if interaction is None:
            return self._forward(call.recording(), transport, asked, real)
        comparison = call.comparison(interaction)
        if comparison is not None:
            named = self._in_live_ids(comparison, call, asked)
            live = self._forward(comparison.recording, transport, named, real)
            live.read()
            if comparison.goes_to_the_client:
                return live
        times = RecordedTimes() if call.cassette.pace is Pace.RECORDED else None
        if times is not None:
            times.reach(begins_s(interaction))
        if interaction.response is None:
            raise self._endings.of(interaction.outcome) or call.overrun()
        return self._played(call, interaction, times)

    async def _answer_async(
        self,
        call: Call,
        transport: httpx2.AsyncHTTPTransport,
        asked: httpx2.Request,
        real: AsyncMethod,
    ) -> httpx2.Response:
        interaction = call.answer()
        if interaction is None:
            return await self._forward_async(call.recording(), transport, asked, real)
        comparison = call.comparison(interaction)
        if comparison is not None:
            named = self._in_live_ids(comparison, call, asked)
            live = await self._forward_async(comparison.recording, transport, named, real)
            await live.aread()
            if comparison.goes_to_the_client:
                return live
        await _checkpoint()
        times = AsyncRecordedTimes() if call.cassette.pace is Pace.RECORDED else None
        if times is not None:
            await times.reach(begins_s(interaction))
        if interaction.response is None:
            await self._endings.wait(interaction)
            raise self._endings.of(interaction.outcome) or call.overrun()
        return self._played(call, interaction, times)

    # --- replay ------------------------------------------------------------------------

    def _played(
        self,
        call: Call,
        interaction: Interaction,
        times: RecordedTimes | AsyncRecordedTimes | None,
    ) -> httpx2.Response:
        response = interaction.response
        assert response is not None
        if interaction.outcome in (Outcome.COMPLETE, Outcome.CUT) and not response.chunks:
            stream = self._lib.ByteStream(response.body)
        else:
            stream = self._streams.played(interaction, self._endings, call.overrun, times)
        recorded = response.headers
        if response.status >= 400 and call.tries_again and times is None and not waiting_is_free():
            recorded = without_waiting(response)
        headers = [
            (name.encode(), value.encode()) for name, value in without_wire_headers(recorded)
        ]
        return self._response(response.status, headers, stream)

    def _response(
        self, status: int, headers: list[tuple[bytes, bytes]] | None = None, stream: object = None
    ) -> httpx2.Response:
        made: httpx2.Response = self._lib.Response(
            status, headers=headers, stream=stream or self._lib.ByteStream(b"")
        )
        return made

    # --- forwarding --------------------------------------------------------------------

    def _forward(
        self,
        recording: Recording,
        transport: httpx2.HTTPTransport,
        asked: httpx2.Request,
        real: SyncMethod,
    ) -> httpx2.Response:
        try:
            response = real(transport, self._outgoing(asked))
        except BaseException as error:
            self._endings.note(recording, error)
            raise
        return self._teed(response, recording, self._streams.tee)

    async def _forward_async(
        self,
        recording: Recording,
        transport: httpx2.AsyncHTTPTransport,
        asked: httpx2.Request,
        real: AsyncMethod,
    ) -> httpx2.Response:
        # Here, because a run that only replays needs no virtual loop.
        from pytest_mnemosyne.simulation.loop import holding

        try:
            # Whoever answers is in another process or thread, and takes real time.
            with holding(f"the answer to {asked.method} {asked.url}"):
                response = await real(transport, self._outgoing(asked))
        except BaseException as error:
            self._endings.note(recording, error)
            raise
        return self._teed(response, recording, self._streams.async_tee)

    def _in_live_ids(
        self, comparison: Comparison, call: Call, asked: httpx2.Request
    ) -> httpx2.Request:
        """The client's request with what its recorded ids are called in the live run."""
        request = comparison.for_upstream(call.request)
        if request is call.request:
            return asked
        made: httpx2.Request = self._lib.Request(
            asked.method,
            request.url,
            headers=without_wire_headers(tuple(asked.headers.multi_items())),
            content=request.body or None,
            extensions=asked.extensions,
        )
        return made

    def _teed(
        self, response: httpx2.Response, recording: Recording, tee: Callable[..., Any]
    ) -> httpx2.Response:
        recording.answer(response.status_code, tuple(response.headers.multi_items()))
        response.stream = tee(response.stream, recording, self._endings)
        return response

    def _outgoing(self, asked: httpx2.Request) -> httpx2.Request:
        """The request as upstream gets it: without our headers, to where it is to go."""
        upstream = self._door.upstream
        url = self._lib.URL(upstream.rebased(str(asked.url))) if upstream else asked.url
        headers = [
            (name, url.netloc if name.lower() == b"host" else value)
            for name, value in asked.headers.raw
            if name.lower() not in _OWN
        ]
        made: httpx2.Request = self._lib.Request(
            asked.method,
            url,
            headers=headers,
            stream=asked.stream,
            extensions=asked.extensions,
        )
        return made


def replaced(method: Any) -> Any:
    """What `method` stands for, should it be a handler of another door.

    So that of two doors, one installed inside the other, the inner one alone decides.
    """
    return getattr(method, _REPLACED, method)


def _call(cassette: Cassette, asked: httpx2.Request, url: str) -> Call:
    headers = [
        (name.decode(), value.decode("utf-8", "replace"))
        for raw, value in asked.headers.raw
        if (name := raw.lower()) in _READ
    ]
    return call_of(cassette, asked.method, url, headers, asked.content)


async def _checkpoint() -> None:
    """Let other tasks run, as any real answer would: order and cancellation stay honest."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Another framework's loop, such as trio's.
        import anyio.lowlevel

        await anyio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)
