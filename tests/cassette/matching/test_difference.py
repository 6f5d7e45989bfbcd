"""What a miss says about the difference."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import Cassette, CassetteFile, Interaction, Miss, RecordMode, Request
from pytest_mnemosyne.cassette._difference import changed_span, differences, without_common
from pytest_mnemosyne.cassette._miss import CassetteMissError

TOOL = {"name": "write_file", "input_schema": {"type": "object"}}
ASKED: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 1024,
    "system": "You are an executor. Write code.",
    "tools": [TOOL],
    "messages": [
        {"role": "user", "content": "Create hello_world()"},
        {"role": "assistant", "content": [{"type": "text", "text": "Where to?"}]},
        {"role": "user", "content": [{"type": "text", "text": "Into hello.py"}]},
    ],
}


FORM = "the same content, but written as a list of blocks, recorded as a text"
OTHER_FORM = "the same content, but written as a text, recorded as a list of blocks"


def talk(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def told(recorded: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    return [
        str(each) for each in differences(json.dumps(recorded).encode(), json.dumps(asked).encode())
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            {"system": "You are a reviewer. Write code."},
            ['system prompt: "You are [-an-]{+a+} [-executor-]{+reviewer+}. Write code."'],
            id="system",
        ),
        pytest.param(
            {"system": [{"type": "text", "text": ASKED["system"]}]},
            [f"system prompt: {FORM}"],
            id="system-as-blocks",
        ),
        pytest.param(
            {"model": "claude-opus-5-5"}, ['model: "claude-[-sonnet-]{+opus+}-5-5"'], id="model"
        ),
        pytest.param({"max_tokens": 2048}, ["max_tokens: [-1024-] {+2048+}"], id="setting"),
        pytest.param({"max_tokens": 1024.0}, ["max_tokens: [-1024-] {+1024.0+}"], id="type"),
        pytest.param({"stream": True}, ["stream: {+true+} is new"], id="streamed"),
        pytest.param(
            {"tools": [TOOL, {"name": "read_file"}]},
            ["tools: {+read_file+} is new"],
            id="tool-more",
        ),
        pytest.param({"tools": []}, ["tools: [-write_file-] is no longer offered"], id="tool-less"),
        pytest.param(
            {"tools": [{**TOOL, "input_schema": {"type": "array"}}]},
            ['tool write_file.input_schema.type: "[-object-]{+array+}"'],
            id="tool-changed",
        ),
        pytest.param(
            {"messages": [*ASKED["messages"][:2], {"role": "user", "content": "Into hello.py"}]},
            [f"messages[2] (user): {OTHER_FORM}"],
            id="form",
        ),
        pytest.param(
            {"messages": ASKED["messages"][:2]},
            ['messages[2] (user): missing: [-[{"type": "text", "text": "Into hello.py"}]-]'],
            id="message-less",
        ),
        pytest.param(
            {"messages": [*ASKED["messages"], {"role": "assistant", "content": "Done"}]},
            ["messages[3] (assistant): added: {+Done+}"],
            id="message-more",
        ),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": "Create hello_moon()"},
                    *ASKED["messages"][1:],
                ]
            },
            ['messages[0] (user): "Create hello_[-world-]{+moon+}()"'],
            id="message-changed",
        ),
    ],
)
def test_a_difference_is_named_as_a_person_would(change: dict[str, Any], words: list[str]) -> None:
    assert told(ASKED, {**ASKED, **change}) == words


def test_equal_text_around_a_change_is_cut_and_changed_text_never() -> None:
    old, new = "word " * 50 + "old " * 40 + "end " * 50, "word " * 50 + "new " * 40 + "end " * 50
    span = changed_span(old, new)

    assert span.count("old") == span.count("new") == 40
    assert len(span) < 40 * len("[-old-]{+new+} ") + 80


@pytest.mark.parametrize("sentences", [3, 300], ids=["short", "long"])
def test_equal_text_between_two_changes_is_cut_as_well(sentences: int) -> None:
    between = "".join(f"Sentence {number} stays as it is. " for number in range(sentences))
    old, new = f"Be kind. {between}Stop here.", f"Be quick. {between}Go on here."

    span = json.loads(changed_span(old, new))

    assert span.startswith("Be [-kind-]{+quick+}. Sentence 0 stays")
    assert span.endswith(" stays as it is. [-Stop-]{+Go on+} here.")
    assert len(span) < 120


def test_a_long_text_that_is_all_new_is_told_as_a_whole() -> None:
    old, new = "old " * 1000, "new " * 1000

    assert json.loads(changed_span(old, new)) == f"[-{old.strip()}-]{{+{new.strip()}+}} "


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_marked_text_holds_both_texts(old: str, new: str) -> None:
    old, new = (text.translate(dict.fromkeys(map(ord, "[]{}+-…"))) for text in (old, new))
    marked = json.loads(changed_span(old, new))

    def side(keep: str, drop: str) -> str:
        ends = {"[-": "-]", "{+": "+}"}
        rest, text = marked, ""
        while rest:
            sign = next((each for each in (keep, drop) if rest.startswith(each)), None)
            if sign is None:
                text, rest = text + rest[0], rest[1:]
                continue
            inner, _, rest = rest[2:].partition(ends[sign])
            text += inner if sign == keep else ""
        return text

    if "…" not in marked:
        assert side("[-", "{+") == old
        assert side("{+", "[-") == new


BODIES = st.fixed_dictionaries(
    {
        "system": st.sampled_from(["a", "b", [{"type": "text", "text": "a"}]]),
        "max_tokens": st.sampled_from([1, 1.0, True]),
        "messages": st.lists(
            st.builds(
                lambda role, content: {"role": role, "content": content},
                st.sampled_from(["user", "assistant"]),
                st.sampled_from(["", "one", "two", [{"type": "text", "text": "one"}]]),
            ),
            max_size=4,
        ),
    }
).map(lambda body: json.dumps(body).encode())


@given(BODIES, BODIES)
def test_what_is_the_same_can_be_left_out_before_differences_are_told(
    recorded: bytes, asked: bytes
) -> None:
    assert differences(*without_common(recorded, asked)) == differences(recorded, asked)


def missed(tmp_path: Path, bodies: list[dict[str, Any]], asked: dict[str, Any]) -> Miss:
    path = tmp_path / "calls.yaml"
    path.touch()
    interactions = tuple(
        Interaction(
            request=Request(method="POST", url="/v1/messages", body=json.dumps(body).encode()),
            response=None,
        )
        for body in bodies
    )
    cassette = Cassette(
        path, mode=RecordMode.REPLAY, loader=lambda _: CassetteFile(interactions=interactions)
    )
    with pytest.raises(CassetteMissError) as raised:
        cassette.answer(
            Request(method="POST", url="/v1/messages", body=json.dumps(asked).encode()), None
        )
    return raised.value.miss


def test_the_nearest_recording_is_the_one_with_the_longest_common_conversation(
    tmp_path: Path,
) -> None:
    bodies = [{"model": "m", "messages": talk(*texts)} for texts in ("a", "ab", "abc", "xyz")]

    miss = missed(tmp_path, bodies, {"model": "m", "messages": talk("a", "b", "d")})

    assert miss.nearest == 2
    assert miss.words == 'only messages[2] (user) differs from interaction 3: "[-c-]{+d+}"'


def test_another_endpoint_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.yaml"
    path.touch()
    file = CassetteFile(
        interactions=(Interaction(request=Request(method="GET", url="/v1/models"), response=None),)
    )
    cassette = Cassette(path, mode=RecordMode.REPLAY, loader=lambda _: file)
    with pytest.raises(CassetteMissError) as raised:
        cassette.answer(Request(method="POST", url="https://h/x/v1/messages", body=b"{}"), None)

    assert raised.value.miss.words == (
        "nothing is recorded for POST /v1/messages; interaction 1 is GET /v1/models"
    )


def test_several_differences_are_all_told(tmp_path: Path) -> None:
    bodies = [{"model": "m", "system": "one", "messages": talk("a")}]

    miss = missed(tmp_path, bodies, {"model": "n", "system": "two", "messages": talk("b")})

    assert "and 2 differences more" in miss.words
    assert 'also:    system prompt: "[-one-]{+two+}"' in str(miss)
    assert 'also:    messages[0] (user): "[-a-]{+b+}"' in str(miss)


def test_a_miss_is_cheap_however_long_the_conversations_are(tmp_path: Path) -> None:
    texts = [f"turn {number}: {'some words of a conversation ' * 20}" for number in range(40)]
    bodies = [{"model": "m", "messages": talk(*texts[:length])} for length in range(1, 41)]
    asked = {"model": "m", "messages": talk(*texts[:-1], texts[-1].replace("words", "other words"))}

    started = time.perf_counter()
    miss = missed(tmp_path, bodies, asked)

    assert miss.nearest == 39
    # Twenty times what it takes, for slow machines.
    assert time.perf_counter() - started < 1.0
