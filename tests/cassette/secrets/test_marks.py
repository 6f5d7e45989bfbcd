"""A mark says which secret stood there, and is the same whatever its value is."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteMissError,
    Indistinct,
    Interaction,
    RecordMode,
    Redactor,
    Request,
    load,
    write,
)
from tests.cassette.files._make import compact, interaction

from .planting import ESCAPES, IN_REQUEST, Spelling

KEYS = {"OUR_KEY": "sk-ant-api03-Ours-0123456789", "THEIR_KEY": "sk-ant-api03-Theirs-987654321"}


def asking(text: str, answer: str = "hello", lane: Lane | None = None) -> Interaction:
    body = {"messages": [{"role": "user", "content": text}]}
    return interaction(body, compact({"said": answer}), lane=lane)


def played(path: Path, secrets: dict[str, str], text: str) -> bytes:
    """The answer that a replay has for a text, asked by whoever knows these secrets."""
    cassette = Cassette(path, mode=RecordMode.REPLAY, redactor=lambda: Redactor(secrets))
    answer = cassette.answer(asking(text).request, None)
    assert answer is not None
    assert answer.response is not None
    return answer.response.body


# --- whose secret it was ---------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A cassette with the same question about two keys."""
    path = tmp_path / "test_x.yaml"
    calls = tuple(asking(f"is {key} mine?", name) for name, key in KEYS.items())
    write(path, CassetteFile(interactions=calls), redactor=Redactor(KEYS))
    return path


def test_requests_that_name_two_secrets_keep_their_own_answers(recorded: Path) -> None:
    for name in ("THEIR_KEY", "OUR_KEY"):
        assert name.encode() in played(recorded, KEYS, f"is {KEYS[name]} mine?")


def test_a_request_replays_for_whoever_has_the_variable(recorded: Path) -> None:
    stand_ins = {"OUR_KEY": "our-stand-in", "THEIR_KEY": "another-one-of-theirs"}

    assert b"THEIR_KEY" in played(recorded, stand_ins, "is another-one-of-theirs mine?")


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ({"A_KEY": KEYS["OUR_KEY"]}, "is <redacted:[-OUR-]{+A+}_KEY> mine?"),
        ({}, "is <redacted:[-OUR_KEY-]{+anthropic-key+}> mine?"),
    ],
    ids=["under-another-name", "by-its-look"],
)
def test_a_request_with_another_secret_misses_and_both_are_named(
    tmp_path: Path, secrets: dict[str, str], words: str
) -> None:
    call = asking(f"is {KEYS['OUR_KEY']} mine?")
    path = tmp_path / "x.yaml"
    write(path, CassetteFile(interactions=(call,)), redactor=Redactor(KEYS))

    with pytest.raises(CassetteMissError) as missed:
        played(path, secrets, f"is {KEYS['OUR_KEY']} mine?")

    assert words in missed.value.miss.words


def test_of_several_names_for_one_value_marks_have_the_first() -> None:
    redactor = Redactor({"FIRST": "hunter2-hunter2", "A_SECOND": "hunter2-hunter2"})

    assert redactor.redact(b"say hunter2-hunter2") == b"say <redacted:FIRST>"


# --- older files -----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["is {} mine?", "Authorization: Bearer {}.", "x{}y"])
def test_a_file_from_before_marks_had_names_plays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test_x.yaml"
    text = text.format(KEYS["OUR_KEY"])
    old = Redactor(KEYS).older.request(asking(text).request)
    write(path, CassetteFile(interactions=(replace(asking("", "old"), request=old),)))
    assert b"<redacted>" in old.body

    assert b"old" in played(path, KEYS, text)


def test_of_an_older_answer_and_one_of_today_the_latter_is_played(
    tmp_path: Path, recorded: Path
) -> None:
    today = load(recorded).interactions
    old = asking("is <redacted> mine?", "old")
    path = tmp_path / "both.yaml"
    write(path, CassetteFile(interactions=(old, *today)))
    cassette = Cassette(path, mode=RecordMode.REPLAY, redactor=lambda: Redactor(KEYS))

    answers = [cassette.answer(asking(f"is {KEYS['OUR_KEY']} mine?").request, None) for _ in "12"]

    assert [each and each.response and each.response.body for each in answers] == [
        compact({"said": "OUR_KEY"}),
        compact({"said": "old"}),
    ]


def test_a_request_without_a_secret_is_not_tried_with_the_older_mark(recorded: Path) -> None:
    redactor = Redactor(KEYS)
    cassette = Cassette(recorded, mode=RecordMode.REPLAY, redactor=lambda: redactor)

    with pytest.raises(CassetteMissError):
        cassette.answer(asking("is nothing mine?").request, None)
    assert "older" not in vars(redactor)

    with pytest.raises(CassetteMissError):
        cassette.answer(asking(f"is {KEYS['OUR_KEY']} yours?").request, None)
    assert "older" in vars(redactor)


# --- the same mark for every value -----------------------------------------------------

VALUES = ('c4nary/Pass="word"+9z', "hunter2-hunter2", "another?one~two>3", "s3cr3t", "a b c d e f")

WRAPPINGS: dict[str, Spelling] = {
    "none": lambda text: text,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of base64": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 of json": lambda text: base64.b64encode(json.dumps([text]).encode()).decode(),
    "gzip": lambda text: base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode(),
}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    wrapping=st.sampled_from(sorted(WRAPPINGS)),
    escapes=st.lists(st.sampled_from(sorted(ESCAPES)), max_size=2),
    place=st.sampled_from(sorted(IN_REQUEST)),
    around=st.sampled_from(["{}", "log in with {} now", "x{}y", "x-{}_", "Bearer {}. Go on."]),
    values=st.lists(st.sampled_from(VALUES), min_size=2, max_size=2, unique=True),
)
def test_a_request_is_kept_the_same_for_every_value(
    wrapping: str, escapes: list[str], place: str, around: str, values: list[str]
) -> None:
    def kept(value: str) -> bytes:
        text = WRAPPINGS[wrapping](around.format(value))
        for name in escapes:
            text = ESCAPES[name](text)
        return Redactor({"DB_PASSWORD": value}).redact(IN_REQUEST[place](text))

    assert kept(values[0]) == kept(values[1])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("use {}.", "use <redacted:OUR_KEY>.", id="end-of-sentence"),
        pytest.param("Bearer {}.", "Bearer <redacted:OUR_KEY>.", id="end-of-bearer"),
        pytest.param(
            "Bearer {}\\u002e", "Bearer <redacted:OUR_KEY>\\u002e", id="end-of-bearer-in-escapes"
        ),
        pytest.param("{}=", "<redacted:OUR_KEY>=", id="sign"),
        # A part of a longer key, perhaps.
        pytest.param("x{}y.", "x<redacted:OUR_KEY>.", id="letters-behind"),
        pytest.param("Bearer me-{}", "Bearer <redacted:OUR_KEY>", id="letters-before"),
        pytest.param(
            "Bearer {}.{}", "Bearer <redacted:OUR_KEY>.<redacted:OUR_KEY>", id="two-in-one"
        ),
    ],
)
def test_a_known_value_comes_before_what_only_looks_like_a_key(text: str, kept: str) -> None:
    key = KEYS["OUR_KEY"]

    redacted = Redactor(KEYS).redact(text.replace("{}", key).encode())

    assert redacted.decode() == kept


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("name", ["EVEN_KEY", "AN_ODD_KEY"])
@pytest.mark.parametrize("text", ["{}", "log in with {} now", "née {}"])
def test_a_mark_is_as_wide_as_the_text_around_it(encoding: str, name: str, text: str) -> None:
    data = text.format("hunter2-hunter2").encode(encoding)

    redacted = Redactor({name: "hunter2-hunter2"}).redact(data)

    assert redacted.decode(encoding) == text.format(f"<redacted:{name}>")


# --- what a mark may hold --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("npm_config_//npm.corp.test/:_authToken", "npm_config__npm.corp.test__authToken"),
        ('QUOTED"\\KEY', "QUOTED_KEY"),
        ("SCHLÜSSEL", "SCHL_SSEL"),
    ],
)
def test_a_name_that_some_notation_would_escape_is_spelled_without(name: str, mark: str) -> None:
    body = compact({"a": ["hunter2-hunter2"]})

    redacted = Redactor({name: "hunter2-hunter2"}).redact(body)

    assert json.loads(redacted) == {"a": [f"<redacted:{mark}>"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("hunter2-hunter2", "hunter2-hunter2", id="itself"),
        pytest.param("MY_hunter2_KEY", "hunter2", id="a-part"),
        pytest.param("a//b/c_d_KEY", "a_b_c_d", id="a-part-as-it-is-spelled"),
        pytest.param("AKIAIOSFODNN7EXAMPLE", "hunter2-hunter2", id="what-looks-like-a-key"),
    ],
)
def test_a_name_that_holds_a_secret_is_left_out(name: str, value: str) -> None:
    redactor = Redactor({name: value})

    assert redactor.redact(f"say {value} now".encode()) == b"say <redacted> now"


@given(
    secrets=st.dictionaries(
        st.text("abcdef_KEY:<>/ü", min_size=1, max_size=12),
        st.text("abcdef_KEY:<>", min_size=6, max_size=12),
        min_size=1,
        max_size=4,
    )
)
@settings(deadline=None, max_examples=30)
def test_no_mark_is_a_secret(secrets: dict[str, str]) -> None:
    redactor = Redactor(secrets)
    for value in secrets.values():
        redacted = redactor.redact(value.encode())

        # Where the mark without a name holds one, nothing is written: see `SecretFoundError`.
        assert redactor.find(redacted) is None or redactor.find(b"<redacted>") is not None
        assert redacted.startswith(b"<redacted")


# --- requests that become one ----------------------------------------------------------

A, B = "sk-ant-api03-AAAABBBB0001", "sk-ant-api03-AAAABBBB0002"


def told(tmp_path: Path, *calls: Interaction, redactor: Redactor | None = None) -> list[Indistinct]:
    found: list[Indistinct] = []
    file = CassetteFile(interactions=calls)
    write(tmp_path / "x.yaml", file, redactor=redactor, on_indistinct=found.append)
    return found


def test_requests_that_differ_in_unnamed_keys_alone_are_told(tmp_path: Path) -> None:
    calls = (asking(f"is {A} mine?"), asking("hello"), asking(f"is {B} mine?"))

    (found,) = told(tmp_path, *calls)

    assert found == Indistinct((1, 3), "messages[0] (user)")


def test_names_in_json_that_are_keys_become_one_name_and_are_told(tmp_path: Path) -> None:
    asked = asking("hello")
    bodies = [
        b'{"model": "m", "seen": {"%b": %d, "%b": 3}}' % (A.encode(), n, B.encode()) for n in (1, 2)
    ]
    calls = [replace(asked, request=replace(asked.request, body=body)) for body in bodies]

    (found,) = told(tmp_path, *calls)

    assert found.interactions == (1, 2)


def test_keys_in_urls_are_told_as_well(tmp_path: Path) -> None:
    calls = tuple(replace(asking("hello"), request=_fetching(key)) for key in (A, B))

    (found,) = told(tmp_path, *calls)

    assert found == Indistinct((1, 2), "the URL")


def _fetching(key: str) -> Request:
    return Request(method="GET", url=f"https://api.anthropic.com/v1/files/{key}")


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([asking(f"is {A} mine?"), asking(f"is {A} mine?")], id="the-same"),
        pytest.param([asking(f"is {A} mine?"), asking(f"is {B} yours?")], id="other-words"),
        pytest.param(
            [
                asking(f"is {A} mine?", lane=Lane("executor")),
                asking(f"is {B} mine?", lane=Lane("reviewer")),
            ],
            id="two-roles",
        ),
        pytest.param([asking("is it mine?"), asking("is it mine?")], id="no-secret"),
    ],
)
def test_what_can_be_told_apart_is_not_told(tmp_path: Path, calls: list[Interaction]) -> None:
    assert told(tmp_path, *calls) == []


def test_keys_with_names_are_not_told(tmp_path: Path) -> None:
    calls = [asking(f"is {A} mine?"), asking(f"is {B} mine?")]

    assert told(tmp_path, *calls, redactor=Redactor({"A_KEY": A, "B_KEY": B})) == []
