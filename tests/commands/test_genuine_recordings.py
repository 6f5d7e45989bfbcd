"""Every recording of real traffic is shown, imported and exported whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vcr.serialize import deserialize
from vcr.serializers import yamlserializer

from pytest_mnemosyne.cassette import Interaction, asks_claude, load, read_answer, stored_form
from tests.recordings._table import FOLDER, files, loaded, name_of

from .conftest import Cassettes

READABLE = [path for path in files() if path.suffix != ".zlib"]

pytestmark = pytest.mark.skipif(
    not READABLE, reason=f"no recordings at {FOLDER}; set MNEMOSYNE_RECORDINGS"
)
every_file = pytest.mark.parametrize("path", READABLE, ids=name_of)


def texts_in(interaction: Interaction) -> list[str]:
    """What the answer of an interaction says in words."""
    if interaction.response is None:
        return []
    answer = read_answer(interaction.response.body)
    blocks: list[dict[str, Any]] = (answer.message or {}).get("content", [])
    return [block["text"] for block in blocks if block["type"] == "text"]


@every_file
def test_everything_that_was_answered_is_shown(cassettes: Cassettes, path: Path) -> None:
    ran = cassettes("show", path, "--full")

    assert ran.exit_code == 0
    lines = {line.strip() for line in ran.stdout.splitlines()}
    for one in loaded(path).interactions:
        for said in texts_in(one):
            assert {line.strip() for line in said.splitlines()} <= lines | {""}


@every_file
def test_an_import_keeps_what_was_asked_and_answered(
    cassettes: Cassettes, tmp_path: Path, path: Path
) -> None:
    ran = cassettes("import", path, "-o", tmp_path / "x.yaml")

    assert ran.exit_code == 0, ran.output
    there = [stored_form(one) for one in loaded(path).interactions if asks_claude(one.request)]
    assert list(load(tmp_path / "x.yaml").interactions) == there


@every_file
def test_an_export_is_what_vcrpy_reads(cassettes: Cassettes, tmp_path: Path, path: Path) -> None:
    cassettes("export", path, "-o", tmp_path / "x.yaml")

    written = (tmp_path / "x.yaml").read_text("utf-8")
    requests, responses = deserialize(written, yamlserializer)
    there = [stored_form(one) for one in loaded(path).interactions]
    assert [(one.uri, one.body or b"") for one in requests] == [
        (one.request.url, one.request.body) for one in there
    ]
    assert [one["body"]["string"] for one in responses] == [
        one.response.body for one in there if one.response is not None
    ]
