"""vcrpy with JSON files, which it reads sooner than YAML."""

from __future__ import annotations

from pathlib import Path

import vcr
from with_vcrpy import keep

__all__ = ["SUFFIX", "keep", "matcher"]

SUFFIX = ".json"


def matcher(path: Path) -> object:
    """The loaded cassette; nothing is looked for in it."""
    with vcr.VCR(record_mode="none", serializer="json").use_cassette(str(path)) as cassette:
        return cassette
