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
from typing import TYPE_CHECKING, Final

from pytest_mnemosyne.plugin._modes import KEY_VARIABLES

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Indistinct

_SHORTEST: Final = 16
"""In characters. Where nobody has named it, a shorter value is a stand-in and no secret."""

_WORDS: Final = frozenset(
    {"APIKEY", "CREDENTIAL", "CREDENTIALS", "KEY", "PASSWD", "PASSWORD", "SECRET", "TOKEN"}
)

_LOOK: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])(?!\w+://)(?![./~])(?![A-Za-z]:\\)\S+")


def run_secrets(environ: Mapping[str, str], *, named: Iterable[str] = ()) -> dict[str, str]:
    """The secrets in an environment, by the names of their variables.

    In a fixed order, because of several names for one value cassettes have the first: what
    the project has named comes before what is in this environment by chance.

    Args:
        environ: The environment.
        named: Variables that hold secrets, whatever they look like; they need not be set.
    """
    guessed = sorted(name for name, value in environ.items() if _is_secret(name, value))
    order = dict.fromkeys((*named, *(each for each in KEY_VARIABLES if each in guessed), *guessed))
    return {name: environ[name] for name in order if environ.get(name)}


def note_on_indistinct(nodeid: str, found: Indistinct) -> str:
    """A line about requests of a test that its cassette cannot tell apart."""
    *others, last = found.interactions
    numbers = f"{', '.join(map(str, others))} and {last}"
    return (
        f"{nodeid}: interactions {numbers} of its cassette differ in nothing but the keys in "
        f"{found.place}, which look alike and have no names, so that in replay each may get the "
        "answer of the other; have variables hold the keys and name these in mnemosyne_secrets, "
        "or give the test stand-ins"
    )


def _is_secret(name: str, value: str) -> bool:
    if len(value) < _SHORTEST:
        return False
    if name in KEY_VARIABLES:
        return True
    words = name.upper().split("_")
    return not _WORDS.isdisjoint(words) and _LOOK.fullmatch(value) is not None
