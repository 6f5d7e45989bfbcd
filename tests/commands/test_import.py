from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_mnemosyne.cassette import load

from .conftest import Cassettes

URL = "https://api.anthropic.com/v1/messages"
KEY = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"


def vcrpy(*urls: str, key: str = "") -> str:
    """A file of vcrpy with one exchange for each URL."""
    asked = {"method": "POST", "headers": {"X-Api-Key": [key], "Host": ["h"]}, "body": '{"a":1}'}
    answered = {"status": {"code": 200, "message": ""}, "headers": {}, "body": {"string": "{}"}}
    exchanges = [{"request": {**asked, "uri": url}, "response": answered} for url in urls]
    return yaml.safe_dump({"interactions": exchanges, "version": 1})


def test_a_recording_becomes_a_cassette(cassettes: Cassettes, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(vcrpy(URL, key=KEY), "utf-8")

    ran = cassettes("import", tmp_path / "old.yaml", "-o", tmp_path / "new" / "x.yaml")

    assert (ran.exit_code, ran.stdout) == (0, f"{tmp_path}/new/x.yaml: 1 interaction\n")
    made = load(tmp_path / "new" / "x.yaml")
    (one,) = made.interactions
    assert made.container == "mnemosyne"
    assert made.recorded is not None
    assert made.recorded.source == "import of old.yaml (vcrpy)"
    assert one.request.body == b'{"a":1}'
    # Headers are kept by allow-list, so no key and no host.
    assert one.request.headers == ()


@pytest.mark.parametrize(
    ("option", "kept", "told"),
    [
        pytest.param([], [URL], "1 interaction (1 with other hosts dropped)", id="dropped"),
        pytest.param(
            ["--keep-other-hosts"], ["https://example.com/a", URL], "2 interactions", id="kept"
        ),
    ],
)
def test_exchanges_with_other_hosts_are_dropped_unless_told_otherwise(
    cassettes: Cassettes, tmp_path: Path, option: list[str], kept: list[str], told: str
) -> None:
    (tmp_path / "old.yaml").write_text(vcrpy("https://example.com/a", URL), "utf-8")

    ran = cassettes("import", tmp_path / "old.yaml", "-o", tmp_path / "x.yaml", *option)

    assert ran.stdout == f"{tmp_path}/x.yaml: {told}\n"
    assert [one.request.url for one in load(tmp_path / "x.yaml").interactions] == kept


def test_a_folder_keeps_its_paths(cassettes: Cassettes, tmp_path: Path) -> None:
    for name in ("a/x.yaml", "a/x.json", "a/[b c].yml", ".hidden/x.yaml"):
        path = tmp_path / "old" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(vcrpy(URL), "utf-8")

    ran = cassettes("import", tmp_path / "old", "-o", tmp_path / "new")

    assert ran.exit_code == 0
    made = sorted(path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*.yaml"))
    # Of two that would have the same name the other keeps its own.
    assert list(map(str, made)) == ["a/[b c].yaml", "a/x.json.yaml", "a/x.yaml"]


def test_what_holds_nothing_to_import_is_left_out_of_a_folder(
    cassettes: Cassettes, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "a.json").write_text('{"name": "a package"}', "utf-8")
    (old / "b.yaml").write_text(vcrpy("https://example.com/"), "utf-8")
    (old / "c.yaml").write_text("mnemosyne: 1\ninteractions: []\n", "utf-8")
    (old / "d.yaml").write_text(vcrpy(URL), "utf-8")

    ran = cassettes("import", old, "-o", tmp_path / "new")

    assert ran.exit_code == 0
    assert ran.stdout.splitlines() == [
        f"{old}/a.json: left out, data without recorded exchanges",
        f"{old}/b.yaml: left out, nothing in it is a call to Claude",
        f"{old}/c.yaml: left out, it has this project's format already",
        f"{tmp_path}/new/d.yaml: 1 interaction",
    ]


def test_a_folder_without_recordings_is_refused(cassettes: Cassettes, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing", "utf-8")

    ran = cassettes("import", tmp_path, "-o", tmp_path / "new")

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"mnemosyne: there is nothing to import in {tmp_path}; ")


def test_one_file_that_fails_does_not_keep_the_others(cassettes: Cassettes, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (old / "a.yaml").write_text("interactions: 7\n- x", "utf-8")
    (old / "b.yaml").write_text(vcrpy(URL), "utf-8")
    (new / "b.yaml").write_text("mine", "utf-8")
    (old / "c.yaml").write_text(vcrpy(URL), "utf-8")

    ran = cassettes("import", old, "-o", new)

    assert ran.exit_code == 1
    assert ran.stdout == f"{new}/c.yaml: 1 interaction\n"
    damaged, exists = ran.stderr.splitlines()
    assert damaged.startswith(f"mnemosyne: {old}/a.yaml:2: no YAML: ")
    assert exists.startswith(f"mnemosyne: {new}/b.yaml exists; ")
    assert (new / "b.yaml").read_text("utf-8") == "mine"


def test_force_replaces_files(cassettes: Cassettes, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(vcrpy(URL), "utf-8")

    ran = cassettes("import", path, "-o", path, "--force")

    assert ran.exit_code == 0
    assert load(path).container == "mnemosyne"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        pytest.param(None, "there is no ", id="missing"),
        pytest.param("{}", "is not imported: data without recorded exchanges", id="no-recording"),
        pytest.param("mnemosyne: 1\ninteractions: []\n", "format already", id="ours"),
        pytest.param(vcrpy("https://example.com/"), "is a call to Claude", id="other-hosts"),
    ],
)
def test_a_single_file_with_nothing_to_import_is_refused(
    cassettes: Cassettes, tmp_path: Path, written: str | None, told: str
) -> None:
    if written is not None:
        (tmp_path / "old.yaml").write_text(written, "utf-8")

    ran = cassettes("import", tmp_path / "old.yaml", "-o", tmp_path / "x.yaml")

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert told in ran.stderr
    assert not (tmp_path / "x.yaml").exists()


SSE = b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n'
BOUNDARY = {"Content-Type": ["multipart/form-data; boundary=b0"]}
FORM = b'--b0\r\ncontent-disposition: form-data; name="file"\r\n\r\n\xff\x00\r\n--b0--\r\n'


def exchange(**changed: Any) -> dict[str, Any]:
    asked = {"method": "POST", "uri": URL, "headers": {}, "body": '{"a": 1}'}
    answered = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": "{}"}}
    return {
        "request": asked | changed.get("request", {}),
        "response": {**answered, **changed.get("response", {})},
    }


def one(**changed: Any) -> dict[str, Any]:
    return {"version": 1, "interactions": [exchange(**changed)]}


@pytest.mark.parametrize(
    ("document", "asked", "status", "answered"),
    [
        pytest.param(
            one(request={"body": None, "parsed_body": {"a": 1}}),
            b'{"a":1}', 200, b"{}", id="1-parsed-body",
        ),
        pytest.param(
            {
                "version": 1,
                "interactions": [
                    {
                        "request": exchange()["request"],
                        "response": {"status_code": 200, "headers": {}, "content": "hello"},
                    }
                ],
            },
            b'{"a": 1}', 200, b"hello", id="2-content-and-status-code",
        ),
        pytest.param(
            {"interactions": [exchange()]}, b'{"a": 1}', 200, b"{}", id="4-no-version"
        ),
        pytest.param(
            one(response={
                "headers": {"Content-Encoding": ["gzip"]}, "body": {"string": gzip.compress(SSE)},
            }),
            b'{"a": 1}', 200, SSE, id="5-gzip-bytes",
        ),
        pytest.param(
            one(response={
                "headers": {"Content-Encoding": ["gzip"]}, "body": {"string": "plain"},
            }),
            b'{"a": 1}', 200, b"plain", id="6-gzip-in-name-only",
        ),
        pytest.param(
            one(response={"headers": {"Content-Length": ["7"], "Transfer-Encoding": ["chunked"]}}),
            b'{"a": 1}', 200, b"{}", id="7-wrong-length",
        ),
        pytest.param(
            one(response={"body": {"string": SSE.decode()}}),
            b'{"a": 1}', 200, SSE, id="8-9-stream-without-headers-crlf",
        ),
        pytest.param(
            one(request={"body": '{\n  "a": 1\n}'}),
            b'{\n  "a": 1\n}', 200, b"{}", id="12-indented",
        ),
        pytest.param(
            one(request={"headers": BOUNDARY, "body": base64.b64encode(FORM).decode()}),
            FORM, 200, b"{}", id="13-multipart",
        ),
        pytest.param(
            one(request={"method": "delete", "body": ""}), b"", 200, b"{}", id="14-empty-body"
        ),
        pytest.param(
            one(request={"uri": f"{URL}?beta=true"}), b'{"a": 1}', 200, b"{}", id="16-beta"
        ),
        pytest.param(
            one(response={"headers": {"CONTENT-TYPE": "application/json"}}),
            b'{"a": 1}', 200, b"{}", id="17-header-as-text",
        ),
        pytest.param(
            one(response={"status": {"code": 529, "message": ""}}),
            b'{"a": 1}', 529, b"{}", id="18-empty-status-message",
        ),
    ],
)  # fmt: skip
def test_the_peculiarities_of_vcrpy_survive_the_import(
    cassettes: Cassettes,
    tmp_path: Path,
    document: dict[str, Any],
    asked: bytes,
    status: int,
    answered: bytes,
) -> None:
    (tmp_path / "old [a b].yaml").write_text(yaml.safe_dump(document), "utf-8")

    ran = cassettes("import", tmp_path / "old [a b].yaml", "-o", tmp_path / "x.yaml")

    assert ran.exit_code == 0, ran.stderr
    (made,) = load(tmp_path / "x.yaml").interactions
    assert made.response is not None
    assert made.request.body == asked
    assert (made.response.status, made.response.body) == (status, answered)


def test_identical_requests_keep_their_order(cassettes: Cassettes, tmp_path: Path) -> None:
    overloaded = exchange(response={"status": {"code": 529, "message": ""}})
    document = {"version": 1, "interactions": [overloaded, exchange()]}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(document), "utf-8")

    cassettes("import", tmp_path / "old.yaml", "-o", tmp_path / "x.yaml")

    made = load(tmp_path / "x.yaml").interactions
    assert [one.response.status for one in made if one.response is not None] == [529, 200]
