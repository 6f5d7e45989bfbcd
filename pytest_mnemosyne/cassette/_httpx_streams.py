"""Bodies that httpx2 and httpx read: one that plays a recording, one that makes it.

Both libraries insist on their own base classes, so the types are put together for
each library from the mixins below.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pytest_mnemosyne.cassette._interaction import Chunk, Interaction, Outcome
from pytest_mnemosyne.cassette._pace import AsyncRecordedTimes, RecordedTimes
from pytest_mnemosyne.cassette._recorder import Recording

Times = RecordedTimes | AsyncRecordedTimes
"""The recorded times of an answer that is played, for the one kind of client or the other."""

_GRACE_S = 1.0
"""How much longer than when it was recorded a client may take to cancel, in seconds."""


class Endings:
    """How exchanges end, in the exceptions of one library: to raise and to recognise them."""

    def __init__(self, library: Any) -> None:
        """`library` is the module httpx2, or httpx."""
        self._lib = library

    def of(self, outcome: Outcome) -> BaseException | None:
        """What a client gets at the end of such an exchange; `None` for a clean end.

        A cancelled one has no error either: what comes after is for the caller to say.
        """
        match outcome:
            case Outcome.RESET:
                error = self._lib.ReadError("the connection was reset when this was recorded")
            case Outcome.DROPPED:
                error = self._lib.RemoteProtocolError(
                    "peer closed connection without sending complete message body "
                    "(incomplete chunked read)"
                )
            case Outcome.TIMEOUT:
                error = self._lib.ReadTimeout("the read timed out when this was recorded")
            case Outcome.COMPLETE | Outcome.CUT | Outcome.CANCELLED:
                return None
        assert isinstance(error, Exception)
        return error

    async def wait(self, interaction: Interaction) -> None:
        """Stand still where the recorded client gave up waiting, so that this one can too."""
        if interaction.outcome is Outcome.CANCELLED:
            import anyio

            await anyio.sleep(interaction.took_s + _GRACE_S)

    def note(self, recording: Recording, error: BaseException) -> None:
        """End a recording by what came out of the transport."""
        if isinstance(error, self._lib.TimeoutException):
            recording.timed_out()
        elif isinstance(error, self._lib.RemoteProtocolError):
            recording.dropped()
        elif isinstance(error, self._lib.NetworkError | self._lib.ProxyError):
            recording.reset()
        elif isinstance(error, Exception):
            recording.failed()
        else:
            # Cancelled, interrupted, or a generator that nobody reads on.
            recording.closed()


@dataclass(frozen=True, slots=True)
class StreamTypes:
    """The body types of one library."""

    played: Callable[[Interaction, Endings, Callable[[], BaseException], Times | None], Any]
    """A recorded body with its recorded end; the callable makes the error for reading on."""

    tee: Callable[[Any, Recording, Endings], Any]
    async_tee: Callable[[Any, Recording, Endings], Any]

    @staticmethod
    def is_tee(body: object) -> bool:
        """Whether a body is being recorded as it passes."""
        return isinstance(body, _Tee | _AsyncTee)


def stream_types(library: Any) -> StreamTypes:
    """Put the body types for httpx2, or httpx, together."""
    sync, unsync = library.SyncByteStream, library.AsyncByteStream
    return StreamTypes(
        played=type("PlayedStream", (_Played, sync, unsync), {}),
        tee=type("TeeStream", (_Tee, sync), {}),
        async_tee=type("AsyncTeeStream", (_AsyncTee, unsync), {}),
    )


class _Played:
    """A recorded body, in the chunks in which it came, at once or at the recorded times."""

    def __init__(
        self,
        interaction: Interaction,
        endings: Endings,
        overrun: Callable[[], BaseException],
        times: Times | None,
    ) -> None:
        response = interaction.response
        assert response is not None
        self._interaction = interaction
        self._endings = endings
        self._overrun = overrun
        self._times = times
        self._chunks = response.chunks or (Chunk(data=response.body, at_s=0.0),)

    def __iter__(self) -> Iterator[bytes]:
        times = self._times
        assert times is None or isinstance(times, RecordedTimes)
        for chunk in self._chunks:
            if times is not None:
                times.reach(chunk.at_s)
            yield chunk.data
        if times is not None:
            times.reach(self._interaction.took_s)
        self._finish()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        times = self._times
        assert times is None or isinstance(times, AsyncRecordedTimes)
        for chunk in self._chunks:
            if times is not None:
                await times.reach(chunk.at_s)
            yield chunk.data
        if times is not None:
            await times.reach(self._interaction.took_s)
        await self._endings.wait(self._interaction)
        self._finish()

    def _finish(self) -> None:
        outcome = self._interaction.outcome
        if outcome is Outcome.CANCELLED:
            raise self._overrun()
        error = self._endings.of(outcome)
        if error is not None:
            raise error

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""


class _Tee:
    """A body on its way to the client, noted as it passes."""

    def __init__(self, body: Any, recording: Recording, endings: Endings) -> None:
        self._body = body
        self._recording = recording
        self._endings = endings

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._body:
                self._recording.chunk(piece)
                yield piece
        except BaseException as error:
            self._endings.note(self._recording, error)
            raise
        self._recording.read_whole()

    def close(self) -> None:
        try:
            self._body.close()
        finally:
            self._recording.closed()


class _AsyncTee:
    """The same for an asynchronous client."""

    def __init__(self, body: Any, recording: Recording, endings: Endings) -> None:
        self._body = body
        self._recording = recording
        self._endings = endings

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Here, because a run that only replays needs no virtual loop.
        from pytest_mnemosyne.simulation.loop import holding

        pieces = aiter(self._body)
        try:
            while True:
                with holding("the rest of a forwarded answer"):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                self._recording.chunk(piece)
                yield piece
        except BaseException as error:
            self._endings.note(self._recording, error)
            raise
        self._recording.read_whole()

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            self._recording.closed()
