"""Ending in order when the process is told to end.

::

    async with ends_on_signals(), SupervisionTree() as tree:
        ...

The first SIGINT or SIGTERM cancels the task in the block, whose `async with` and `finally`
then do what they always do: the tree stops its roles, each within its shutdown time. When
the block is left, the process ends as the signal wants it: KeyboardInterrupt for SIGINT,
SystemExit with 128 + the signal's number for others, so 143 for SIGTERM. A second signal
cancels again, which ends the roles without their shutdown time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from mnemosyne_core.errors import UsageError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What a person at the keyboard sends, and what a service manager does."""


@asynccontextmanager
async def ends_on_signals(signals: Sequence[signal.Signals] = SIGNALS) -> AsyncIterator[None]:
    """Let the block end in order on any of `signals`, then the process.

    On the main thread only. On Windows, whose event loops hear no signals, the block runs as
    if it stood alone, and Ctrl-C does what `asyncio.run` does with it. An error that the
    block ends with is raised as it is, signal or not.

    Raises:
        UsageError: This is not the main thread, which alone can hear signals.
    """
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    received: list[signal.Signals] = []

    def hear(number: signal.Signals) -> None:
        received.append(number)
        task.cancel(f"received {number.name}")

    with _heard(signals, hear):
        try:
            yield
        except asyncio.CancelledError:
            for _ in received:
                task.uncancel()
            if not received or task.cancelling():
                # Somebody else has cancelled the task, perhaps as well; that goes on.
                raise
    if received:
        # How the task was cancelled for it is of no use to anybody.
        raise _end_of(received[0]) from None


@contextmanager
def _heard(
    signals: Sequence[signal.Signals], hear: Callable[[signal.Signals], None]
) -> Iterator[None]:
    """Have the loop call `hear`; who heard the signals before does so again afterwards."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in signals}
    added: list[signal.Signals] = []
    try:
        for number in signals:
            try:
                loop.add_signal_handler(number, hear, number)
            except NotImplementedError:
                break
            except (ValueError, RuntimeError) as error:
                raise UsageError(
                    f"no signal can be heard here ({error}); "
                    "enter ends_on_signals() on the main thread"
                ) from error
            added.append(number)
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)
            # Absent for a handler that was not set by Python.
            if (handler := before[number]) is not None:
                signal.signal(number, handler)


def _end_of(number: signal.Signals) -> BaseException:
    return KeyboardInterrupt() if number is signal.SIGINT else SystemExit(128 + number)
