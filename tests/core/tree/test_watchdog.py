"""A tree's watchdog: it notices a loop that an agent blocks, unless the time is virtual."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from mnemosyne_core.events import LoopBlocked
from mnemosyne_core.tree import SupervisionConfig
from mnemosyne_core.work import WorkResult
from tests.core.tree.cast import Call, Cast, done

PATIENCE_S = 10.0


@pytest.fixture
def warned() -> threading.Event:
    """Set by what the watchdog logs of a certain function."""
    return threading.Event()


@pytest.fixture(autouse=True)
def listens(warned: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # A busy machine may block the loop before the agent does.
            if "blocks_until_noticed" in record.getMessage():
                warned.set()

    logger = logging.getLogger("mnemosyne_core.supervision._watchdog")
    monkeypatch.setattr(logger, "handlers", [Listener()])


def watchdogs() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "watchdog" in thread.name]


async def test_a_loop_that_an_agent_blocks_is_told_with_its_stack(
    cast: Cast, warned: threading.Event
) -> None:
    async def blocks_until_noticed(call: Call) -> WorkResult:
        assert warned.wait(PATIENCE_S)
        return done(call)

    cast.executor.answer = blocks_until_noticed
    async with cast.tree(SupervisionConfig(watchdog_s=0.05)) as tree:
        assert watchdogs() == ["tree:watchdog"]
        handle = await tree.submit({"description": "x", "review": False})
        await handle.result(timeout=PATIENCE_S)
        told = [event.fact for event in tree.journal.events(kind="loop_blocked")]

    assert any(
        isinstance(fact, LoopBlocked) and "blocks_until_noticed" in fact.stack for fact in told
    )
    assert watchdogs() == []


async def test_without_a_setting_nobody_looks_on(cast: Cast) -> None:
    async with cast.tree():
        assert watchdogs() == []


@pytest.mark.virtual_time
async def test_on_virtual_time_nobody_looks_on(cast: Cast) -> None:
    async with cast.tree(SupervisionConfig(watchdog_s=0.05)):
        await asyncio.sleep(3600)
        assert watchdogs() == []
