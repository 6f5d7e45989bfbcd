"""A test is stopped from another thread, whatever its own thread is doing just then."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from pytest_mnemosyne.plugin import _interrupt
from pytest_mnemosyne.plugin._errors import TestStopped
from pytest_mnemosyne.plugin._interrupt import Interrupter


@pytest.fixture
def interrupter() -> Iterator[Interrupter]:
    made = Interrupter(in_test=lambda: True)
    made.arm()
    yield made
    made.disarm()


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def wait_for_ever_while(work: Callable[[], None]) -> None:
    in_thread(work)
    queue.Queue[None]().get()


def test_a_test_that_waits_for_ever_is_stopped(interrupter: Interrupter) -> None:
    with pytest.raises(TestStopped):
        wait_for_ever_while(interrupter.stop_test)


def test_a_signal_that_nobody_heard_is_sent_again(
    interrupter: Interrupter, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent = _interrupt._signal_main_thread, list[str]()

    def lose_two() -> None:
        sent.append("signal")
        if len(sent) > 2:
            send()

    monkeypatch.setattr(_interrupt, "_signal_main_thread", lose_two)

    with pytest.raises(TestStopped):
        wait_for_ever_while(interrupter.stop_test)

    assert len(sent) > 2


def test_outside_of_a_test_nobody_is_stopped() -> None:
    interrupter = Interrupter(in_test=lambda: False)
    interrupter.arm()
    try:
        in_thread(interrupter.stop_test).join()
    finally:
        interrupter.disarm()


@pytest.mark.usefixtures("interrupter")
def test_a_signal_of_somebody_elses_stops_nobody() -> None:
    in_thread(_interrupt._signal_main_thread).join()
