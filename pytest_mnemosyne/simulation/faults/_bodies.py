"""Bodies that httpx2 and httpx read: streams that are bent as they pass, and broken ones.

Both libraries insist on their own base classes, so the types are put together for
each library from the mixins below.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mnemosyne.simulation.faults._bending import Delay, End, Step, StreamBender
from pytest_mnemosyne.simulation.faults._failures import Failures
from pytest_mnemosyne.simulation.faults._patience import Wait, wait, wait_async

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bent:
    """An answer whose stream is to be bent."""

    asked: httpx2.Request
    answer: httpx2.Response
    bender: StreamBender
    failures: Failures

    reads_on: bool
    """Whether the answer is read to its end although the client does not get all of it."""

    def delay(self, by: Delay) -> Wait:
        """The wait before the next bytes."""
        return self.failures.silence(self.asked, by.by_s)

    def ending(self, end: End) -> Wait | Exception | None:
        """How it ends before its time."""
        return self.failures.end_of_stream(end.fault, self.asked)


@dataclass(frozen=True, slots=True)
class BodyTypes:
    """The body types of one library."""

    bent: Callable[[Bent], Any]
    async_bent: Callable[[Bent], Any]

    broken: Callable[[bytes, Exception], Any]
    """The first part of a body, and then an error."""


def body_types(library: Any) -> BodyTypes:
    """Put the body types for httpx2, or httpx, together."""
    sync, unsync = library.SyncByteStream, library.AsyncByteStream
    return BodyTypes(
        bent=type("BentStream", (_BentStream, sync), {}),
        async_bent=type("AsyncBentStream", (_AsyncBentStream, unsync), {}),
        broken=type("BrokenBody", (_BrokenBody, sync, unsync), {}),
    )


class _BentStream:
    """A stream on its way to a synchronous client, bent as it passes."""

    def __init__(self, bent: Bent) -> None:
        self._bent = bent

    def __iter__(self) -> Iterator[bytes]:
        bent = self._bent
        chunks = bent.answer.iter_bytes()
        for step in _steps(chunks, bent.bender):
            match step:
                case bytes():
                    yield step
                case Delay():
                    wait(bent.delay(step))
                case End():
                    if bent.reads_on:
                        for _ in chunks:
                            continue
                    ending = bent.ending(step)
                    if isinstance(ending, Wait):
                        wait(ending)
                    elif ending is not None:
                        raise ending
                    return

    def close(self) -> None:
        self._bent.answer.close()


def _steps(chunks: Iterator[bytes], bender: StreamBender) -> Iterator[Step]:
    for chunk in chunks:
        yield from bender.feed(chunk)
    yield from bender.close()


class _AsyncBentStream:
    """The same for an asynchronous client."""

    def __init__(self, bent: Bent) -> None:
        self._bent = bent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        bent = self._bent
        async with (
            aclosing(bent.answer.aiter_bytes()) as chunks,
            aclosing(_steps_async(chunks, bent.bender)) as steps,
        ):
            async for step in steps:
                match step:
                    case bytes():
                        yield step
                    case Delay():
                        await wait_async(bent.delay(step))
                    case End():
                        if bent.reads_on:
                            async for _ in chunks:
                                continue
                        ending = bent.ending(step)
                        if isinstance(ending, Wait):
                            await wait_async(ending)
                        elif ending is not None:
                            raise ending
                        return

    async def aclose(self) -> None:
        await self._bent.answer.aclose()


async def _steps_async(
    chunks: AsyncIterator[bytes], bender: StreamBender
) -> AsyncGenerator[Step, None]:
    async for chunk in chunks:
        for step in bender.feed(chunk):
            yield step
    for step in bender.close():
        yield step


class _BrokenBody:
    """The first part of a body, and then an error."""

    def __init__(self, start: bytes, error: Exception) -> None:
        self._start = start
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield self._start
        raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._start
        raise self._error

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""
