"""Where a test's cassette lies: one file for every test id, and no file for two.

===============================================  ==========================================
test id                                          file below the base
===============================================  ==========================================
`tests/test_x.py::test_y[a]`                     `tests/test_x/test_y[a].yaml`
`tests/test_x.py::TestFoo::test_y`               `tests/test_x/TestFoo.test_y-f17b8a0d.yaml`
`tests/test_x.py::test_y[a/b]`                   `tests/test_x/test_y[a_b]-a007ef88.yaml`
===============================================  ==========================================

A plain name is taken as it is. In any other, what a file system may refuse is
replaced, and a hash of the whole name keeps it apart from those that look the same
then. Capitals are not plain, because some file systems do not tell them from small
letters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

_LONGEST: Final = 80
"""In bytes; file systems allow 255, some encrypted ones 143."""

_HASH_BYTES: Final = 4

# Dots stand for `::` outside the brackets, so names may not have them there.
_PLAIN_TEST = re.compile(r"[a-z_][a-z0-9_]*(?:::[a-z_][a-z0-9_]*)*(?:\[[a-z0-9_.,=+-]+\])?")
_PLAIN_FOLDER = re.compile(r"[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*")
_HASHED = re.compile(r".*-[0-9a-f]{8}")
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|com\d|lpt\d|conin|conout|clock)(?:\..*)?", re.IGNORECASE
)
_REFUSED = re.compile(r"[^\w.,=+\[\]-]")


def cassette_path(base: Path, nodeid: str) -> Path:
    """The file of the test `nodeid`, below `base` whatever the id is.

    Two ids never share a file, also where case or the composition of accents makes no
    difference. The folders are those of the test's module.
    """
    module, separator, test = nodeid.partition("::")
    # An id without a test is a whole module's; no test's name is hashed to the same.
    file = _test(test) if separator else _hashed("_module", "no test")
    return _module_folder(base, module) / f"{file}.yaml"


@lru_cache(maxsize=64)
def _module_folder(base: Path, module: str) -> Path:
    *folders, last = module.split("/")
    return base.joinpath(*map(_folder, folders), _module(last))


def _test(name: str) -> str:
    readable = name.replace("::", ".")
    return readable if _is_plain(name, readable, _PLAIN_TEST) else _hashed(readable, name)


def _folder(name: str) -> str:
    return name if _is_plain(name, name, _PLAIN_FOLDER) else _hashed(name, name)


def _module(name: str) -> str:
    """`test_x` for `test_x.py`; a name with a dot for a file that is no module."""
    stem = name.removesuffix(".py")
    if _is_plain(stem, stem, _PLAIN_FOLDER) and ("." in stem) != (stem != name):
        return stem
    return _hashed(stem, name)


def _is_plain(name: str, readable: str, grammar: re.Pattern[str]) -> bool:
    return (
        len(name) <= _LONGEST
        and grammar.fullmatch(name) is not None
        and not _RESERVED.fullmatch(readable)
        and not _HASHED.fullmatch(readable)
        # A folder of this name would stand where a test's file has to be.
        and not name.endswith(".yaml")
    )


def _hashed(readable: str, name: str) -> str:
    digest = hashlib.blake2b(
        name.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES
    ).hexdigest()
    text = _REFUSED.sub("_", unicodedata.normalize("NFC", readable)).lstrip(".-")
    text = text.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    if _RESERVED.fullmatch(text) or not text:
        text = f"_{text}"
    return f"{text}-{digest}"
