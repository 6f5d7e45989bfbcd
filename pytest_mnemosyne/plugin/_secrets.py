"""Which values a run has to keep out of everything that it writes and shows.

- Claude's own keys,
- the variables that the ini setting `mnemosyne_secrets` names,
- every other variable whose name says that it is a secret and whose value looks like one,
- what a client has sent as its key.

The third is a guess, and a wrong guess would replace honest text in cassettes. So it takes
whole words of the name and a long value with letters and digits, and leaves out paths,
addresses and texts.

Fixtures set variables and take them away again. So the environment is read whenever
something is to be written or shown, and what was once a secret stays one until the run ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Final

from pytest_mnemosyne.plugin._modes import KEY_VARIABLES

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Indistinct, Redactor

_SHORTEST_NAMED: Final = 6
"""In characters, without quotes and blanks around them, as the redactor takes them; known here
because that is imported later."""

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
    # Not by pairs: another thread may take a variable away in between.
    guessed = sorted(
        name for name in environ if _says_so(name) and _is_secret(name, environ.get(name, ""))
    )
    order = dict.fromkeys((*named, *(each for each in KEY_VARIABLES if each in guessed), *guessed))
    return {name: value for name in order if (value := environ.get(name))}


class RunSecrets:
    """The secrets that a run has come to know, and what takes them out; for many threads."""

    def __init__(
        self, environ: Mapping[str, str], *, named: Iterable[str] = (), stand_in: str = ""
    ) -> None:
        """Read the environment for the first time.

        Args:
            environ: The environment, which may change.
            named: Variables that hold secrets, whatever they look like; they need not be set.
            stand_in: What the run itself puts in the place of a key; never a secret.
        """
        self._environ = environ
        self._named = tuple(named)
        self._stand_in = stand_in
        self._in_environment: dict[str, str] = {}
        self._names: dict[str, str] = {}
        """Of each value that is or was a secret, the name that marks have."""

        self._sent: set[str] = set()
        self._redactor: Redactor | None = None
        self._lock = Lock()
        self.read()

    def read(self) -> None:
        """Learn what the environment holds by now."""
        found = run_secrets(self._environ, named=self._named)
        with self._lock:
            if found == self._in_environment:
                return
            self._in_environment = found
            names: dict[str, str] = {}
            for name, value in found.items():
                if value != self._stand_in and too_short(value) is None:
                    names.setdefault(value, name)
            # Today's name of a value counts, so that what another test has set changes no mark.
            self._learn(names)

    def sent(self, header: str, value: str) -> None:
        """Learn what a client has sent as its key: upstream may repeat it.

        Of `Bearer ...` what is behind the scheme. A short one is a stand-in, and no secret.
        """
        if value in self._sent:
            return
        # The environment first: where a variable holds it, marks have the variable's name.
        self.read()
        key = value if header == "x-api-key" else value.partition(" ")[2].strip() or value
        with self._lock:
            self._sent.add(value)
            is_real = len(key) >= _SHORTEST and key != self._stand_in and too_short(key) is None
            if is_real and key not in self._names:
                self._learn({key: header})

    def check(self) -> None:
        """Refuse to write while the environment holds what cannot be looked for.

        Raises:
            UsageError: A variable that the project has named has a value that is too short.
        """
        self.read()
        for name in self._named:
            problem = too_short(self._in_environment.get(name, ""))
            if problem is not None:
                from mnemosyne_core.errors import UsageError

                raise UsageError(f"the ini setting mnemosyne_secrets names {name}, {problem}")

    def redactor(self) -> Redactor:
        """Takes out every secret that is known by now; the same until there is another."""
        self.read()
        with self._lock:
            if self._redactor is None:
                from pytest_mnemosyne.cassette import Redactor

                self._redactor = Redactor((name, value) for value, name in self._names.items())
            return self._redactor

    def _learn(self, names: Mapping[str, str]) -> None:
        if not names.items() <= self._names.items():
            self._names |= names
            self._redactor = None


def too_short(value: str) -> str | None:
    """Why nobody can look for a value; `None` where it is long enough, or empty."""
    length = len(value.strip('"\\ \t\r\n'))
    if not value or length >= _SHORTEST_NAMED:
        return None
    return (
        f"whose value has {length} characters and would be found in every other text; use one of "
        f"at least {_SHORTEST_NAMED}, or leave it out"
    )


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
    """Whether what stands in a variable that says so looks like one."""
    return len(value) >= _SHORTEST and (name in KEY_VARIABLES or _LOOK.fullmatch(value) is not None)


@cache
def _says_so(name: str) -> bool:
    """Whether a variable's name says that it holds a secret."""
    return name in KEY_VARIABLES or not _WORDS.isdisjoint(name.upper().split("_"))
