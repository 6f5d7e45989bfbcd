"""Our files for plain vcrpy: one of its serializers.

    import vcr
    from pytest_mnemosyne.cassette import VcrpySerializer

    my_vcr = vcr.VCR(serializer="mnemosyne")
    my_vcr.register_serializer("mnemosyne", VcrpySerializer())

vcrpy then plays our cassettes, and writes them. Through it pass only whole answers:
it knows no drop in the middle of a stream, no chunk times and no lanes. It hands
over keys in headers and bodies; what it writes through here has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded
from pytest_mnemosyne.cassette._file import render, without_secrets
from pytest_mnemosyne.cassette._foreign import read_foreign
from pytest_mnemosyne.cassette._reading import parse
from pytest_mnemosyne.cassette._redaction import Redactor
from pytest_mnemosyne.cassette._vcrpy_data import to_vcrpy

# vcrpy hands a serializer texts, not files.
_NO_PATH = Path("<vcrpy cassette>")


class VcrpySerializer:
    """Reads and writes format 1 as vcrpy's own data."""

    def __init__(self, *, redactor: Redactor | None = None, source: str = "vcrpy") -> None:
        """Take out the secrets that `redactor` knows; `source` goes into written headers."""
        self._redactor = redactor or Redactor()
        self._source = source

    def deserialize(self, cassette_string: str) -> dict[str, Any]:
        """Vcrpy's data for the text of a cassette, of format 1 or any other that is read.

        Exchanges without a whole answer are left out: vcrpy would play them as whole.
        """
        return to_vcrpy(parse(cassette_string.encode(), _NO_PATH))

    def serialize(self, cassette_dict: Mapping[str, Any]) -> str:
        """The text of a cassette of format 1 for vcrpy's data.

        Raises:
            SecretLeakError: A secret cannot be taken out.
        """
        read = read_foreign(dict(cassette_dict))
        interactions = without_secrets(_NO_PATH, read.interactions, self._redactor)
        file = CassetteFile(interactions=interactions, recorded=Recorded(source=self._source))
        return render(file).decode()
