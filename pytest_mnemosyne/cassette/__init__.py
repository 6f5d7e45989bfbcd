"""Recorded Claude interactions.

Importing this package imports no YAML, no HTTP client and no interception layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from pytest_mnemosyne.cassette._file import load, write
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
    "load",
    "stored_form",
    "write",
]

_LATE = {
    "Redactor": "_redaction",
    "UncoveredClientError": "_door_probe",
    "VcrpySerializer": "_vcr_serializer",
}
"""Names whose modules are imported when somebody asks for them."""


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
