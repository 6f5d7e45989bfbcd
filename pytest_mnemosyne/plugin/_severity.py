"""How bad something is that is found at the end of a test or of a run.

Plain words and no enum, because they are read in every run that loads the plug-in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeGuard

if TYPE_CHECKING:
    import pytest

Severity = Literal["error", "warn", "ignore"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warn", "ignore")
"""It fails the test; it is told at the end of the run; nobody hears of it."""


def is_severity(given: object) -> TypeGuard[Severity]:
    """Whether a word from a user is one of these."""
    return given in SEVERITIES


def of_ini(config: pytest.Config, name: str) -> Severity:
    """The severity that an ini setting names.

    Raises:
        UsageError: It names none.
    """
    given = str(config.getini(name)).strip().lower()
    if not is_severity(given):
        from mnemosyne_core.errors import UsageError

        raise UsageError(f"the ini setting {name} says {given!r}; it takes {', '.join(SEVERITIES)}")
    return given
