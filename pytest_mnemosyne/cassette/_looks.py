"""The looks of texts that a test may leave out of matching, by name: see `_loosening`.

Their regular expressions are costly to compile, so this is imported where a test asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pytest_mnemosyne.cassette._loosening import Matcher

_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_CLOCK: Final = r"\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\ ?[AaPp][Mm])?"
_ZONE: Final = r"(?:\ ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"

_DATES: Final = rf"""(?<![\w-])(?:
    (?:\d{{4}}-\d\d-\d\d|\d{{4}}/\d\d?/\d\d?|\d\d?/\d\d?/\d{{4}}|\d\d?\.\d\d?\.\d{{4}})
      (?:(?:T|,?\ ){_CLOCK}{_ZONE})?
    | \d{{8}}T\d{{6}}Z?
    | (?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\ )?
      (?: \d\d?(?:st|nd|rd|th)?\ (?:of\ )?{_MONTH},?\ \d{{4}}
        | {_MONTH}\ \d\d?(?:st|nd|rd|th)?,?\ \d{{4}} )
      (?:,?\ (?:at\ )?{_CLOCK}{_ZONE})?
)(?![\w-])"""

_UUIDS: Final = (
    r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])"
)

_DURATIONS: Final = r"""
    (?<![\w.])\d+(?:[.,]\d+)?\ ?
      (?:[nuµm]?s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|milliseconds?|microseconds?)(?!\w)
    | (?<![\w.])P(?=\d|T\d)(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?(?!\w)
    | (?<![\w.:])\d+:\d\d:\d\d(?:\.\d+)?(?![\w:])
    | (?:(?<=duration_ms":)|(?<=elapsed_ms":))\ ?\d+(?:\.\d+)?"""

_HASHES: Final = (
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{32,128}|sha(?:256|384|512)-[A-Za-z0-9+/]{43,86}={0,2})"
    r"(?![0-9A-Za-z])"
)

LOOKS: Final[Mapping[str, Matcher]] = {
    "dates": Matcher("dates", re.compile(_DATES, re.VERBOSE)),
    "durations": Matcher("durations", re.compile(_DURATIONS, re.VERBOSE)),
    "hashes": Matcher("hashes", _HASHES),
    "uuids": Matcher("uuids", _UUIDS),
}
"""Those that every project has."""
