"""Answers without a script: tools with fitting arguments, then data or a text."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from pytest_mnemosyne.simulation import (
    ScriptedClaude,
    ScriptError,
    ScriptNotPlayedError,
    system_contains,
    text_contains,
)
from pytest_mnemosyne.simulation.scripted._patterns import texts_for
from pytest_mnemosyne.simulation.scripted._samples import sample_of
from pytest_mnemosyne.simulation.scripted._schema import violations
from pytest_mnemosyne.wire import JsonObject
from tests.simulation.scripted.asking import Answered, ask, body, post

_TREE: JsonObject = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "below": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name", "below"],
        }
    },
}

# --- samples ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "sample"),
    [
        pytest.param({}, "text", id="anything"),
        pytest.param({"type": "boolean"}, True, id="boolean"),
        pytest.param({"type": "null"}, None, id="null"),
        pytest.param({"type": "integer"}, 1, id="integer"),
        pytest.param({"type": "integer", "minimum": 7, "multipleOf": 5}, 10, id="multiple"),
        pytest.param({"type": "integer", "exclusiveMinimum": 7}, 8, id="above"),
        pytest.param({"type": "integer", "maximum": -3}, -3, id="negative"),
        pytest.param({"type": "integer", "exclusiveMaximum": 0}, -1, id="below"),
        pytest.param({"type": "number", "minimum": 0.2, "maximum": 0.7}, 0.5, id="half"),
        pytest.param({"type": "number", "minimum": 0.6, "maximum": 0.8}, 0.7, id="between"),
        pytest.param({"type": "number", "multipleOf": 0.1, "minimum": 0.25}, 0.3, id="decimal"),
        pytest.param({"type": ["null", "string"]}, "text", id="something-before-nothing"),
        pytest.param({"enum": ["b", "a"]}, "b", id="enum"),
        pytest.param({"enum": ["b", "a"], "not": {"const": "b"}}, "a", id="enum-but-not"),
        pytest.param({"const": {"a": 1}}, {"a": 1}, id="const"),
        pytest.param({"type": "string", "minLength": 6}, "textxx", id="long"),
        pytest.param({"type": "string", "maxLength": 2}, "1", id="short"),
        pytest.param({"type": "string", "examples": ["Oslo"]}, "Oslo", id="example"),
        pytest.param({"type": "string", "pattern": r"^[a-z]{2}-\d{3}$"}, "aa-000", id="pattern"),
        pytest.param({"pattern": "^x+$", "minLength": 4}, "xxxx", id="pattern-and-length"),
        pytest.param({"pattern": r"^(GET|POST) /[^/\s]+$"}, "GET /a", id="groups"),
        pytest.param({"format": "date"}, "2026-01-01", id="format"),
        pytest.param({"type": "array"}, ["text"], id="array"),
        pytest.param({"type": "array", "maxItems": 0}, [], id="no-items"),
        pytest.param(
            {"items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
            [1, 2, 3],
            id="unique",
        ),
        pytest.param(
            {"prefixItems": [{"const": 1}, {"const": 2}], "items": False}, [1, 2], id="tuple"
        ),
        pytest.param(
            {"properties": {"city": {"type": "string"}}},
            {"city": "city"},
            id="named-like-the-field",
        ),
        pytest.param({"required": ["a"], "properties": {}}, {"a": "a"}, id="required-only"),
        pytest.param({"type": "object"}, {}, id="object"),
        pytest.param(
            {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
            {"key_1": 1, "key_2": 1},
            id="a-number-of-properties",
        ),
        pytest.param(
            {"properties": {"a": {}, "b": {}}, "maxProperties": 1, "required": ["b"]},
            {"b": "b"},
            id="no-more-than-required",
        ),
        pytest.param(
            {"properties": {"a": False, "b": {"type": "null"}}}, {"b": None}, id="impossible-option"
        ),
        pytest.param({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1, id="any-of"),
        pytest.param(
            {"oneOf": [{"type": "number"}, {"type": "integer"}], "minimum": 0.5}, 0.5, id="one-of"
        ),
        pytest.param(
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["a"]}]},
            {"a": 1},
            id="all-of",
        ),
        pytest.param(
            {"type": "integer", "allOf": [{"minimum": 3}, {"minimum": 5}]}, 5, id="strictest-of-all"
        ),
        pytest.param(
            {
                "type": ["object", "null"],
                "properties": {"a": {"type": "string"}},
                "required": ["a"],
                "allOf": [
                    {
                        "type": "object",
                        "properties": {"a": {"minLength": 3}, "b": {"const": 1}},
                        "required": ["a", "b"],
                    }
                ],
            },
            {"a": "axx", "b": 1},
            id="all-of-with-the-same-fields",
        ),
        pytest.param(
            {
                "allOf": [
                    {"type": "number", "minimum": 1, "maximum": 9},
                    {"type": "integer", "minimum": 3, "maximum": 5, "not": {"const": 3}},
                ]
            },
            4,
            id="all-of-with-the-same-bounds",
        ),
        pytest.param(
            {
                "anyOf": [{"type": "string"}, {"type": "integer"}],
                "allOf": [{"anyOf": [{"type": "boolean"}, {"type": "integer"}]}],
            },
            1,
            id="any-of-and-any-of",
        ),
        pytest.param(
            {
                "anyOf": [{"type": "string"}, {"type": "integer"}],
                "oneOf": [{"type": "boolean"}, {"type": "integer"}],
            },
            1,
            id="any-of-and-one-of",
        ),
        pytest.param(
            {
                "anyOf": [{"$ref": "#/$defs/a"}, {"properties": {"x": {"$ref": "#/$defs/a"}}}],
                "type": "object",
                "$defs": {"a": {"type": "integer"}},
            },
            {"x": 1},
            id="one-definition-in-two-alternatives",
        ),
        pytest.param(
            {
                "patternProperties": {"^n_": {"type": "integer"}},
                "properties": {"n_1": {"minimum": 5}},
            },
            {"n_1": 5},
            id="a-name-and-a-pattern-for-it",
        ),
        pytest.param(
            {"items": {"enum": [1, 2]}, "minItems": 1, "uniqueItems": True}, [1], id="one-of-a-set"
        ),
        pytest.param(_TREE, {"name": "name", "below": []}, id="recursive"),
        pytest.param(
            {"type": "object", "properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}},
            {"child": {"n": 1}, "n": 1},
            id="refers-to-the-whole",
        ),
    ],
)
def test_a_sample_follows_its_schema_and_is_always_the_same(
    schema: JsonObject, sample: object
) -> None:
    assert violations(sample, schema) == ()
    assert sample_of(schema) == sample_of(schema) == sample


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        pytest.param({"not": {}}, "at $;", id="nothing-fits"),
        pytest.param({"type": "integer", "minimum": 3, "maximum": 1}, "at $;", id="no-number"),
        pytest.param(
            {"properties": {"a": {"items": {"enum": []}, "minItems": 1}}, "required": ["a"]},
            "at $.a[0];",
            id="the-place-is-named",
        ),
        pytest.param({"pattern": r"(?=a)b"}, "(?=a)b", id="a-pattern-that-looks-ahead"),
        pytest.param({"pattern": r"(a)\1"}, "it uses groupref", id="a-pattern-with-memory"),
        pytest.param({"pattern": "("}, "which Python does not read", id="no-pattern"),
        pytest.param({"$ref": "#/$defs/none"}, "which is not in it", id="no-such-definition"),
        pytest.param(
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "at $;", id="turns-round"
        ),
        pytest.param(
            {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
            "at $;",
            id="turns-round-in-all-of",
        ),
        pytest.param(
            {"items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True},
            "at $;",
            id="too-few-different-ones",
        ),
        pytest.param(
            {"minProperties": 1, "additionalProperties": False, "type": "object"},
            "at $.key_1;",
            id="a-property-that-may-not-be",
        ),
        pytest.param({"allOf": [{"type": "string"}, False]}, "at $;", id="never"),
    ],
)
def test_a_schema_without_a_sample_is_an_error_that_says_so(
    schema: JsonObject, problem: str
) -> None:
    with pytest.raises(ScriptError) as caught:
        sample_of(schema)

    assert problem in str(caught.value)


_SCALARS = st.one_of(
    st.fixed_dictionaries({"type": st.just("string"), "minLength": st.integers(0, 5)}),
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-50, 50),
        st.integers(0, 20),
    ),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, st.floats(-1e6, 1e6)),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers() | st.text(), min_size=1)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, {"format": "uuid"}]),
)
_SCHEMAS = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, closed: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties)[:1],
                "additionalProperties": not closed,
            },
            st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
            st.booleans(),
        ),
        st.builds(
            lambda items, size: {"type": "array", "items": items, "minItems": size},
            inner,
            st.integers(0, 3),
        ),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"allOf": [one]}, inner),
    ),
    max_leaves=6,
)


@given(_SCHEMAS)
def test_every_schema_of_the_common_kinds_has_a_sample_that_follows_it(schema: JsonObject) -> None:
    assert violations(sample_of(schema), schema) == ()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        pytest.param("abc", "abc", id="characters"),
        pytest.param("^a.c$", "aac", id="any-character"),
        pytest.param("[^a]", "b", id="all-but-one"),
        pytest.param("[^a-z0-9]", "A", id="all-but-a-range"),
        pytest.param("[xyz][a-f]", "xa", id="sets"),
        pytest.param(r"\d\D\w\W\s\S", "0aa  a", id="categories"),
        pytest.param(r"[\d.]+?", "0", id="lazy"),
        pytest.param("a{2,3}b*c?d+", "aad", id="repeats"),
        pytest.param("(?:x|y)(?P<name>z)", "xz", id="groups"),
        pytest.param(r"\bword\b", "word", id="edges"),
        pytest.param("(?>ab)c++", "abc", id="without-going-back"),
        pytest.param("(?i)ab", "ab", id="in-any-case"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_pattern_makes_a_text_that_it_matches(pattern: str, said: str) -> None:
    assert next(texts_for(pattern)) == said
    assert all(re.search(pattern, each) for each in texts_for(pattern))


# --- answers ---------------------------------------------------------------------------

_CITY: JsonObject = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city"],
}
_WEATHER = {"name": "weather", "input_schema": _CITY}
_TIME = {"name": "time", "input_schema": {"type": "object", "properties": {}}}
_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
_TOOLS: JsonObject = {"tools": [_WEATHER, _TIME, _SEARCH]}


@pytest.fixture
def claude() -> ScriptedClaude:
    return ScriptedClaude().improvise()


def calls(answered: Answered) -> dict[str, object]:
    return {
        block["name"]: block["input"]
        for block in answered.body["content"]
        if block["type"] == "tool_use"
    }


def test_every_tool_is_called_once_with_fitting_arguments(claude: ScriptedClaude) -> None:
    answered = ask(claude, **_TOOLS)

    assert calls(answered) == {"weather": {"city": "city", "days": 2}, "time": {}}
    assert answered.body["stop_reason"] == "tool_use"


def after(answered: Answered) -> list[JsonObject]:
    content = answered.body["content"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "done"} for block in content
    ]
    return [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": results},
    ]


def test_when_all_tools_were_called_a_text_follows(claude: ScriptedClaude) -> None:
    first = ask(claude, **_TOOLS)

    last = post(claude, body(messages=after(first), **_TOOLS))

    assert last.text == 'This is an improvised answer to "Hi".'
    assert last.body["stop_reason"] == "end_turn"


def test_tools_can_be_called_one_after_the_other(claude: ScriptedClaude) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}

    first = ask(claude, tool_choice=choice, **_TOOLS)
    second = post(claude, body(messages=after(first), tool_choice=choice, **_TOOLS))

    assert [list(calls(answered)) for answered in (first, second)] == [["weather"], ["time"]]


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        pytest.param({"type": "auto"}, ["weather", "time"], id="auto"),
        pytest.param({"type": "none"}, [], id="none"),
        pytest.param({"type": "any"}, ["weather", "time"], id="any"),
        pytest.param({"type": "tool", "name": "time"}, ["time"], id="tool"),
        pytest.param(
            {"type": "any", "disable_parallel_tool_use": True}, ["weather"], id="any-but-one"
        ),
    ],
)
def test_the_choice_of_tools_is_honoured(
    claude: ScriptedClaude, choice: JsonObject, called: list[str]
) -> None:
    assert list(calls(ask(claude, tool_choice=choice, **_TOOLS))) == called


def test_who_has_to_call_a_tool_calls_one_again(claude: ScriptedClaude) -> None:
    first = ask(claude, **_TOOLS)

    fields = body(messages=after(first), tool_choice={"type": "any"}, **_TOOLS)

    assert list(calls(post(claude, fields))) == ["weather"]


class Opinion(BaseModel):
    agrees: bool
    why: str


class Verdict(BaseModel):
    passed: bool
    score: float = Field(ge=0.5, le=0.9)
    issues: list[str]
    next: Verdict | None = None


def test_data_that_follow_the_schema_are_parsed_by_the_sdk(claude: ScriptedClaude) -> None:
    with claude.sync_client() as client:
        message = client.messages.parse(
            model="claude-sonnet-5-5",
            max_tokens=64,
            messages=[{"role": "user", "content": "Review"}],
            output_format=Opinion,
        )

    assert message.parsed_output == Opinion(agrees=True, why="why")


def test_a_model_of_pydantic_gets_data_that_it_takes(claude: ScriptedClaude) -> None:
    schema = Verdict.model_json_schema()

    answered = ask(claude, output_config={"format": {"type": "json_schema", "schema": schema}})

    verdict = Verdict.model_validate_json(answered.text)
    assert verdict.passed
    assert 0.5 <= verdict.score <= 0.9


def test_tools_come_before_data(claude: ScriptedClaude) -> None:
    output = {"format": {"type": "json_schema", "schema": {"type": "integer"}}}

    first = ask(claude, output_config=output, **_TOOLS)
    last = post(claude, body(messages=after(first), output_config=output, **_TOOLS))

    assert first.body["stop_reason"] == "tool_use"
    assert json.loads(last.text) == 1


def test_a_script_comes_before_what_is_improvised() -> None:
    claude = ScriptedClaude().improvise().reply("written")
    claude.when(text_contains("condition")).reply("conditional")

    said = [ask(claude, asked).text for asked in ("condition", "a", "b")]

    assert said == ["conditional", "written", 'This is an improvised answer to "b".']
    claude.assert_all_played()


def test_only_a_part_of_a_script_can_be_improvised() -> None:
    claude = ScriptedClaude()
    claude.when(system_contains("reviewer")).improvise()

    assert ask(claude, system="You are the reviewer").status == 200
    assert ask(claude, system="You are the writer").status == 400
    with pytest.raises(ScriptNotPlayedError, match="You are the writer"):
        claude.assert_all_played()


def test_the_same_request_has_the_same_answer_in_every_run() -> None:
    answers = [ask(ScriptedClaude().improvise(), **_TOOLS) for _ in range(2)]

    assert answers[0] == answers[1]


def test_what_cannot_be_improvised_is_noted(claude: ScriptedClaude) -> None:
    tool = {"name": "odd", "input_schema": {"type": "object", "not": {}}}

    assert ask(claude, tools=[tool]).status == 400
    assert "no value can be improvised" in claude.unscripted[0].reason


def test_an_improvising_claude_answers_a_stream(claude: ScriptedClaude) -> None:
    with (
        claude.sync_client() as client,
        client.messages.stream(
            model="claude-sonnet-5-5",
            max_tokens=64,
            messages=[{"role": "user", "content": "Hi"}],
            tools=[{"name": "weather", "input_schema": _CITY}],
        ) as stream,
    ):
        message = stream.get_final_message()

    assert message.content[0].to_dict()["input"] == {"city": "city", "days": 2}
