"""Which values a run has to keep out of everything that it writes and shows.

They are read from the environment when the run begins:

- Claude's own keys,
- the variables that the ini setting `mnemosyne_secrets` names,
- every other variable whose name says that it is a secret and whose value looks like one.

The last is a guess, and a wrong guess would replace honest text in cassettes. So it takes
whole words of the name and a long value with letters and digits, and leaves out paths,
addresses and texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pytest_mnemosyne.plugin._modes import KEY_VARIABLES

_SHORTEST: Final = 16
"""In characters. Where nobody has named it, a shorter value is a stand-in and no secret."""

_WORDS: Final = frozenset(
    {"APIKEY", "CREDENTIAL", "CREDENTIALS", "KEY", "PASSWD", "PASSWORD", "SECRET", "TOKEN"}
)

_LOOK: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])(?!\w+://)(?![./~])(?![A-Za-z]:\\)\S+")


def run_secrets(environ: Mapping[str, str], *, named: Iterable[str] = ()) -> dict[str, str]:
    """The secrets in an environment, by the names of their variables.

    Args:
        environ: The environment.
        named: Variables that hold secrets, whatever they look like; they need not be set.
    """
    named = set(named)
    return {
        name: value
        for name, value in environ.items()
        if value and (name in named or _is_secret(name, value))
    }


def _is_secret(name: str, value: str) -> bool:
    if len(value) < _SHORTEST:
        return False
    if name in KEY_VARIABLES:
        return True
    words = name.upper().split("_")
    return not _WORDS.isdisjoint(words) and _LOOK.fullmatch(value) is not None
