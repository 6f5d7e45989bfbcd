"""Recorded Claude interactions.

Importing this package imports no YAML, no HTTP client and no interception layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy
from pytest_mnemosyne.cassette._cassette import Cassette
from pytest_mnemosyne.cassette._contents import (
    FORMAT,
    CassetteFile,
    Recorded,
    stored_form,
)
from pytest_mnemosyne.cassette._door import Door
from pytest_mnemosyne.cassette._errors import (
    CassetteFileError,
    CassetteReadError,
    CassetteWriteError,
    CorruptCassetteError,
    SecretLeakError,
    UnknownFormatError,
    UnreadableCassetteError,
)
from pytest_mnemosyne.cassette._file import check_writable, load, write
from pytest_mnemosyne.cassette._interaction import (
    Chunk,
    Headers,
    Interaction,
    Outcome,
    Request,
    Response,
)
from pytest_mnemosyne.cassette._miss import (
    CassetteMissError,
    Miss,
    NoCassetteError,
    OtherHostError,
)
from pytest_mnemosyne.cassette._modes import RecordMode
from pytest_mnemosyne.cassette._paths import cassette_path
from pytest_mnemosyne.cassette._turn import Source, Tokens, Turn
from pytest_mnemosyne.cassette._upstream import Upstream

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._door_probe import UncoveredClientError
    from pytest_mnemosyne.cassette._redaction import Redactor
    from pytest_mnemosyne.cassette._vcr_serializer import VcrpySerializer

__all__ = [
    "FORMAT",
    "Cassette",
    "CassetteFile",
    "CassetteFileError",
    "CassetteMissError",
    "CassetteReadError",
    "CassetteWriteError",
    "Chunk",
    "CorruptCassetteError",
    "Door",
    "Headers",
    "Interaction",
    "Miss",
    "NoCassetteError",
    "OtherHostError",
    "Outcome",
    "RecordMode",
    "Recorded",
    "Redactor",
    "Request",
    "Response",
    "SecretLeakError",
    "Source",
    "Tokens",
    "Turn",
    "UncoveredClientError",
    "UnknownFormatError",
    "UnreadableCassetteError",
    "Upstream",
    "VcrpySerializer",
    "cassette_path",
    "check_writable",
    "load",
    "stored_form",
    "write",
]

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(
        __name__,
        {
            "Redactor": "pytest_mnemosyne.cassette._redaction",
            "UncoveredClientError": "pytest_mnemosyne.cassette._door_probe",
            "VcrpySerializer": "pytest_mnemosyne.cassette._vcr_serializer",
        },
    )
