"""No file, whatever is in it, makes a reader do anything but read it or say what is wrong."""

from __future__ import annotations

import copy
import gzip
import os
import re
import socket
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import (
    CassetteFile,
    CassetteFileError,
    CassetteReadError,
    CorruptCassetteError,
    UnknownFormatError,
    _foreign,
    find_leaks,
    load,
)
from pytest_mnemosyne.cassette._file import render
from pytest_mnemosyne.cassette._reading import parse

from .cassettes_of_all import originals

PATH = Path("cassettes/test_x.yaml")
FUZZED = settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])


def read(data: bytes) -> CassetteFile | None:
    """What is in the file; `None` where the reader said what is wrong with it."""
    find_leaks(data)
    try:
        return parse(data, PATH)
    except CassetteFileError as error:
        refused = error
    assert str(PATH) in str(refused)
    if isinstance(refused, CorruptCassetteError) and refused.line is not None:
        assert 1 <= refused.line <= data.count(b"\n") + data.count(b"\r") + 1
    return None


# --- bytes -----------------------------------------------------------------------------

SNIPPETS = st.sampled_from(
    [
        *(
            b"&a",
            b"*a",
            b"<<: *a",
            b"- ",
            b": ",
            b"? ",
            b"|\n ",
            b"{",
            b"[",
            b"}",
            b"]",
            b"'",
            b'"',
        ),
        *(
            b"!!binary ",
            b"!!python/object/apply:os.system ",
            b"!ruby/object:A ",
            b"!!set ",
            b"!!int ",
        ),
        *(
            b"---\n",
            b"...\n",
            b"%YAML 1.2\n",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\x00",
            b"\x85",
            b"\t",
        ),
        *(b"2026-13-45", b".nan", b"-.inf", b"1e999", b"0x" + b"f" * 99, b"9" * 5000, b"1:59:59"),
        *(b"\\ud800", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"null", b"~", b"true", b"=", b"H4sI"),
        *(b"\x1f\x8b\x08", b"mnemosyne: 1\n", b"mnemosyne: 99\n", b"interactions:\n"),
    ]
)


@st.composite
def damaged_bytes(draw: st.DrawFn) -> bytes:
    """A valid cassette in which stretches were replaced."""
    data = draw(st.sampled_from(originals()))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 2, 9, 400])))
        data = data[:start] + draw(st.one_of(SNIPPETS, st.binary(max_size=4))) + data[end:]
    return data


@pytest.mark.slow
@given(damaged_bytes())
@FUZZED
def test_a_damaged_file_is_read_or_refused(data: bytes) -> None:
    read(data)


@pytest.mark.slow
@given(st.one_of(st.binary(max_size=99), st.lists(SNIPPETS, max_size=12).map(b"".join)))
@FUZZED
def test_no_bytes_at_all_crash_a_reader(data: bytes) -> None:
    read(data)


# --- values ----------------------------------------------------------------------------

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            None,
            True,
            0,
            -1,
            1 << 70,
            1.5,
            float("nan"),
            float("inf"),
            "",
            "text",
            "\ud800",
            b"\xff",
        ),
        *(
            [],
            {},
            [[]],
            {"a": {}},
            [None],
            {"": None},
            {1: 2},
            {None: 1},
            [{"name": 1, "value": []}],
        ),
        *(
            "H4sI",
            "gzip",
            "2026-01-01",
            "x" * 5000,
            {"base64_string": "!"},
            {"string": 5},
            {"text": []},
        ),
        *("..h1", "..h2", "m1", "m2", "k1", ["..h1"], ["..h2", "m1"]),
        *({"code": "abc"}, {"code": None}, {"text": "é", "encoding": "base64"}, ["a", 1], ("b",)),
    ]
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every mapping and list in a document with each of its keys."""
    found = []
    pending = [document]
    while pending:
        value = pending.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            found.append((value, key))
            if isinstance(value[key], dict | list):
                pending.append(value[key])
    return found


@st.composite
def odd_documents(draw: st.DrawFn) -> Any:
    """A valid cassette's data in which some values are others."""
    document = copy.deepcopy(yaml.safe_load(draw(st.sampled_from(originals()))))
    for _ in range(draw(st.integers(1, 4))):
        known = places(document)
        if not known:
            break
        holder, key = known[draw(st.integers(0, len(known) - 1))]
        action = draw(st.sampled_from(["replace", "remove", "copy", "add"]))
        if action == "remove":
            del holder[key]
        elif action == "copy":
            other, at = known[draw(st.integers(0, len(known) - 1))]
            holder[key] = copy.deepcopy(other[at]) if at in range_of(other) else None
        elif action == "add" and isinstance(holder, dict):
            names = ["parsed_body", "content", "body", "base64", "text", "events", "json", "chunks"]
            names += ["outcome", "attempt", "lane", "took", "said", "keys", "deltas", "pieces"]
            holder[draw(st.sampled_from(names))] = copy.deepcopy(draw(ODD))
        else:
            holder[key] = copy.deepcopy(draw(ODD))
    return document


def range_of(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


@pytest.mark.slow
@given(odd_documents())
@FUZZED
def test_a_document_of_odd_values_is_read_or_refused(document: Any) -> None:
    file = read(yaml.dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))
    if file is not None:
        # What was read can be written: nothing is half a cassette.
        render(file)


# --- what is made to hurt --------------------------------------------------------------


def laughing(levels: int, line: bytes) -> bytes:
    """Aliases of aliases: each level is nine times the one before."""
    names = [b"a%d" % level for level in range(levels)]
    pairs = pairwise(names)
    first = b"- &a0 {x: lol}\n"
    return first + b"".join(
        b"- &%b %b\n" % (name, line % b", ".join([b"*" + before] * 9)) for before, name in pairs
    )


BOMBS = {
    "laughs": laughing(12, b"[%b]"),
    "merged laughs": laughing(9, b"{<<: [%b]}"),
    "a list in itself": b"interactions: &a [*a]",
    "a mapping in itself": b"&a {interactions: [*a]}",
    "a merge of itself": b"&a {<<: *a, interactions: []}",
    "a tower of brackets": b"[" * 100_000,
    "a tower of JSON": b"[" * 100_000 + b"]" * 100_000,
    "a tower of objects": b'{"interactions":' * 50_000,
    "a staircase": b"".join(b" " * step + b"a:\n" for step in range(2_000)),
    "a tower of dashes": b"- " * 50_000,
    "a number to the base of 60": b"interactions: " + b":".join([b"59"] * 100_000),
    "a fraction to the base of 60": b"interactions: " + b":".join([b"59"] * 10_000) + b".5",
    "a long number": b"interactions: " + b"9" * 1_000_000,
    "a long JSON number": b'{"interactions": ' + b"9" * 1_000_000 + b"}",
    "a long hexadecimal number": b"interactions: 0x" + b"f" * 1_000_000,
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_what_would_unfold_without_end_is_refused(data: bytes) -> None:
    with pytest.raises(CassetteFileError, match=re.escape(str(PATH))):
        parse(data, PATH)


def test_a_body_that_unpacks_to_more_than_any_answer_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_foreign, "_MOST_UNPACKED_BYTES", 1 << 20)
    bomb = gzip.compress(bytes((1 << 20) + 1))
    response = {"status": 200, "headers": {"content-encoding": "gzip"}, "body": {"string": bomb}}
    exchange = {"request": {"method": "GET", "uri": "https://h"}, "response": response}

    with pytest.raises(CorruptCassetteError, match="unpacks to more than 1 MB"):
        parse(yaml.safe_dump({"interactions": [exchange]}).encode(), PATH)


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_a_body_packed_otherwise_is_bounded_too(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(_foreign, "_MOST_UNPACKED_BYTES", 1 << 20)
    if encoding == "br":
        bomb = pytest.importorskip("brotli").compress(bytes((1 << 20) + 1))
    else:
        name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
        bomb = pytest.importorskip(name).compress(bytes((1 << 20) + 1))
    response = {"status": 200, "headers": {"content-encoding": encoding}, "body": {"string": bomb}}
    exchange = {"request": {"method": "GET", "uri": "https://h"}, "response": response}

    with pytest.raises(CorruptCassetteError, match="unpacks to more than 1 MB"):
        parse(yaml.safe_dump({"interactions": [exchange]}).encode(), PATH)


def test_aliases_that_only_repeat_something_are_read() -> None:
    exchange = "{request: {method: GET, uri: https://h, headers: %s}, response: {status: 200}}"
    data = f"interactions:\n- {exchange % '&h {a: [b]}'}\n- {exchange % '*h'}\n"

    file = read(data.encode())

    assert file is not None
    assert [each.request.headers for each in file.interactions] == [(("a", "b"),)] * 2


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        pytest.param("a: 1\nb: 2026-13-45\n", 2, "looks like a YAML timestamp", id="date"),
        pytest.param("a: 1\nb: !!int x\n", 2, "looks like a YAML int", id="number"),
        pytest.param("a: 1\nb: !!bool x\n", 2, "looks like a YAML bool", id="bool"),
        pytest.param("a: 1\nb: [\n", 2, "did not find expected", id="end"),
        pytest.param("a: 1\n\tb: 1\n", 2, "tab character", id="tab"),
        pytest.param("a: 1\nb: \x00\n", 2, "control characters", id="nul"),
        pytest.param("a: 1\n- b\n", 2, "did not find expected key", id="block"),
        pytest.param("mnemosyne: 1\ninteractions: {}\n", 2, "a list is expected", id="shape"),
        pytest.param("mnemosyne: one\n", 1, "is no format number", id="format"),
    ],
)
def test_damage_is_told_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(CorruptCassetteError, match=what) as caught:
        parse(text.encode(), PATH)

    assert caught.value.line == line
    assert f"{PATH}:{line}: " in str(caught.value)
    assert "restore the cassette from version control or record it anew" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "was_one"),
    [
        pytest.param(b"[tool.pytest]\nmnemosyne_mode = [\n", False, id="toml"),
        pytest.param(b"import json\n  x = {1: [\n", False, id="python"),
        pytest.param(b"\x00" * 64, False, id="nothing"),
        pytest.param(b"", True, id="empty"),
        pytest.param(b"mnemosyne: 1\ninteractions: [\n", True, id="ours"),
        pytest.param(b"<<<<<<< HEAD\ninteractions:\n- {\n", True, id="merge"),
        pytest.param(b'{"version": 1, "interactions": [{', True, id="json"),
        pytest.param(b'{"log": {"entries": [', True, id="har"),
    ],
)
def test_damage_to_what_never_was_a_cassette_asks_whether_it_is_one(
    data: bytes, was_one: bool
) -> None:
    with pytest.raises(CorruptCassetteError) as caught:
        parse(data, PATH)

    assert caught.value.looks_recorded is was_one
    assert ("is this a cassette?" in str(caught.value)) is not was_one


def test_a_format_of_the_future_says_what_reads_it() -> None:
    with pytest.raises(UnknownFormatError, match="upgrade pytest-mnemosyne") as caught:
        parse(b"mnemosyne: 2\nwhatever: {}\n", PATH)

    assert (caught.value.found, caught.value.known) == (2, 1)


# --- what is no file -------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to itself", "socket"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.yaml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "link to itself":
            path.symlink_to(path)
        case _:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))

    with pytest.raises(CassetteReadError, match="make it a file that you may read"):
        load(path)


def test_a_link_to_nowhere_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.symlink_to(tmp_path / "nowhere")

    with pytest.raises(FileNotFoundError):
        load(path)
