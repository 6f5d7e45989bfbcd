"""How old a recording may be.

CassetteFileError
  - CassetteExpiredError
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette._errors import CassetteFileError

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._contents import Recorded

_DAY_S = 86_400


class CassetteExpiredError(CassetteFileError):
    """A cassette was recorded longer ago than its test allows.

    Attributes:
        path: The file.
        age_days: How old it is, in whole days.
        expires_days: How old it may be.
        command: The command line that records it anew.
    """

    code = "cassette_expired"

    def __init__(
        self, *, path: Path, age_days: int, expires_days: float, command: str = ""
    ) -> None:
        self.age_days = age_days
        self.expires_days = expires_days
        self.command = command
        super().__init__(
            path=path,
            text=(
                f"the cassette {path} was recorded {age_days} days ago and expires after "
                f"{expires_days:g}; record it anew{f': {command}' if command else ''}"
            ),
        )


def check_expiry(
    path: Path,
    recorded: Recorded | None,
    *,
    expires_days: float | None,
    now: datetime,
    command: str = "",
) -> None:
    """Refuse a cassette that is too old; one that does not say how old it is passes.

    Args:
        path: The file.
        recorded: Its header.
        expires_days: How old it may be; `None` for as old as you like.
        now: The time, with a time zone.
        command: The command line that records it anew.

    Raises:
        CassetteExpiredError: It is older.
    """
    if expires_days is None or recorded is None or recorded.at is None:
        return
    age_s = (now - recorded.at).total_seconds()
    if age_s > expires_days * _DAY_S:
        raise CassetteExpiredError(
            path=path, age_days=int(age_s // _DAY_S), expires_days=expires_days, command=command
        )
