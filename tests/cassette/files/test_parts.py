"""What is stored once: messages, the beginnings of conversations, answers that come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import (
    CassetteFile,
    CorruptCassetteError,
    Interaction,
    Response,
    _parts,
)
from pytest_mnemosyne.cassette._file import render
from pytest_mnemosyne.cassette._findings import findings
from pytest_mnemosyne.cassette._reading import parse
from pytest_mnemosyne.strategies import json_values

from ._make import compact, interaction
from ._talks import JSON, exchange, streamed, talk

PATH = Path("cassettes/test_x.yaml")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(*interactions: Interaction) -> Any:
    """The plain data of the file that holds these, of which the same is read back."""
    data = render(CassetteFile(interactions=interactions))
    assert parse(data, PATH).interactions == interactions
    unused = [
        each.what for each in findings(data, PATH, now=NOW) if "no interaction uses" in each.what
    ]
    assert unused == []
    return yaml.safe_load(data)


def asked(*messages: object) -> Interaction:
    return interaction({"messages": list(messages)})


def listed(*interactions: Interaction) -> list[Any]:
    """The names of the messages of each."""
    written = document(*interactions)["interactions"]
    return [each["request"]["body"]["messages"] for each in written]


# --- the beginnings of conversations ---------------------------------------------------


def test_a_long_conversation_begins_with_a_history() -> None:
    written = document(asked(*range(20)))

    assert written["parts"]["h1"] == [f"m{at}" for at in range(1, 9)]
    assert written["parts"]["h2"] == ["..h1", *(f"m{at}" for at in range(9, 17))]
    assert written["interactions"][0]["request"]["body"]["messages"] == [
        "..h2",
        *("m17", "m18", "m19", "m20"),
    ]


def test_a_short_conversation_is_spelled_out() -> None:
    assert listed(asked(*range(8))) == [[f"m{at}" for at in range(1, 9)]]


def test_a_branch_shares_the_history_of_its_trunk() -> None:
    trunk, branch = [*range(12)], [*range(9), "else"]

    assert listed(asked(*trunk), asked(*branch)) == [
        ["..h1", "m9", "m10", "m11", "m12"],
        ["..h1", "m9", "m13"],
    ]


def test_an_edit_in_the_middle_begins_histories_of_its_own() -> None:
    before, after = [*range(18)], [*range(10), "edited", *range(11, 18)]

    assert listed(asked(*before), asked(*after)) == [
        ["..h2", "m17", "m18"],
        ["..h3", "m17", "m18"],
    ]


def test_the_same_message_may_stand_in_a_conversation_many_times() -> None:
    assert listed(asked(*["again"] * 10)) == [["..h1", "m1", "m1"]]


def test_a_history_that_nobody_needs_is_told() -> None:
    data = file_with("  m1: x\n  m2: y\n  h1: [m1]\n  h2: [..h1, m2]\n", "[..h1]")

    told = [each.what for each in findings(data, PATH, now=NOW)]

    assert "no interaction uses m2, h2 of the parts" in told


# --- answers that come back ------------------------------------------------------------

ANSWERED = {"id": "msg_1", "role": "assistant", "content": [{"type": "text", "text": "Hello"}]}


def talked(answer: object, *messages: object) -> tuple[Interaction, Interaction]:
    """An answer, and a request that is put afterwards."""
    return exchange({}, Response(status=200, headers=JSON, body=compact(answer))), asked(*messages)


@pytest.mark.parametrize(
    ("resent", "keys"),
    [
        pytest.param([{"type": "text", "text": "Hello"}], None, id="as-it-was"),
        pytest.param(
            [{"text": "Hello", "type": "text"}], [["type", "text"]], id="in-another-order"
        ),
        pytest.param("Hello", None, id="as-a-text"),
    ],
)
def test_an_answer_that_comes_back_is_stored_as_the_message(
    resent: object, keys: list[list[str]] | None
) -> None:
    message = {"role": "assistant", "content": resent}

    written = document(*talked(ANSWERED, message))

    response = written["interactions"][0]["response"]
    assert written["parts"]["m1"] == message
    assert response["said"] == response["body"]["content"] == "m1"
    assert (written["parts"][response["keys"]] if "keys" in response else None) == keys


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            ANSWERED, {"role": "user", "content": ANSWERED["content"]}, id="said-by-the-user"
        ),
        pytest.param(ANSWERED, {"role": "assistant", "content": "Hello!"}, id="with-another-word"),
        pytest.param(
            {"content": [{"n": 1}]},
            {"role": "assistant", "content": [{"n": 1.0}]},
            id="one-and-1.0",
        ),
        pytest.param(
            {"content": [{"n": 1, "m": None}]},
            {"role": "assistant", "content": [{"n": 1}]},
            id="with-an-empty-field-less",
        ),
        pytest.param(
            {"content": [{"a": 1, "b": 2}, {"b": 1, "a": 2}]},
            {"role": "assistant", "content": [{"a": 1, "b": 2}, {"a": 1, "b": 2}]},
            id="in-two-orders",
        ),
        pytest.param({"content": []}, {"role": "assistant", "content": []}, id="nothing"),
        pytest.param({"content": "m1"}, {"role": "assistant", "content": "m1"}, id="a-name"),
    ],
)
def test_what_is_not_the_same_is_stored_beside_it(answer: object, message: object) -> None:
    response = document(*talked(answer, message))["interactions"][0]["response"]

    assert "said" not in response
    assert response["body"] == answer


def test_a_stream_that_comes_back_keeps_only_where_it_was_cut() -> None:
    turns = list(talk(2))

    written = document(*(turn.streamed() for turn in turns))

    first, last = (each["response"] for each in written["interactions"])
    runs = [item for item in first["events"] if "deltas" in item]
    assert first["said"] == "m2"
    assert [set(item) for item in runs] == [
        {"deltas", "index", "pieces"},
        {"deltas", "index", "json", "pieces"},
    ]
    assert "said" not in last
    assert {"text", "partial_json"} <= {key for item in last["events"] for key in item}


def test_a_stream_of_which_one_block_comes_back_otherwise_keeps_that_one() -> None:
    message = next(talk(1)).answer
    resent = json.loads(json.dumps(message["content"]))
    body = streamed(message).body.replace(b'{\\"path\\": ', b'{\\"path\\" : ')

    written = document(
        exchange({}, Response(status=200, headers=streamed(message).headers, body=body)),
        asked({"role": "assistant", "content": resent}),
    )

    response = written["interactions"][0]["response"]
    texts, given = (item for item in response["events"] if "deltas" in item)
    assert response["said"] == "m1"
    assert "text" not in texts
    assert given["partial_json"].startswith('{"path" : ')


# --- any conversation ------------------------------------------------------------------

VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [1, 1.0, True, -0.0, 1e22, 0.1, "é🎉", "m1", "..h1", "", [], {}, None]
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.just("text"), "text": st.text("ab\n🎉 ", max_size=5)},
    optional={"citations": st.none() | st.just([]), "n": VALUES},
) | st.fixed_dictionaries(
    {
        "type": st.just("tool_use"),
        "id": st.just("toolu_1"),
        "name": st.just("t"),
        "input": st.dictionaries(st.sampled_from("abc"), VALUES, max_size=2),
    }
)
MESSAGES = (
    st.sampled_from(["on", "and", "on"]).map(lambda text: {"role": "user", "content": text})
    | VALUES
    | json_values(max_leaves=4)
)


@st.composite
def talks(draw: st.DrawFn) -> list[Interaction]:
    """Requests that go on from others, or from within them, and answers that may come back."""
    histories: list[list[Any]] = [[]]
    interactions = []
    for number in range(draw(st.integers(1, 6))):
        before = draw(st.sampled_from(histories))
        messages = before[: draw(st.integers(0, len(before)))] if draw(st.booleans()) else before
        messages = [*messages, *draw(st.lists(MESSAGES, max_size=10))]
        content = draw(st.lists(BLOCKS, max_size=2))
        answer = {"id": f"msg_{number}", "type": "message", "content": content, "usage": {}}
        if draw(st.booleans()):
            response = streamed(answer)
        else:
            response = Response(status=200, headers=JSON, body=compact(answer))
        body = {"messages": messages, "n": draw(VALUES)}
        interactions.append(exchange(body, response))
        resent = [dict(reversed(each.items())) for each in content]
        histories.append([*messages, {"role": "assistant", "content": resent}])
    return interactions


@pytest.mark.slow
@given(talks())
def test_any_conversation_is_read_back(interactions: list[Interaction]) -> None:
    document(*interactions)


# --- damaged, or made to hurt ----------------------------------------------------------


def file_with(parts: str, messages: str = "[]", response: str = "{status: 200}") -> bytes:
    return (
        f"mnemosyne: 1\nparts:\n{parts}interactions:\n- request:\n    method: POST\n"
        f"    path: /v1/messages\n    body: {{messages: {messages}}}\n  response: {response}\n"
    ).encode()


SAID = "{status: 200, said: m1, keys: k1, body: {content: m1}}"


@pytest.mark.parametrize(
    ("data", "line", "problem"),
    [
        pytest.param(
            file_with("  h1: [..h1, m1]\n", "[..h1]"), 3, "h1, which is not above it", id="itself"
        ),
        pytest.param(
            file_with("  h1: [..h2]\n  h2: [..h1]\n", "[..h2]"),
            3,
            "history h1 goes on from h2, which is not above it",
            id="circle",
        ),
        pytest.param(
            file_with("  m1: x\n", "[..h1]"), 8, "there is no history called 'h1'", id="dangling"
        ),
        pytest.param(
            file_with("  h1: [..h0]\n", "[..h1]"), 3, "no history called 'h0'", id="dangling-inside"
        ),
        pytest.param(
            file_with("  h1: [m9]\n", "[..h1]"), 3, "there is no part called 'm9'", id="no-message"
        ),
        pytest.param(
            file_with("  m1: x\n", "[..m1]"), 8, "no history called 'm1'", id="no-history"
        ),
        pytest.param(
            file_with("  h1: []\n", "[m1, ..h1]"), 8, "no part called 'm1'", id="not-at-first"
        ),
        pytest.param(
            file_with("  m1: 2026-01-01\n", "[m1]"), 3, "not JSON", id="a-part-that-is-no-JSON"
        ),
        pytest.param(
            file_with(f"  m1: {'[' * 70}{']' * 70}\n", "[m1]").replace(
                b"    body:", b"    json: indent-2\n    body:"
            ),
            3,
            "nested too deeply",
            id="a-deep-part-that-is-indented",
        ),
        pytest.param(
            file_with("  m1: x\n", response=SAID),
            9,
            "no message of the assistant",
            id="said-a-text",
        ),
        pytest.param(
            file_with("  m1: {role: assistant, content: x}\n  k1: [type]\n", response=SAID),
            10,
            "keys names a part that is a list of lists",
            id="keys",
        ),
        pytest.param(
            file_with("  m1: {role: assistant, content: x}\n  k1: [[1]]\n", response=SAID),
            10,
            "1 is a whole number, not a text",
            id="a-key",
        ),
        pytest.param(
            file_with(
                "  m1: {role: assistant, content: x}\n",
                response="{status: 200, said: m1, body: {id: a}}",
            ),
            9,
            "there is no content to say it in",
            id="nowhere-to-say-it",
        ),
        pytest.param(
            file_with(
                "  m1: {role: assistant, content: x}\n", response="{status: 200, said: m1, text: a}"
            ),
            9,
            "body of what was said is nothing",
            id="said-in-a-text",
        ),
    ],
)
def test_wrong_names_are_told_with_their_line(data: bytes, line: int, problem: str) -> None:
    with pytest.raises(CorruptCassetteError) as caught:
        parse(data, PATH)

    assert problem in caught.value.problem
    assert caught.value.line == line


LARGE = f"  m1: {{role: assistant, content: {'x' * 10_000}}}\n"
CHAIN = "".join(f"  h{at}: [..h{at - 1}, m1]\n" for at in range(2, 200))
EMPTY_CHAIN = "".join(f"  h{at}: [..h{at - 1}]\n" for at in range(2, 1_000))


def often(data: bytes, times: int) -> bytes:
    """A file whose one interaction is there many times."""
    begin = data.index(b"- request")
    return data[:begin] + data[begin:] * times


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(file_with(LARGE, f"[{'m1, ' * 200}]"), id="a-part"),
        pytest.param(file_with(f"{LARGE}  h1: [m1]\n{CHAIN}", "[..h199]"), id="a-long-history"),
        pytest.param(
            often(file_with(f"  h1: [{{role: {'x' * 10_000}}}]\n", "[..h1]"), 200),
            id="a-history-with-a-message-in-place",
        ),
        pytest.param(
            file_with(f"  m1: [{'[], ' * 1_000}]\n", f"[{'m1, ' * 100}]").replace(
                b"    body:", b"    json: indent-4\n    body:"
            ),
            id="a-part-that-is-indented",
        ),
        pytest.param(
            often(file_with(f"  h1: []\n{EMPTY_CHAIN}", "[..h999]"), 1_100), id="an-empty-history"
        ),
        pytest.param(often(file_with(f"{LARGE}  k1: []\n", response=SAID), 200), id="an-answer"),
        pytest.param(
            often(
                file_with(f"  m1: {{role: assistant}}\n  s1: {'x' * 10_000}\n").replace(
                    b"messages: []", b"system: s1"
                ),
                200,
            ),
            id="a-system-text",
        ),
    ],
)
def test_what_unfolds_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(_parts, "_MOST_UNFOLDED_BYTES", 1 << 20)

    with pytest.raises(CorruptCassetteError, match="unfold to more than 1 MB") as caught:
        parse(data, PATH)

    assert caught.value.line is not None


@pytest.mark.slow
def test_a_thousand_requests_of_a_thousand_messages_are_read() -> None:
    parts = "".join(f"  m{at}: {{role: user, content: turn {at}}}\n" for at in range(1, 1_001))
    parts += f"  h1: [{', '.join(f'm{at}' for at in range(1, 1_001))}]\n"

    file = parse(often(file_with(parts, "[..h1]"), 1_000), PATH)

    assert len(file.interactions) == 1_000
    assert len({each.request.body for each in file.interactions}) == 1


@pytest.mark.slow
def test_a_part_that_is_named_a_million_times_is_refused() -> None:
    data = {
        "mnemosyne": 1,
        "parts": {"m1": "x" * 1_000},
        "interactions": [
            {"request": {"method": "POST", "path": "/", "body": {"messages": ["m1"] * 1_000_000}}}
        ],
    }

    with pytest.raises(CorruptCassetteError, match="unfold to more than 512 MB"):
        parse(json.dumps(data).encode(), PATH)
