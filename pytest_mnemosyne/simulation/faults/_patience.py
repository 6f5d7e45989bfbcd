"""Waiting while nothing comes, as long as the client's patience lasts."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from pytest_mnemosyne.simulation import draws


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing comes for a while, and the client's patience may end before that."""

    for_s: float
    patience_s: float | None
    """`None` for a client that waits without end."""

    timeout: Exception
    """What the client gets when its patience ends."""

    @property
    def is_too_long(self) -> bool:
        """Whether the client's patience ends first."""
        return self.patience_s is not None and self.for_s >= self.patience_s


def wait(step: Wait) -> None:
    """Let a synchronous client wait.

    Where its patience would end first, it ends at once; and where it would not end at all,
    too: nothing else could make an end of it.
    """
    if step.is_too_long or step.for_s == math.inf:
        raise step.timeout
    time.sleep(step.for_s)


async def wait_async(step: Wait) -> None:
    """Let an asynchronous client wait, on the loop's clock.

    On virtual time its patience ends when it does, which costs nothing; in real time at
    once, because nobody wants to sit through it.
    """
    import anyio

    if step.is_too_long:
        if step.patience_s is not None and draws.of_running_loop() is not None:
            await anyio.sleep(step.patience_s)
        raise step.timeout
    if step.for_s == math.inf:
        await anyio.sleep_forever()
    await anyio.sleep(step.for_s)
