"""vcrpy with JSON files, which it reads sooner than YAML."""

from __future__ import annotations

from pathlib import Path

import vcr
from vcr.cassette import Cassette
from with_vcrpy import keep

__all__ = ["SUFFIX", "keep", "matcher"]

SUFFIX = ".json"


def matcher(path: Path) -> object:
    """The open cassette; nothing is looked for in it."""
    config = vcr.VCR(record_mode="none", serializer="json").get_merged_config(path=str(path))
    return Cassette.load(**config)
