"""What takes real time holds the virtual one: threads, processes, servers, names."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading

import anyio.to_thread
import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.simulation.loop import (
    HoldTooLongError,
    Limits,
    VirtualClock,
    VirtualLoop,
    holding,
    leftovers,
)
from tests.simulation.loop.running import run

SHORT = Limits(hold_s=0.05)


async def test_holding_does_nothing_on_a_real_loop() -> None:
    with holding("anything") as held:
        await asyncio.sleep(0)

    assert held is None


def test_holding_does_nothing_without_a_loop() -> None:
    with holding("anything") as held:
        assert held is None


def test_a_thread_of_the_executor_holds_the_time() -> None:
    async def program(clock: VirtualClock) -> float:
        released = threading.Event()
        timer = threading.Timer(0.02, released.set)
        timer.start()
        async with asyncio.timeout(5):
            await asyncio.to_thread(released.wait)
        return clock.monotonic()

    assert run(program) == 0


def test_a_thread_of_anyio_holds_the_time() -> None:
    async def program(clock: VirtualClock) -> float:
        released = threading.Event()
        threading.Timer(0.02, released.set).start()
        async with asyncio.timeout(5):
            await anyio.to_thread.run_sync(released.wait)
        return clock.monotonic()

    assert run(program) == 0


def test_name_resolution_holds_the_time() -> None:
    async def program(clock: VirtualClock) -> float:
        async with asyncio.timeout(5):
            found = await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert found
        return clock.monotonic()

    assert run(program) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the selector loop has no processes there")
def test_a_child_process_holds_the_time() -> None:
    async def program(clock: VirtualClock) -> float:
        async with asyncio.timeout(5):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-S", "-c", "print('hello')", stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
        assert output == b"hello\n"
        return clock.monotonic()

    assert run(program) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the selector loop has no processes there")
def test_advance_makes_a_child_process_time_out() -> None:
    async def program(clock: VirtualClock) -> None:
        process = await asyncio.create_subprocess_shell("exec sleep 60")
        waiting = asyncio.create_task(asyncio.wait_for(process.wait(), timeout=30))
        await clock.settle()
        assert not waiting.done()
        await clock.advance(30)
        with pytest.raises(TimeoutError):
            await waiting
        process.kill()
        await process.wait()

    run(program)


@pytest.mark.skipif(sys.platform == "win32", reason="the selector loop has no processes there")
def test_a_process_that_only_waits_can_be_let_go() -> None:
    async def program(clock: VirtualClock) -> float:
        process = await asyncio.create_subprocess_shell("exec sleep 60")
        clock.release_process(process.pid)
        await asyncio.sleep(3600)
        with pytest.raises(UsageError, match=f"has the number {process.pid}"):
            clock.release_process(process.pid)
        process.kill()
        await process.wait()
        return clock.monotonic()

    assert run(program) == 3600


def test_a_server_in_another_thread_is_waited_for_under_a_hold() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(connection.recv(5)[::-1])

    async def program(clock: VirtualClock) -> tuple[bytes, float]:
        with clock.hold("the server"):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"hello")
            async with asyncio.timeout(5):
                answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer, clock.monotonic()

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        assert run(program) == (b"olleh", 0)
    thread.join()


def test_both_ends_of_a_connection_on_one_loop_need_no_hold() -> None:
    async def program(clock: VirtualClock) -> tuple[bytes, float]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read(100_000))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"over and out")
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return answer, clock.monotonic()

    assert run(program) == (b"over and out", 0)


def test_a_hold_that_is_released_in_another_thread_wakes_the_loop() -> None:
    async def program(clock: VirtualClock) -> float:
        hold = clock.hold("a thread of my own")
        threading.Timer(0.01, hold.release).start()
        await asyncio.sleep(1)
        return clock.monotonic()

    assert run(program) == 1


def test_a_hold_that_lasts_too_long_is_an_error_that_names_it() -> None:
    async def program(clock: VirtualClock) -> None:
        with clock.hold("the courier from Delphi"):
            await asyncio.sleep(1)

    with pytest.raises(HoldTooLongError, match="by the courier from Delphi") as caught:
        run(program, limits=SHORT)

    assert caught.value.holds == ("the courier from Delphi",)
    assert caught.value.now_s == 0
    assert "waits for sleep" in caught.value.waiting


def test_time_that_is_held_does_not_move_by_itself_but_by_advance() -> None:
    async def program(clock: VirtualClock) -> list[float]:
        seen = []
        with clock.hold("a server"):
            sleeper = asyncio.create_task(asyncio.sleep(10))
            await clock.settle()
            seen.append(clock.monotonic())
            await clock.advance(10)
            await sleeper
            seen.append(clock.monotonic())
        await asyncio.sleep(1)
        return [*seen, clock.monotonic()]

    assert run(program) == [0, 10, 11]


def test_a_firm_hold_has_advance_wait_for_what_comes_at_once() -> None:
    async def program(clock: VirtualClock) -> tuple[float, float]:
        hold = clock.loop.hold("an answer", firm_s=30)
        answered_s: list[float] = []

        def answer() -> None:
            answered_s.append(clock.monotonic())
            hold.release()

        threading.Timer(0.01, clock.loop.call_soon_threadsafe, (answer,)).start()
        await clock.advance(60)
        return answered_s[0], clock.monotonic()

    assert run(program) == (0, 60)


def test_a_firm_hold_lets_advance_go_on_when_nothing_comes() -> None:
    async def program(clock: VirtualClock) -> float:
        hold = clock.loop.hold("an answer", firm_s=0.01)
        await clock.advance(60)
        hold.release()
        return clock.monotonic()

    assert run(program) == 60


def test_what_is_left_is_told_by_name() -> None:
    async def program(clock: VirtualClock) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
        timer = loop.call_later(5, print, "never")
        left, right = socket.socketpair()
        loop.add_reader(left, print)
        hold = clock.hold("the door")
        await asyncio.sleep(0)
        found = leftovers(loop)
        task.cancel()
        timer.cancel()
        loop.remove_reader(left)
        hold.release()
        left.close()
        right.close()
        await asyncio.sleep(0)
        assert leftovers(loop) == ()
        return found

    found = run(program)

    assert "a task: forgotten (Event.wait)" in found
    assert "a timer: print at 5 s" in found
    assert "a hold: the door" in found
    assert any(line.startswith("a watched descriptor: ") for line in found)


def test_an_open_connection_is_left_over_until_it_is_closed() -> None:
    async def program(clock: VirtualClock) -> tuple[str, ...]:
        left, right = socket.socketpair()
        _reader, writer = await asyncio.open_connection(sock=left)
        found = leftovers(clock.loop)
        writer.close()
        await writer.wait_closed()
        right.close()
        assert leftovers(clock.loop) == ()
        return found

    (line,) = run(program)

    assert line.startswith("a transport: <_SelectorSocketTransport")
