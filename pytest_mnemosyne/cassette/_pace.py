"""When the pieces of a played answer arrive.

At once, or when they arrived while it was recorded. The times are those of the loop that
the client waits on: on a virtual loop they cost nothing, everywhere else they are waited
for. A synchronous client has no loop, so it waits.
"""

from __future__ import annotations

import time
from enum import StrEnum, auto

from pytest_mnemosyne.cassette._interaction import Interaction


class Pace(StrEnum):
    """When a played answer arrives."""

    INSTANT = auto()
    """At once."""

    RECORDED = auto()
    """Each piece as long after its request as when it was recorded."""


def begins_s(interaction: Interaction) -> float:
    """When a recorded answer began, in seconds after its request; its end where none did.

    The answer as a whole, where it came as a whole.
    """
    response = interaction.response
    return response.chunks[0].at_s if response and response.chunks else interaction.took_s


class RecordedTimes:
    """The time since a request was made, for a synchronous client."""

    def __init__(self) -> None:
        """The request is made now."""
        self._asked_s = time.monotonic()

    def reach(self, at_s: float) -> None:
        """Wait until `at_s` seconds after the request; no time where they are over."""
        time.sleep(max(0.0, self._asked_s + at_s - time.monotonic()))


class AsyncRecordedTimes:
    """The same for an asynchronous client, on whatever loop it runs."""

    def __init__(self) -> None:
        """The request is made now."""
        import anyio

        self._asked_s = anyio.current_time()

    async def reach(self, at_s: float) -> None:
        """Wait until `at_s` seconds after the request; no time where they are over."""
        import anyio

        await anyio.sleep_until(self._asked_s + at_s)
