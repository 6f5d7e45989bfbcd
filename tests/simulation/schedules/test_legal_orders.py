"""Any order that is tried is legal: real transports never break, and callbacks keep theirs."""

from __future__ import annotations

import asyncio

import pytest

from pytest_mnemosyne.simulation.loop import VirtualLoop
from pytest_mnemosyne.simulation.schedules import (
    Plan,
    PolicyName,
    Properties,
    Random,
    Schedule,
    search,
)
from tests.simulation.schedules.programs import runs_of


async def over_loopback(properties: Properties) -> None:
    """Five clients at once, each with a real connection to a server on the same loop."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline())[::-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def ask(address: tuple[str, int], text: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(text + b"\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(ask(address, b"%d" % number) for number in range(5)))
    assert answers == [b"\n%d" % number for number in range(5)]
    server.close()
    await server.wait_closed()


@pytest.mark.slow
@pytest.mark.parametrize("policy", [PolicyName.RANDOM, PolicyName.PCT])
def test_real_connections_survive_every_order(policy: PolicyName) -> None:
    report = search(runs_of(over_loopback), Plan(runs=60, policy=policy))

    assert report.found is None, report.found
    assert report.runs == 60


def test_real_connections_give_equal_runs_for_equal_seeds() -> None:
    def digest() -> str:
        schedule = Schedule(Random(7))
        assert runs_of(over_loopback)(schedule).failure is None
        return schedule.trace.digest

    assert len({digest() for _ in range(5)}) == 1


def test_no_step_of_a_task_goes_before_an_earlier_callback() -> None:
    for seed in range(30):
        ran: list[str] = []

        async def step(name: str, ran: list[str] = ran) -> None:
            ran.append(name)

        async def main(ran: list[str] = ran) -> None:
            loop = asyncio.get_running_loop()
            early = [loop.create_task(step("early")) for _ in range(3)]
            loop.call_soon(ran.append, "first")
            late = [loop.create_task(step("late")) for _ in range(3)]
            loop.call_soon(ran.append, "second")
            await asyncio.gather(*early, *late)

        def loop(seed: int = seed) -> VirtualLoop:
            return VirtualLoop(order=Schedule(Random(seed)))

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())
        assert ran.index("first") < ran.index("second")
        assert "late" not in ran[: ran.index("first")]


def test_httpx_client_and_server_survive_every_order() -> None:
    import httpx2

    async def program(properties: Properties) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with httpx2.AsyncClient(trust_env=False) as client:
            answers = await asyncio.gather(
                *(client.get(f"http://127.0.0.1:{port}/{number}") for number in range(3))
            )
        assert [answer.text for answer in answers] == ["ok"] * 3
        server.close()
        await server.wait_closed()

    assert search(runs_of(program), Plan(runs=15)).found is None
