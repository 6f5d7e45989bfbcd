"""All seeded bugs, by theme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.simulation.bugs import asking, patience, queues, shared_state, streams, supervision
from tests.simulation.bugs.bug import Bug

THEMES: Final[Mapping[str, tuple[Bug, ...]]] = {
    "shared state": shared_state.BUGS,
    "queues and work": queues.BUGS,
    "supervision": supervision.BUGS,
    "questions and answers": asking.BUGS,
    "streams of events": streams.BUGS,
    "providers": patience.BUGS,
}
"""The bugs of each theme, in the order in which they are told."""

BUGS: Final[tuple[Bug, ...]] = tuple(bug for bugs in THEMES.values() for bug in bugs)
