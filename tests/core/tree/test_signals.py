"""SIGINT and SIGTERM: everything ends in order, then the process as the signal wants it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import traceback

import pytest

from mnemosyne_core.bridge import BridgeSettings
from mnemosyne_core.errors import UsageError
from mnemosyne_core.tree import SupervisionConfig, SupervisionTree, ends_on_signals
from mnemosyne_core.work import WorkResult
from tests.core.tree.cast import Call, Cast

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

ENDS = [
    pytest.param(signal.SIGINT, KeyboardInterrupt, None, id="SIGINT"),
    pytest.param(signal.SIGTERM, SystemExit, 143, id="SIGTERM"),
]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "kind", "code"), ENDS)
def test_a_signal_stops_the_tree_in_order_and_ends_the_process(
    cast: Cast, number: signal.Signals, kind: type[BaseException], code: int | None
) -> None:
    async def think(call: Call) -> WorkResult:
        send(number)
        await asyncio.Event().wait()
        raise AssertionError("nobody lets it go on")

    cast.executor.answer = think
    trees: list[SupervisionTree] = []
    ended: list[str] = []

    async def program() -> None:
        async with ends_on_signals(), cast.tree() as tree:
            trees.append(tree)
            tree.broadcaster.attach(
                lambda e: ended.append(e.agent) if e.kind == "child_terminated" else None
            )
            handle = await tree.submit({"id": "a", "description": "x"})
            await handle.result()

    before = signal.getsignal(number)
    with pytest.raises(kind) as caught:
        asyncio.run(program())

    assert getattr(caught.value, "code", None) == code
    assert ended == ["orchestrator", "executor", "optimizer", "reviewer"]
    assert cast.executor.cancelled == ["a"]
    assert not trees[0].is_running
    assert signal.getsignal(number) is before
    assert "CancelledError" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("number", "kind", "code"), ENDS)
def test_a_second_signal_does_not_wait_for_the_shutdown_time(
    cast: Cast, number: signal.Signals, kind: type[BaseException], code: int | None
) -> None:
    async def close_for_ever() -> None:
        send(number)
        await asyncio.Event().wait()

    cast.executor.stop_session = close_for_ever  # type: ignore[method-assign]
    config = SupervisionConfig(shutdown_s=3600, bridge=BridgeSettings(shutdown_s=3600))

    async def program() -> None:
        async with ends_on_signals(), cast.tree(config):
            send(number)
            await asyncio.Event().wait()

    with pytest.raises(kind):
        asyncio.run(program())


def test_a_block_without_a_signal_runs_as_if_it_stood_alone() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def program() -> str:
        async with ends_on_signals():
            await asyncio.sleep(0)
        return "done"

    assert asyncio.run(program()) == "done"
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


async def test_a_cancellation_by_somebody_else_is_passed_on() -> None:
    entered = asyncio.Event()

    async def block() -> None:
        async with ends_on_signals():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    async def program() -> None:
        async with ends_on_signals():
            send(signal.SIGTERM)
            try:
                await asyncio.Event().wait()
            finally:
                raise LookupError("while it ended")

    with pytest.raises(LookupError, match="while it ended"):
        asyncio.run(program())


def test_a_block_that_is_done_when_the_signal_comes_still_ends_the_process() -> None:
    async def program() -> None:
        async with ends_on_signals():
            send(signal.SIGTERM)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    with pytest.raises(SystemExit) as caught:
        asyncio.run(program())
    assert caught.value.code == 143


def test_only_the_signals_that_were_asked_for_are_heard() -> None:
    async def program() -> None:
        async with ends_on_signals([signal.SIGTERM]):
            assert signal.getsignal(signal.SIGINT) is interrupt_handler
            await asyncio.sleep(0)

    interrupt_handler = signal.getsignal(signal.SIGINT)

    with asyncio.Runner() as runner:
        # A loop of our own: `asyncio.run` puts a handler for Ctrl-C in place.
        runner.get_loop().run_until_complete(program())


def test_another_thread_cannot_hear_signals_and_is_told_so() -> None:
    async def program() -> None:
        async with ends_on_signals():
            raise AssertionError("it cannot be entered")

    errors: list[Exception] = []

    def run() -> None:
        try:
            asyncio.run(program())
        except UsageError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "on the main thread" in str(errors[0])
