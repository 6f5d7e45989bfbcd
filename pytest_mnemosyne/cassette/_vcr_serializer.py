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
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded, stored_form
from pytest_mnemosyne.cassette._errors import SecretLeakError
from pytest_mnemosyne.cassette._file import render
from pytest_mnemosyne.cassette._foreign import read_foreign
from pytest_mnemosyne.cassette._interaction import Headers, Interaction, Outcome
from pytest_mnemosyne.cassette._reading import parse
from pytest_mnemosyne.cassette._redaction import Redactor, SecretFoundError

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
        file = parse(cassette_string.encode(), _NO_PATH)
        return {
            "version": 1,
            "interactions": [
                _to_vcrpy(one) for one in file.interactions if one.outcome is Outcome.COMPLETE
            ],
        }

    def serialize(self, cassette_dict: Mapping[str, Any]) -> str:
        """The text of a cassette of format 1 for vcrpy's data.

        Raises:
            SecretLeakError: A secret cannot be taken out.
        """
        read = read_foreign(dict(cassette_dict))
        try:
            interactions = tuple(
                self._redactor.interaction(stored_form(one)) for one in read.interactions
            )
        except SecretFoundError as found:
            raise SecretLeakError(path=_NO_PATH, secret=found.secret, where=found.where) from found
        file = CassetteFile(interactions=interactions, recorded=Recorded(source=self._source))
        return render(replace(file, container="mnemosyne")).decode()


def _to_vcrpy(interaction: Interaction) -> dict[str, Any]:
    request, response = interaction.request, interaction.response
    assert response is not None, "a complete exchange has an answer"
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "body": request.body,
            "headers": _listed(request.headers),
        },
        "response": {
            "status": {"code": response.status, "message": _phrase(response.status)},
            "headers": _listed(response.headers),
            "body": {"string": response.body},
        },
    }


def _listed(headers: Headers) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {}
    for name, value in headers:
        listed.setdefault(name, []).append(value)
    return listed


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        # 529 is Claude's own.
        return ""
