"""A test's file: what it is called, and what else comes out of it than its exchanges."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from vcr.persisters.filesystem import FilesystemPersister

from pytest_mnemosyne.cassette import CorruptCassetteError
from pytest_mnemosyne.compat._vcr_cassettes import Prepared, prepare
from pytest_mnemosyne.compat._wanted import Wanted

EXCHANGE: dict[str, Any] = {
    "request": {"method": "GET", "uri": "http://x/", "body": None, "headers": {}},
    "response": {
        "status": {"code": 200, "message": "OK"},
        "headers": {},
        "body": {"string": "x"},
    },
}


def prepared(folder: Path, *extras: str, name: str = "test", **settings: object) -> Prepared:
    return prepare(
        Wanted(name=name, folder=str(folder), record_mode="none", settings=settings, extras=extras)
    )


def write(path: Path, **more: object) -> None:
    path.write_text(json.dumps({"version": 1, "interactions": [EXCHANGE], **more}), "utf-8")


@pytest.mark.parametrize("serializer", ["yaml", "json"])
def test_a_long_name_is_cut_to_one_that_can_be_written(tmp_path: Path, serializer: str) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    suffix = f".{serializer}"

    names = [
        prepared(tmp_path, name="x" * length + end, serializer=serializer).path.name
        for length, end in ((longest - len(suffix), ""), (longest, "a"), (longest, "b"))
    ]

    for name in names:
        (tmp_path / name).touch()
    assert names[0] == "x" * (longest - len(suffix)) + suffix
    assert len(set(names)) == len(names)


def test_metadata_is_that_of_the_tests_own_file(tmp_path: Path) -> None:
    write(tmp_path / "test.json", metadata={"when": "then"})
    write(tmp_path / "extra.json", metadata={"when": "never"})
    found = prepared(tmp_path, "extra.json", serializer="json")

    with found.vcr.use_cassette(found.name, **found.settings) as cassette:
        assert cassette.get_metadata("when", None) == "then"
        assert (len(cassette), found.own(len(cassette))) == (2, 1)


def test_what_another_persister_has_loaded_is_all_the_tests_own(tmp_path: Path) -> None:
    write(tmp_path / "test.json")
    found = prepared(tmp_path, "extra.json", serializer="json")
    found.vcr.register_persister(FilesystemPersister)

    with found.vcr.use_cassette(found.name, **found.settings) as cassette:
        assert found.own(len(cassette)) == len(cassette) == 1


def test_a_file_without_a_word_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "test.yaml").write_text(" \n", encoding="utf-8")
    found = prepared(tmp_path, record_mode="once")

    with found.vcr.use_cassette(found.name, **found.settings) as cassette:
        assert not cassette.write_protected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("interactions:\n- request: {", "3", id="no-yaml"),
        pytest.param("- request: {}", None, id="too-old"),
        pytest.param("a: 1", None, id="no-cassette"),
        pytest.param("interactions: 1", None, id="no-exchanges"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, line: str | None) -> None:
    path = tmp_path / "extra.yaml"
    path.write_text(text, encoding="utf-8")
    found = prepared(tmp_path, "extra.yaml")

    with (
        pytest.raises(CorruptCassetteError, match="restore the cassette") as damaged,
        found.vcr.use_cassette(found.name, **found.settings),
    ):
        pytest.fail("it was opened")

    assert damaged.value.path == path
    assert line is None or str(damaged.value).startswith(f"{path}:{line}: ")
