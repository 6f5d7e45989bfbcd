"""Interactions as vcrpy's own data, and what vcrpy has no place for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._contents import CassetteFile
from pytest_mnemosyne.cassette._file import put_in_place, without_secrets
from pytest_mnemosyne.cassette._interaction import Headers, Outcome, Request, Response
from pytest_mnemosyne.cassette._redaction import Redactor
from pytest_mnemosyne.cassette._yaml import render_yaml


def to_vcrpy(file: CassetteFile) -> dict[str, Any]:
    """Vcrpy's data for a cassette.

    Exchanges without a whole answer are left out: vcrpy would play them as whole.
    """
    return {
        "interactions": [
            _exchange(one.request, one.response)
            for one in file.interactions
            if one.response is not None and one.outcome is Outcome.COMPLETE
        ],
        "version": 1,
    }


def _lost(file: CassetteFile) -> Iterator[str]:
    for number, one in enumerate(file.interactions, start=1):
        if one.response is None or one.outcome is not Outcome.COMPLETE:
            how = "has no answer" if one.response is None else f"was {one.outcome}"
            yield f"interaction {number} is left out: it {how}, and vcrpy plays whole answers only"
    agents = {one.lane for one in file.interactions if one.lane is not None}
    if len(agents) > 1:
        yield (
            f"which of the {len(agents)} agents asked what is dropped: their answers come in the "
            "order of the file, whoever asks"
        )
    if file.volatile:
        yield (
            "what stands in for folders, ids and times of a run is exported as it stands, and "
            "vcrpy compares it letter by letter"
        )
    if any(one.response is not None and one.response.chunks for one in file.interactions):
        yield "how streams arrived is dropped: vcrpy hands over each as one piece"


def export_vcrpy(
    path: Path, file: CassetteFile, *, redactor: Redactor | None = None
) -> tuple[str, ...]:
    """Write a file that vcrpy plays by itself: JSON where its name ends in `.json`, else YAML.

    Returns:
        What of the cassette vcrpy's format cannot hold, one sentence for each kind.

    Raises:
        UsageError: A body is no text, which JSON cannot hold.
        SecretLeakError: A secret cannot be taken out. Nothing was written.
        CassetteWriteError: The folder or the file cannot be written.
    """
    interactions = without_secrets(path, file.interactions, redactor or Redactor())
    data = to_vcrpy(replace(file, interactions=interactions))
    rendered = _as_json(data) if path.suffix == ".json" else render_yaml(data)
    put_in_place(path, rendered)
    return tuple(_lost(file))


def _as_json(data: dict[str, Any]) -> bytes:
    try:
        return json.dumps(data, indent=4).encode() + b"\n"
    except TypeError as error:
        raise UsageError(
            "a body in this cassette is no text, and vcrpy's JSON holds nothing else; export it "
            "to a file that ends in .yaml"
        ) from error


def _exchange(request: Request, response: Response) -> dict[str, Any]:
    return {
        "request": {
            "body": _text(request.body) if request.body else None,
            "headers": _listed(request.headers),
            "method": request.method,
            "uri": request.url,
        },
        "response": {
            "body": {"string": _text(response.body)},
            "headers": _listed(response.headers),
            "status": {"code": response.status, "message": _phrase(response.status)},
        },
    }


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


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
