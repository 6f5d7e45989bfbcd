"""Names that the standard library's `tempfile` draws at random: no other run will have them.

Every way to such a name ends in an audit event, also for code that has imported `mkdtemp`
by name. An audit hook stays for the rest of the process, so there is one, from the first
cassette on.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from mnemosyne_core import origins

_EVENTS = frozenset({"tempfile.mkdtemp", "tempfile.mkstemp"})
"""Both have the full path as their argument."""

_USUAL_PREFIX = "tmp"


@cache
def tell_temporary_names() -> None:
    """Tell `mnemosyne_core.origins` of each temporary file and folder; from the first call on."""
    sys.addaudithook(_hear)


def _hear(event: str, args: tuple[object, ...]) -> None:
    # Every event of the process comes by here.
    if event in _EVENTS:
        # Not every name is UTF-8. What is not is in no request, and nobody may trip over it here.
        path = os.fsencode(args[0]).decode("utf-8", "replace")  # type: ignore[arg-type]
        name = os.path.basename(path)  # noqa: PTH119
        origins.minted(name, _USUAL_PREFIX if name.startswith(_USUAL_PREFIX) else "")
