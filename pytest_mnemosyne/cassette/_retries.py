"""Played failures that a client tries again, and how it does so without a wait.

The SDK waits between its tries: as long as the answer says, first of all in
`retry-after-ms`, else by a clock of its own. What is recorded of a busy hour would be
waited for in every replay. So where time is real, a played answer of this kind says
that a thousandth of a millisecond is enough. The cassette and its turns keep what was
recorded, and on virtual time nothing is said otherwise, since waiting is free there.

A connection that broke has no answer and so nothing to say it in: the SDK waits for half
a second, then for one, and only virtual time spares that.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from pytest_mnemosyne.cassette._interaction import Headers, Response

_AT_ONCE: Final = ("retry-after-ms", "0.001")
"""Not zero, which the SDK takes for no answer."""

_PASSING: Final = frozenset({408, 409, 429})
"""Besides everything from 500 on."""


def without_waiting(response: Response) -> Headers:
    """The headers of a played answer, after which the SDK is to try again at once, if at all."""
    if not is_tried_again(response):
        return response.headers
    name, _ = _AT_ONCE
    return (*(header for header in response.headers if header[0] != name), _AT_ONCE)


def is_tried_again(response: Response) -> bool:
    """Whether the SDK makes a call again that was answered like this."""
    if response.status < 400:
        return False
    told = next((value for name, value in response.headers if name == "x-should-retry"), None)
    if told in ("true", "false"):
        return told == "true"
    return is_passing(response.status)


def is_passing(status: int) -> bool:
    """Whether a status tells of trouble that the next try need not have."""
    return status in _PASSING or status >= 500


def waiting_is_free() -> bool:
    """Whether the running code waits on a loop of virtual time."""
    loops = sys.modules.get("pytest_mnemosyne.simulation.loop")
    if loops is None:
        return False
    try:
        return isinstance(asyncio.get_running_loop(), loops.VirtualLoop)
    except RuntimeError:
        return False
