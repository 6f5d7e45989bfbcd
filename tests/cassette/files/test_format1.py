"""Format 1 on the disk: what is written, and that the same comes back."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    CassetteFile,
    CassetteFileError,
    Chunk,
    CorruptCassetteError,
    Interaction,
    Outcome,
    Recorded,
    Request,
    Response,
    UnknownFormatError,
    UnreadableCassetteError,
    load,
    stored_form,
    write,
)
from pytest_mnemosyne.strategies import json_values

from ._make import ANSWER, QUESTION, STREAM, compact, interaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "test_x.yaml"


def written(path: Path, *interactions: Interaction) -> Any:
    """The plain data of the file that holds these."""
    write(path, CassetteFile(interactions=interactions))
    return yaml.safe_load(path.read_text("utf-8"))


def test_the_file_reads_as_the_format_is_drawn(path: Path) -> None:
    file = CassetteFile(
        recorded=Recorded(
            source="scripted",
            at=datetime(2026, 11, 22, 15, 0, tzinfo=UTC),
            test="tests/test_x.py::test_y",
            versions={"anthropic": "2.12.0"},
        ),
        interactions=(
            interaction(
                {"model": "m", "tools": [{"name": "t"}], "messages": [{"role": "user"}]},
                lane=Lane("executor"),
                took_s=1.204,
            ),
        ),
    )

    write(path, file)

    assert path.read_text("utf-8") == (
        "mnemosyne: 1\n"
        "recorded:\n"
        "  source: scripted\n"
        "  at: 2026-11-22T15:00:00Z\n"
        "  test: tests/test_x.py::test_y\n"
        "  with:\n"
        "    anthropic: 2.12.0\n"
        "loosened: []\n"
        "parts:\n"
        "  t1:\n"
        "  - name: t\n"
        "  m1:\n"
        "    role: user\n"
        "interactions:\n"
        "- lane: executor\n"
        "  attempt: 1\n"
        "  request:\n"
        "    method: POST\n"
        "    path: /v1/messages\n"
        "    headers: {content-type: [application/json]}\n"
        "    body:\n"
        "      model: m\n"
        "      tools: t1\n"
        "      messages: [m1]\n"
        "  response:\n"
        "    status: 200\n"
        "    headers: {content-type: [application/json]}\n"
        "    body:\n"
        "      id: msg_1\n"
        "      content:\n"
        "      - type: text\n"
        "        text: Hello\n"
        "  outcome: complete\n"
        "  took: 1.204\n"
        "...\n"
    )
    assert load(path) == file


def test_a_message_is_stored_once_however_often_it_is_sent_again(path: Path) -> None:
    turns = [{"role": "user", "content": f"turn {n}"} for n in range(4)]
    calls = [interaction({"system": "S", "messages": turns[: n + 1]}) for n in range(4)]

    document = written(path, *calls)

    assert document["parts"] == {
        "s1": "S",
        "m1": turns[0],
        "m2": turns[1],
        "m3": turns[2],
        "m4": turns[3],
    }
    assert document["interactions"][3]["request"]["body"]["messages"] == ["m1", "m2", "m3", "m4"]


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029", "\ufeff", "\r", "\x00", "\uffff"])
@pytest.mark.parametrize("beside", ["", "🎉"], ids=["alone", "with-emoji"])
def test_what_yaml_takes_for_a_line_break_is_a_character(
    path: Path, char: str, beside: str
) -> None:
    texts = [char, f"a{char}b", f"a\n{char}\nb", f"{char}a", beside]
    call = interaction({"messages": texts})

    write(path, CassetteFile(interactions=(call,)))

    assert json.loads(load(path).interactions[0].request.body)["messages"] == texts


def test_values_that_python_takes_for_equal_are_different_parts(path: Path) -> None:
    calls = [interaction({"messages": [{"n": value}]}) for value in (1, 1.0, True)]

    assert len(written(path, *calls)["parts"]) == 3
    assert load(path).interactions == tuple(map(stored_form, calls))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"messages": ["m1", "m2"], "system": "s1", "tools": "t1"}, id="names"),
        pytest.param({"messages": "m1", "system": None, "tools": []}, id="odd-types"),
        pytest.param(["m1"], id="no-object"),
        pytest.param("m1", id="text"),
        pytest.param(None, id="null"),
    ],
)
def test_a_request_that_looks_like_references_comes_back_as_it_was(path: Path, body: Any) -> None:
    call = interaction(body)

    write(path, CassetteFile(interactions=(call,)))

    assert load(path).interactions[0].request.body == compact(body)


def test_a_long_text_is_a_literal_block(path: Path) -> None:
    text = "First line\n\n  indented: yes\n# no comment\nlast, with a 🎉\n"

    written(path, interaction({"messages": [{"role": "user", "content": text}]}))

    assert "    content: |\n      First line\n\n        indented: yes\n" in path.read_text("utf-8")
    assert json.loads(load(path).interactions[0].request.body)["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("body", "key", "style"),
    [
        pytest.param(b'{"a":1,"b":"\xc3\xa9"}', "body", None, id="compact"),
        pytest.param(b'{"a": 1, "b": "\xc3\xa9"}', "body", "spaced", id="spaced"),
        pytest.param(b'{"a":1,"b":"\\u00e9"}', "body", "compact-ascii", id="ascii"),
        pytest.param(b'{\n  "a": 1,\n  "b": 2\n}', "body", "indent-2", id="indented"),
        pytest.param(b'{"a":1,"a":2}', "text", None, id="doubled-key"),
        pytest.param(b'{"a":1E5}', "text", None, id="another-spelling"),
        pytest.param(b'{"a":NaN}', "text", None, id="no-number"),
        pytest.param(b'{"a":%b}' % (b"9" * 1000), "body", None, id="long-number"),
        pytest.param(b'{"a":-%b}' % (b"9" * 1000), "text", None, id="too-long-number"),
        pytest.param(b'{"a":"\\ud800"}', "text", None, id="half-a-character"),
        pytest.param(
            b'{"a":"\\ud800","b":"\\u00e9"}', "text", None, id="half-a-character-among-escapes"
        ),
        pytest.param(b"[" * 100_000, "text", None, id="tower"),
        pytest.param(b"[" * 400 + b"]" * 400, "text", None, id="deep"),
        pytest.param(b"Bad credentials", "text", None, id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n\xff", "base64", None, id="binary"),
    ],
)
def test_a_body_is_as_readable_as_its_bytes_allow(
    path: Path, body: bytes, key: str, style: str | None
) -> None:
    response = written(path, interaction(body, body))["interactions"][0]["response"]

    assert key in response
    assert response.get("json") == style
    assert load(path).interactions[0].response == Response(
        status=200, headers=(("content-type", "application/json"),), body=body
    )
    assert load(path).interactions[0].request.body == body


def test_chunks_keep_their_boundaries_and_times(path: Path) -> None:
    chunks = (
        Chunk(data=STREAM[:50], at_s=0.25),
        Chunk(data=b"", at_s=0.3),
        Chunk(data=STREAM[50:], at_s=1.5),
    )

    document = written(path, interaction(answer=STREAM, chunks=chunks))

    assert document["interactions"][0]["response"]["chunks"][0] == [50, 0.25]
    response = load(path).interactions[0].response
    assert response is not None
    assert response.chunks == chunks


def test_an_exchange_without_an_answer_has_none(path: Path) -> None:
    call = Interaction(
        request=Request(method="POST", url="https://api.anthropic.com/v1/messages"),
        response=None,
        outcome=Outcome.RESET,
    )

    document = written(path, call)

    assert "response" not in document["interactions"][0]
    assert load(path).interactions == (call,)


def test_only_the_headers_on_the_list_are_stored(path: Path) -> None:
    call = interaction(
        request_headers=(
            ("authorization", "Bearer secret"),
            ("x-api-key", "secret"),
            ("cookie", "secret"),
            ("Anthropic-Version", "2026-10-21"),
            ("x-stainless-os", "Linux"),
        ),
        response_headers=(
            ("set-cookie", "secret"),
            ("anthropic-organization-id", "secret"),
            ("request-id", "req_1"),
            ("anthropic-ratelimit-requests-limit", "4"),
            ("retry-after", "2"),
        ),
    )

    written(path, call)

    assert "secret" not in path.read_text("utf-8")
    found = load(path).interactions[0]
    assert found.request.headers == (("anthropic-version", "2026-10-21"),)
    assert found.response is not None
    assert found.response.headers == (
        ("anthropic-ratelimit-requests-limit", "4"),
        ("request-id", "req_1"),
        ("retry-after", "2"),
    )


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        pytest.param(
            "http://127.0.0.1:4711/v1/messages?beta=true",
            "https://api.anthropic.com/v1/messages?beta=true",
            id="loopback",
        ),
        pytest.param("/v1/models", "https://api.anthropic.com/v1/models", id="path-alone"),
        pytest.param(
            "https://user:pass@Proxy.example.com:8443/v1/messages",
            "https://proxy.example.com:8443/v1/messages",
            id="other-host",
        ),
    ],
)
def test_the_origin_is_kept_where_it_means_something(path: Path, url: str, stored: str) -> None:
    written(path, interaction(url=url))

    assert load(path).interactions[0].request.url == stored


def test_what_a_person_writes_in_place_is_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(
        "mnemosyne: 1\n"
        "interactions:\n"
        "- request:\n"
        "    method: POST\n"
        "    path: /v1/messages\n"
        "    body: {messages: [{role: user, content: Hi}]}\n"
        "  response: {status: 200, body: {id: msg_1}}\n"
    )

    found = load(path).interactions[0]

    assert found.request.body == b'{"messages":[{"role":"user","content":"Hi"}]}'
    assert found.response == Response(status=200, body=b'{"id":"msg_1"}')


# --- damaged files ---------------------------------------------------------------------

REQUEST = "- request: {method: POST, path: /v1/messages}\n"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param("mnemosyne: 1\ninteractions: [\n", 2, "no YAML", id="yaml"),
        pytest.param("mnemosyne: 1\na: \x07\n", 2, "control characters", id="control"),
        pytest.param("", None, "the file is empty", id="empty"),
        pytest.param("mnemosyne: 1\n", 1, "interactions is missing", id="no-interactions"),
        pytest.param("mnemosyne: one\n", 1, "'one' is no format number", id="no-number"),
        pytest.param(
            "mnemosyne: 1\ninteractions: 3\n", 2, "interactions is a whole number", id="no-list"
        ),
        pytest.param(
            "mnemosyne: 1\ninteractions:\n- request: {method: POST}\n",
            3,
            "interactions.0.request: path is missing",
            id="no-path",
        ),
        pytest.param(
            f"mnemosyne: 1\ninteractions:\n{REQUEST}  outcome: exploded\n",
            4,
            "no outcome 'exploded'; there are complete, dropped",
            id="outcome",
        ),
        pytest.param(
            f"mnemosyne: 1\ninteractions:\n{REQUEST}  response:\n    status: 200\n"
            "    base64: '*'\n",
            6,
            "not base64",
            id="base64",
        ),
        pytest.param(
            f"mnemosyne: 1\ninteractions:\n{REQUEST}  response:\n    status: 200\n    json: nice\n"
            "    body: {}\n",
            6,
            "no JSON style 'nice'; there are compact, spaced",
            id="style",
        ),
        pytest.param(
            f"mnemosyne: 1\ninteractions:\n{REQUEST}  response:\n    status: 200\n    text: abc\n"
            "    chunks: [[2, 0.5]]\n",
            7,
            "the chunks hold 2 bytes and the body 3",
            id="chunks",
        ),
        pytest.param(
            f"mnemosyne: 1\ninteractions:\n{REQUEST}  response:\n    status: 200\n    events:\n"
            "    - {event: ping, data: {}}\n    - 7\n",
            8,
            "an event is a whole number, where a mapping is expected",
            id="event",
        ),
        pytest.param(
            "mnemosyne: 1\nvolatile: {names: [x]}\ninteractions: []\n",
            2,
            "names: the kinds are ids, folders, clock",
            id="kind-of-stand-ins",
        ),
        pytest.param(
            "mnemosyne: 1\nvolatile:\n  ids: [1]\ninteractions: []\n",
            3,
            "1 is a whole number, not a text",
            id="stand-in",
        ),
        pytest.param(
            "mnemosyne: 1\nparts: {m1: {}}\ninteractions:\n- request:\n    method: POST\n"
            "    path: /v1/messages\n    body: {messages: [m1, m2]}\n",
            7,
            "there is no part called 'm2'",
            id="dangling-name",
        ),
    ],
)
def test_a_damaged_file_is_named_with_line_and_problem(
    tmp_path: Path, text: str, line: int | None, problem: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)

    with pytest.raises(CorruptCassetteError) as caught:
        load(path)

    assert caught.value.line == line
    assert problem in caught.value.problem
    assert str(path) in str(caught.value)
    assert "record it anew" in str(caught.value)


def test_a_file_that_is_cut_anywhere_is_read_or_refused_but_never_a_bare_error(
    path: Path,
) -> None:
    write(path, CassetteFile(interactions=(interaction(), interaction(answer=STREAM))))
    whole = path.read_bytes()

    refused = 0
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        try:
            load(path)
        except (CorruptCassetteError, UnreadableCassetteError):
            refused += 1

    assert refused > 20


def test_a_newer_format_is_refused_with_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    path.write_text("mnemosyne: 2\nanything: else\n")

    with pytest.raises(UnknownFormatError, match="writes format 2") as caught:
        load(path)

    assert (caught.value.found, caught.value.known) == (2, 1)


# --- any exchange ----------------------------------------------------------------------

JSON = json_values(max_leaves=12)

JSON_BODIES = st.builds(
    lambda value, options: json.dumps(value, **options).encode("utf-8", "surrogatepass"),
    JSON,
    st.fixed_dictionaries(
        {
            "separators": st.sampled_from([(",", ":"), (", ", ": "), (" , ", ":")]),
            "ensure_ascii": st.booleans(),
            "indent": st.sampled_from([None, 2, 4]),
        }
    ),
)

QUESTIONS = st.builds(
    compact,
    st.fixed_dictionaries(
        {"messages": st.lists(JSON, max_size=3)}, optional={"system": JSON, "tools": JSON}
    ),
)

STREAMS = st.lists(
    st.builds(
        lambda name, data, end: b"event: " + name + b"\ndata: " + data + end,
        st.sampled_from([b"ping", b"content_block_delta", b""]),
        JSON_BODIES | st.binary(),
        st.sampled_from([b"\n\n", b"\r\n\r\n", b"  }\n\n", b""]),
    ),
    max_size=4,
).map(b"".join)

BODIES = st.binary() | JSON_BODIES | QUESTIONS | STREAMS | st.text().map(str.encode)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["content-type", "request-id", "Retry-After", "x-other"]), st.text()),
    max_size=4,
).map(tuple)


@st.composite
def responses(draw: st.DrawFn) -> Response:
    body = draw(BODIES)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
    bounds = [0, *cuts, len(body)] if cuts else []
    chunks = tuple(
        Chunk(data=body[start:end], at_s=draw(st.floats(0, 1e6))) for start, end in pairwise(bounds)
    )
    return Response(
        status=draw(st.integers(100, 599)), headers=draw(HEADERS), body=body, chunks=chunks
    )


INTERACTIONS = st.builds(
    Interaction,
    request=st.builds(
        Request,
        method=st.sampled_from(["GET", "POST", "delete"]),
        url=st.sampled_from(["https://api.anthropic.com", "https://example.com", ""]).flatmap(
            lambda origin: st.text().map(lambda path: f"{origin}/{path}")
        ),
        headers=HEADERS,
        body=BODIES,
    ),
    response=st.none() | responses(),
    outcome=st.sampled_from(Outcome),
    lane=st.none() | st.builds(Lane, st.text(), st.integers(1, 9)),
    took_s=st.floats(0, 1e6),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(interactions=st.lists(INTERACTIONS, max_size=3).map(tuple))
def test_any_exchange_comes_back_from_the_disk(
    path: Path, interactions: tuple[Interaction, ...]
) -> None:
    path.unlink(missing_ok=True)

    assert write(path, CassetteFile(interactions=interactions))

    assert load(path).interactions == tuple(map(stored_form, interactions))
    assert not write(path, CassetteFile(interactions=interactions))


WORDS = """
    mnemosyne recorded source at parts m1 interactions request response method path uri url
    headers body events event data status code text base64 json pad chunks string parsed_body
    log entries http_interactions outcome lane attempt took newline content
"""
KEYS = st.sampled_from(WORDS.split())
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 600) | st.text(max_size=4) | st.just("POST"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)
HALVES = st.dictionaries(KEYS, DOCUMENTS, max_size=6)
EXCHANGES = st.builds(
    lambda request, response, more: {
        "request": {"method": "POST", "path": "/", "uri": "/"} | request,
        "response": {"status": 200} | response,
        **more,
    },
    HALVES,
    HALVES,
    HALVES,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(head=st.sampled_from([{"mnemosyne": 1}, {}]), exchanges=st.lists(EXCHANGES), more=HALVES)
def test_any_data_is_a_cassette_or_refused_with_a_typed_error(
    tmp_path: Path, head: dict[str, Any], exchanges: list[Any], more: dict[str, Any]
) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump({**more, "interactions": exchanges, **head}), "utf-8")

    # Whatever else it raises fails the test.
    with contextlib.suppress(CassetteFileError):
        assert load(path).container in ("mnemosyne", "vcrpy", "ruby-vcr", "go-vcr", "har")


def test_the_stored_form_is_stored_as_it_is() -> None:
    once = stored_form(interaction(QUESTION, ANSWER, took_s=0.123456789))

    assert stored_form(once) == once
    assert once.took_s == 0.1235


def test_a_file_that_is_cut_off_anywhere_is_refused(path: Path) -> None:
    asked = {"system": "S", "messages": [{"role": "user", "content": "one\ntwo\nthree"}]}
    told = b'{"content":[{"type":"text","text":"Do not\\ndelete\\nanything."}]}'
    recorded = Recorded(source="scripted", at=datetime(2026, 11, 27, tzinfo=UTC))
    write(path, CassetteFile(interactions=(interaction(asked, told),), recorded=recorded))
    data = path.read_bytes()
    end = data.index(b"\n...")

    for length in range(end + 2, 0, -7):
        path.write_bytes(data[:length])
        with pytest.raises((CorruptCassetteError, UnreadableCassetteError)):
            load(path)


def test_a_file_that_a_person_writes_needs_no_end(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("mnemosyne: 1\ninteractions: []\n", encoding="utf-8")

    assert load(path).interactions == ()
