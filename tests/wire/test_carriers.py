"""One handler, three carriers: loopback, a transport on a loop, a transport without one.

A client sees no difference, except in what passes between two hops (`connection`,
`transfer-encoding`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import httpx2
import pytest

from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.wire import (
    BlockingClock,
    ConnectionDropped,
    Handler,
    HandlerTransport,
    HttpAnswer,
    HttpRequest,
    LoopbackServer,
    NoLoopError,
    StreamedAnswer,
    SyncHandlerTransport,
    now_s,
    pause,
)

_HOP = {"connection", "transfer-encoding"}


@dataclass(frozen=True)
class Got:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


Exchange = Callable[[Handler, httpx2.Request], Got]


def got(response: httpx2.Response) -> Got:
    headers = [pair for pair in response.headers.multi_items() if pair[0] not in _HOP]
    return Got(response.status_code, headers, response.content)


def over_loopback(handler: Handler, request: httpx2.Request) -> Got:
    with LoopbackServer(handler) as server, httpx2.Client(trust_env=False, verify=False) as client:
        request.url = httpx2.URL(server.url).join(request.url.raw_path.decode())
        return got(client.send(request))


def on_a_loop(handler: Handler, request: httpx2.Request) -> Got:
    async def send() -> Got:
        async with httpx2.AsyncClient(transport=HandlerTransport(handler)) as client:
            return got(await client.send(request))

    return asyncio.run(send())


def without_a_loop(handler: Handler, request: httpx2.Request) -> Got:
    with httpx2.Client(transport=SyncHandlerTransport(handler)) as client:
        return got(client.send(request))


carriers = pytest.mark.parametrize("exchange", [over_loopback, on_a_loop, without_a_loop])


def request(method: str = "POST", path: str = "/a%20b?c=d", body: bytes = b"") -> httpx2.Request:
    return httpx2.Request(method, f"http://claude.invalid{path}", content=body)


def echo(asked: HttpRequest) -> HttpAnswer:
    said = f"{asked.method} {asked.path} {asked.query} {len(asked.body)}"
    headers = (("x-mine", "1"), ("x-mine", "2"))
    return HttpAnswer(status=201, headers=headers, chunks=(said.encode(),))


@carriers
def test_a_request_reaches_the_handler_and_its_answer_the_client(exchange: Exchange) -> None:
    assert exchange(echo, request(body=b"x" * 1000)) == Got(
        status=201,
        headers=[("x-mine", "1"), ("x-mine", "2"), ("content-length", "18")],
        body=b"POST /a b c=d 1000",
    )


@carriers
def test_an_async_handler_is_awaited(exchange: Exchange) -> None:
    async def handler(asked: HttpRequest) -> HttpAnswer:
        await pause(0.001)
        return echo(asked)

    assert exchange(handler, request()).body == b"POST /a b c=d 0"


@carriers
def test_headers_of_the_request_are_the_handlers_to_read(exchange: Exchange) -> None:
    def handler(asked: HttpRequest) -> HttpAnswer:
        found = [value for name, value in asked.headers if name == "x-agent"]
        return HttpAnswer(status=200, chunks=(",".join(found).encode(),))

    asked = httpx2.Request("GET", "http://claude.invalid/", headers={"X-Agent": "Executor"})

    assert exchange(handler, asked).body == b"Executor"


@carriers
def test_an_answer_comes_in_its_pieces(exchange: Exchange) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await pause(0.001)
        yield b" second"

    answer = exchange(lambda _: StreamedAnswer(status=200, chunks=pieces()), request())

    assert answer == Got(200, [], b"first second")


@carriers
def test_a_handler_that_raises_is_an_error_that_says_so(exchange: Exchange) -> None:
    def handler(_: HttpRequest) -> HttpAnswer:
        raise ValueError("no such thing")

    answer = exchange(handler, request())

    assert answer.status == 500
    assert b"the handler raised ValueError: no such thing" in answer.body


@carriers
def test_a_connection_can_be_dropped_before_the_answer(exchange: Exchange) -> None:
    def handler(_: HttpRequest) -> HttpAnswer:
        raise ConnectionDropped

    with pytest.raises(httpx2.RemoteProtocolError, match="disconnected without sending a response"):
        exchange(handler, request())


@carriers
@pytest.mark.parametrize("why", [ConnectionDropped, ValueError], ids=["on-purpose", "by-mistake"])
def test_a_connection_can_break_in_the_middle_of_an_answer(
    exchange: Exchange, why: type[Exception]
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise why

    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
        exchange(lambda _: StreamedAnswer(status=200, chunks=pieces()), request())


@pytest.fixture
def ended() -> threading.Event:
    return threading.Event()


@pytest.fixture
def endless(ended: threading.Event) -> Handler:
    """An answer without an end, which notes that nobody listens any more."""

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
                await pause(0.001)
        finally:
            ended.set()

    return lambda _: StreamedAnswer(status=200, chunks=pieces())


def test_a_client_that_goes_away_ends_the_answer_over_loopback(
    endless: Handler, ended: threading.Event
) -> None:
    with (
        LoopbackServer(endless) as server,
        httpx2.Client(trust_env=False, verify=False) as client,
        client.stream("GET", server.url) as response,
    ):
        next(response.iter_raw())
        response.close()

        assert ended.wait(5)


async def test_a_client_that_goes_away_ends_the_answer_on_a_loop(
    endless: Handler, ended: threading.Event
) -> None:
    async with (
        httpx2.AsyncClient(transport=HandlerTransport(endless)) as client,
        client.stream("GET", "http://claude.invalid") as response,
    ):
        await anext(response.aiter_raw())

    assert ended.is_set()


def test_a_client_that_goes_away_ends_the_answer_without_a_loop(
    endless: Handler, ended: threading.Event
) -> None:
    with (
        httpx2.Client(transport=SyncHandlerTransport(endless)) as client,
        client.stream("GET", "http://claude.invalid") as response,
    ):
        next(response.iter_raw())

    assert ended.is_set()


async def test_a_cancelled_client_ends_the_answer(endless: Handler, ended: threading.Event) -> None:
    async with httpx2.AsyncClient(transport=HandlerTransport(endless)) as client:
        reading = asyncio.create_task(client.get("http://claude.invalid"))
        await asyncio.sleep(0.005)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    assert ended.is_set()


async def late(_: HttpRequest) -> HttpAnswer:
    await pause(60)
    return HttpAnswer(status=200)


async def stalling(_: HttpRequest) -> StreamedAnswer:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await pause(60)

    return StreamedAnswer(status=200, chunks=pieces())


patience = pytest.mark.parametrize("handler", [late, stalling], ids=["no-answer", "stall"])


@patience
def test_a_client_loses_its_patience_in_virtual_time(handler: Handler) -> None:
    async def main() -> float:
        async with httpx2.AsyncClient(transport=HandlerTransport(handler), timeout=5) as client:
            with pytest.raises(httpx2.ReadTimeout):
                await client.get("http://claude.invalid")
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 5.0


class Time:
    """A clock without a loop that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.clock = BlockingClock(monotonic=lambda: self.now_s, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds


@patience
def test_a_client_without_a_loop_loses_its_patience_too(handler: Handler) -> None:
    time = Time()
    transport = SyncHandlerTransport(handler, clock=time.clock)

    with httpx2.Client(transport=transport, timeout=5) as client, pytest.raises(httpx2.ReadTimeout):
        client.get("http://claude.invalid")

    assert time.now_s == 5.0


def test_a_handler_without_a_loop_reads_the_clock_that_it_waits_on() -> None:
    time = Time()

    async def handler(_: HttpRequest) -> HttpAnswer:
        before = now_s()
        await pause(2.5)
        await pause(-1)
        return HttpAnswer(status=200, chunks=(f"{before} {now_s()}".encode(),))

    with httpx2.Client(transport=SyncHandlerTransport(handler, clock=time.clock)) as client:
        assert client.get("http://claude.invalid").text == "0.0 2.5"


def test_a_handler_that_needs_a_loop_is_told_that_there_is_none() -> None:
    async def handler(_: HttpRequest) -> HttpAnswer:
        await asyncio.get_running_loop().create_future()
        return HttpAnswer(status=200)

    async def ask_blocking() -> httpx2.Response:
        with httpx2.Client(transport=SyncHandlerTransport(handler)) as client:
            return client.get("http://claude.invalid")

    response = asyncio.run(ask_blocking())

    assert response.status_code == 500
    assert "answered without an event loop" in response.text
    assert "let the function be a plain one" in str(NoLoopError())


def test_other_tasks_run_between_the_pieces_of_an_answer() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def read(name: str) -> None:
            async with client.stream("GET", "http://claude.invalid") as response:
                async for piece in response.aiter_raw():
                    await asyncio.sleep(0)
                    order.append(f"{name}{piece.decode()}")

        answer = HttpAnswer(status=200, chunks=(b"1", b"2"))
        async with httpx2.AsyncClient(transport=HandlerTransport(lambda _: answer)) as client:
            await asyncio.gather(read("a"), read("b"))
        return order

    assert asyncio.run(main()) == ["a1", "b1", "a2", "b2"]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
