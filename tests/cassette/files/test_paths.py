"""Every test id has a file of its own."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import _paths, cassette_path

BASE = Path("cassettes")


def below(nodeid: str) -> str:
    return cassette_path(BASE, nodeid).relative_to(BASE).as_posix()


def test_the_table_of_the_module_is_true() -> None:
    rows = re.findall(r"^`(tests\S+)` +`(\S+)`$", _paths.__doc__ or "", re.MULTILINE)

    assert len(rows) == 3
    assert {nodeid: below(nodeid) for nodeid, _ in rows} == dict(rows)


@pytest.mark.parametrize(
    ("nodeid", "file"),
    [
        pytest.param("tests/test_x.py::test_y", "tests/test_x/test_y.yaml", id="function"),
        pytest.param("test_x.py::test_y[1-two]", "test_x/test_y[1-two].yaml", id="parameters"),
        pytest.param("docs/guide.md::guide.md", None, id="document"),
        pytest.param("../outside/test_x.py::test_y", None, id="outside-the-root"),
        pytest.param("tests/test_x.py::test_y[" + "long-" * 80 + "]", None, id="long"),
        pytest.param("tests/aux/nul.py::con", None, id="reserved"),
        pytest.param("tests/test_x.py::test_y[Grüße 🎉]", None, id="unicode"),
        pytest.param("C:\\tests\\test_x.py::test_y", None, id="drive"),
        pytest.param("::", None, id="nothing"),
    ],
)
def test_any_id_gives_a_path_that_every_file_system_takes(nodeid: str, file: str | None) -> None:
    found = below(nodeid)

    assert file is None or found == file
    for part in found.split("/"):
        assert 0 < len(part.encode()) <= 100
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]', part)
        assert part.strip(". ") == part
        assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part.lower())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("t.py::t[a/b]", "t.py::t[a:b]", id="replaced"),
        pytest.param("t.py::t[A]", "t.py::t[a]", id="case"),
        pytest.param("t.py::Ta::b", "t.py::ta::b", id="class-case"),
        pytest.param("T.py::t", "t.py::t", id="module-case"),
        pytest.param("t.py::a::b", "t.py::a.b", id="separator"),
        pytest.param("t.py::t", "t::t", id="suffix"),
        pytest.param("a.b.py::t", "a.b::t", id="dots"),
        pytest.param("a/t.py::t", "a_t.py::t", id="folder"),
        pytest.param("t.py::t[\u00e9]", "t.py::t[e\u0301]", id="composition"),
        pytest.param(f"t.py::t[{'x' * 90}1]", f"t.py::t[{'x' * 90}2]", id="shortened"),
        pytest.param("t/x.py::y", "t.py::x", id="folder-and-test"),
    ],
)
def test_two_ids_never_share_a_file(one: str, other: str) -> None:
    assert _seen_by_any_file_system(one) != _seen_by_any_file_system(other)


def test_a_folder_never_stands_where_a_file_has_to_be() -> None:
    file = cassette_path(BASE, "tests/x.py::y")

    assert file not in cassette_path(BASE, "tests/x/y.yaml::case").parents


def test_what_a_name_is_hashed_to_is_no_plain_name() -> None:
    hashed = cassette_path(BASE, "A/t.py::t").parent.parent.name

    assert below(f"{hashed}/t.py::t") != below("A/t.py::t")


def _seen_by_any_file_system(nodeid: str) -> str:
    return unicodedata.normalize("NFC", below(nodeid)).casefold()


PIECES = st.sampled_from(
    [
        "a",
        "A",
        "b",
        ".py",
        "::",
        "/",
        ".",
        "-",
        "[",
        "]",
        "_",
        " ",
        "é",
        "e\u0301",
        "\\",
        "con",
        "ß",
    ]
)
IDS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=12)


@given(ids=st.lists(IDS, unique=True, min_size=2, max_size=12))
def test_any_ids_have_files_of_their_own(ids: list[str]) -> None:
    assert len({_seen_by_any_file_system(nodeid) for nodeid in ids}) == len(ids)
    for nodeid in ids:
        assert BASE in cassette_path(BASE, nodeid).parents
        assert ".." not in cassette_path(BASE, nodeid).parts
