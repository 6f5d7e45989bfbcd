from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cassettes
from .making import call, cassette, message, text, user

KEY = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"
YES = message(text("Yes."))


def found(cassettes: Cassettes, path: Path) -> list[str]:
    """What is found in a file, without its name."""
    ran = cassettes("check", path)
    *lines, last = ran.stdout.splitlines()
    assert ran.exit_code == (1 if lines else 0)
    assert last.startswith(f"{len(lines) or 'no'} finding")
    return [line.removeprefix(str(path)) for line in lines]


def test_a_clean_cassette_has_no_findings(cassettes: Cassettes, tmp_path: Path) -> None:
    cassette(tmp_path / "x.yaml", call([user("Hi")], YES))

    ran = cassettes("check", tmp_path)

    assert (ran.exit_code, ran.stdout) == (0, "no findings in 1 file\n")


RUBY = {
    "http_interactions": [
        {
            "request": {"method": "post", "uri": "https://api.anthropic.com/v1/messages"},
            "response": {"status": {"code": 200}, "body": {"string": f"my key is {KEY}"}},
        }
    ]
}
GO = {
    "interactions": [
        {
            "request": {
                "method": "POST",
                "url": "https://api.anthropic.com/v1/messages",
                "headers": {"X-Api-Key": [KEY]},
            },
            "response": {"code": 200},
        }
    ]
}
HAR = {
    "log": {
        "entries": [
            {
                "request": {
                    "method": "POST",
                    "url": "https://api.anthropic.com/v1/messages",
                    "postData": {"text": base64.b64encode(KEY.encode()).decode()},
                },
                "response": {"status": 200},
            }
        ]
    }
}


@pytest.mark.parametrize(
    ("name", "document"),
    [
        pytest.param("x.yml", RUBY, id="ruby-vcr"),
        pytest.param("x.yaml", GO, id="go-vcr"),
        pytest.param("x.har", HAR, id="har"),
        pytest.param("x.json", GO["interactions"][0], id="single"),
        pytest.param("notes.txt", {"key": KEY}, id="no-cassette"),
    ],
)
def test_a_secret_in_anybodys_file_is_found_with_its_line(
    cassettes: Cassettes, tmp_path: Path, name: str, document: Any
) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(document, indent=1), "utf-8")
    lines = path.read_text("utf-8").splitlines()
    encoded = base64.b64encode(KEY.encode()).decode()
    number = next(n for n, line in enumerate(lines, 1) if KEY in line or encoded in line)

    findings = found(cassettes, path)

    assert any(finding.startswith(f":{number}: ") for finding in findings)
    assert KEY not in "".join(findings)


def test_the_value_of_a_variable_is_looked_for(
    cassettes: Cassettes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("interactions: []\nnote: correct horse battery\n", "utf-8")
    monkeypatch.setenv("PASSPHRASE", "correct horse battery")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "dummy")

    assert found(cassettes, path) == []
    ran = cassettes("check", path, "--secret", "PASSPHRASE")
    assert ran.exit_code == 1
    assert ran.stdout.startswith(f"{path}:2: PASSPHRASE in ")
    assert "horse" not in ran.stdout


def test_a_variable_that_is_not_set_is_refused(cassettes: Cassettes, tmp_path: Path) -> None:
    ran = cassettes("check", tmp_path, "--secret", "NOT_SET")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("mnemosyne: the variable NOT_SET is empty or not set")


HEAD = "mnemosyne: 1\nrecorded: {source: api}\n"
ONE = (
    "interactions:\n- request: {method: POST, path: /v1/messages, body: {messages: [m1]}}\n"
    "  response: {status: 200, body: {a: m3}}\n...\n"
)


@pytest.mark.parametrize(
    ("written", "findings"),
    [
        pytest.param(
            f"{HEAD}parts:\n  m1: {{}}\n  m2: {{}}\n  s1: {{}}\n{ONE}",
            [":5: no interaction uses m2, s1 of the parts"],
            id="unused-parts",
        ),
        pytest.param(
            f"{HEAD}parts: {{m1: a, m4: a, m5: b, m6: c, m7: d}}\n{ONE}",
            [":3: no interaction uses m4, m5, m6 and 1 more of the parts"],
            id="many-unused-parts",
        ),
        pytest.param(
            f"mnemosyne: 1\nparts: {{m1: a}}\n{ONE}",
            [":1: no header says where it comes from (recorded: {source: ...})"],
            id="no-header",
        ),
        pytest.param(
            f"mnemosyne: 1\nrecorded:\n  source: api\n  at: 2999-01-01T00:00:00Z\n"
            f"parts: {{m1: a}}\n{ONE}",
            [":4: recorded in the future, at 2999-01-01 00:00 UTC"],
            id="future",
        ),
        pytest.param(
            f"{HEAD}lossened: []\nparts: {{m1: a}}\n{ONE}",
            [":3: 'lossened' is no key of the format, so nothing reads it"],
            id="unknown-key",
        ),
        pytest.param(
            f"{HEAD}volatile: {{folders: [/mnemosyne/tmp]}}\nparts: {{m1: a}}\n{ONE}",
            [":3: volatile does not list the stand-ins that are in the file"],
            id="stand-ins",
        ),
        pytest.param(
            f"{HEAD}interactions: []\n...\n", [":3: there are no interactions in it"], id="empty"
        ),
        pytest.param(
            f"{HEAD}interactions:\n- request: {{method: GET, path: /v1/models}}\n...\n",
            [":4: it can never play: it is complete and has no response"],
            id="no-response",
        ),
        pytest.param(
            f"{HEAD}interactions:\n- request: {{method: GET, path: /v1/models}}\n"
            "  response:\n    status: 200\n    headers: {server: [x], request-id: [y]}\n...\n",
            [":7: headers of the response that are never stored: server"],
            id="headers",
        ),
        pytest.param(
            f"{HEAD}parts: {{m1: a}}\n{ONE}".removesuffix("...\n"),
            [":6: the file is cut off here"],
            id="cut-off",
        ),
        pytest.param(
            f"{HEAD}interactions: []\ninteractions: []\n...\n",
            [":4: the key 'interactions' stands twice, here and in line 3"],
            id="twice",
        ),
        pytest.param(
            "mnemosyne: 1\ninteractions: {}\n",
            [":2: interactions: interactions is a mapping, where a list is expected"],
            id="damaged",
        ),
        pytest.param("mnemosyne: 99\n", [": is a cassette of format 99, *"], id="newer"),
        pytest.param("a: [\n", [":1: no YAML: *"], id="no-yaml"),
        pytest.param("name: a package\n", [], id="something-else"),
        pytest.param("", ["the file is empty"], id="no-bytes"),
    ],
)
def test_what_is_wrong_with_a_cassette_is_told_with_its_line(
    cassettes: Cassettes, tmp_path: Path, written: str, findings: list[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(written, "utf-8")

    told = found(cassettes, path)

    assert len(told) == len(findings)
    for one, expected in zip(told, findings, strict=True):
        pytest.LineMatcher([one]).fnmatch_lines([f"*{expected.replace('[', '[[]')}"])


def test_what_cannot_be_looked_into_is_told(cassettes: Cassettes, tmp_path: Path) -> None:
    path = tmp_path / "x.msgpack.zlib"
    path.write_bytes(base64.b64encode(zlib.compress(b"x" * 99)))

    (finding,) = found(cassettes, path)
    assert finding.startswith(": cannot be looked into: it is base64 of zlib data")


def test_a_folder_is_looked_through_without_what_is_hidden(
    cassettes: Cassettes, tmp_path: Path
) -> None:
    for name in ("b/x.yaml", "a.txt", ".git/config", ".env"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"key: {KEY}\n", "utf-8")

    ran = cassettes("check", tmp_path, tmp_path / "a.txt")

    places = [line.partition(": ")[0] for line in ran.stdout.splitlines()]
    assert places == [f"{tmp_path}/a.txt:1", f"{tmp_path}/b/x.yaml:1", "2 findings in 2 files"]


def test_json_holds_the_findings_for_scripts(cassettes: Cassettes, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("mnemosyne: 1\ninteractions: []\n", "utf-8")

    ran = cassettes("check", path, "--json")

    report = json.loads(ran.stdout)
    assert ran.exit_code == 1
    assert report["files"] == 1
    assert report["findings"][0] == {
        "path": str(path),
        "line": 1,
        "what": "no header says where it comes from (recorded: {source: ...})",
    }


def test_a_path_that_is_not_there_is_trouble_and_no_finding(
    cassettes: Cassettes, tmp_path: Path
) -> None:
    ran = cassettes("check", tmp_path / "x.yaml")

    assert (ran.exit_code, ran.stdout) == (2, "no findings in 0 files\n")
    assert ran.stderr == f"mnemosyne: there is no {tmp_path / 'x.yaml'}; name a file that exists\n"


def test_what_cannot_be_read_keeps_nobody_from_looking_at_the_rest(
    cassettes: Cassettes, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text(f"key: {KEY}\n", "utf-8")

    ran = cassettes("check", tmp_path / "nowhere", tmp_path)

    assert ran.exit_code == 2
    first, last = ran.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/b.yaml:1: ")
    assert last == "1 finding in 1 file"
    assert ran.stderr.splitlines() == [
        f"mnemosyne: there is no {tmp_path}/nowhere; name a file that exists",
        f"mnemosyne: cannot read {tmp_path}/a.yaml: it is a pipe or a device and no file",
    ]


def test_a_folder_that_cannot_be_read_is_told_and_its_neighbours_are_looked_at(
    cassettes: Cassettes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("closed/a.yaml", "open/b.yaml"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(f"key: {KEY}\n", "utf-8")
    scandir = os.scandir

    def refusing(folder: str) -> Any:
        if folder.endswith("closed"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    ran = cassettes("check", tmp_path, "--json")

    report = json.loads(ran.stdout)
    assert ran.exit_code == 2
    assert [each["path"] for each in report["findings"]] == [str(tmp_path / "open/b.yaml")]
    assert report["unreadable"] == [f"cannot read the folder {tmp_path}/closed: Permission denied"]
    assert ran.stderr == f"mnemosyne: {report['unreadable'][0]}\n"
