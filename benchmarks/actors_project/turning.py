"""Runs one program of one peer: `python turning.py MODULE:CLASS PROGRAM COUNT`.

Prints the program's numbers as JSON. Written without this project's help for the peers,
so that none pays for another.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys

WARM_UP = 10
"""The share of the count, one in so many, that is done before anything is timed."""


def main() -> None:
    name, program, given = sys.argv[1:]
    module, _, peer_class = name.partition(":")
    run = getattr(getattr(importlib.import_module(module), peer_class)(), program)
    count = int(given)
    run(max(1, count // WARM_UP))
    # Full collections walk through whatever was imported, and one peer imports more
    # than another; next to what a real program imports, all of them are small.
    gc.collect()
    gc.freeze()
    numbers = run(count)
    print(json.dumps(numbers if isinstance(numbers, list) else [numbers]))


main()
