from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mnemosyne.strategies import (
    UnsupportedSchemaError,
    from_schema,
    json_schemas,
    json_values,
)
from pytest_mnemosyne.wire import JsonObject
from tests.strategies.finding import check_reach, seen, simplest

some = settings(max_examples=60)


@some
@given(json_values())
def test_a_value_comes_back_from_its_text(value: object) -> None:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()

    assert json.loads(text) == value


def test_there_are_values_of_every_type() -> None:
    names = {"NoneType", "bool", "int", "float", "str", "list", "dict"}

    check_reach(json_values(), names, lambda value: [type(value).__name__])
    assert simplest(json_values()) is None


# --- values for a schema ---------------------------------------------------------------


def _is_tree(value: Any) -> bool:
    return set(value) <= {"child"} and all(_is_tree(child) for child in value.values())


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        pytest.param({"type": "string"}, lambda v: isinstance(v, str), id="string"),
        pytest.param({"type": "null"}, lambda v: v is None, id="null"),
        pytest.param({"type": "boolean"}, lambda v: isinstance(v, bool), id="boolean"),
        pytest.param({"type": "integer"}, lambda v: type(v) is int, id="integer"),
        pytest.param({"type": "number"}, lambda v: type(v) in (int, float), id="number"),
        pytest.param(
            {"type": ["integer", "null"]}, lambda v: v is None or type(v) is int, id="several"
        ),
        pytest.param({"type": "integer", "minimum": 2.5}, lambda v: v >= 3, id="minimum"),
        pytest.param(
            {"type": "integer", "exclusiveMinimum": 2, "maximum": 5},
            lambda v: v in (3, 4, 5),
            id="open-below",
        ),
        pytest.param(
            {"type": "integer", "minimum": -1, "exclusiveMaximum": 1},
            lambda v: v in (-1, 0),
            id="open-above",
        ),
        pytest.param(
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            lambda v: 0 < v <= 1,
            id="open-number",
        ),
        pytest.param(
            {"type": "string", "minLength": 2, "maxLength": 3},
            lambda v: len(v) in (2, 3),
            id="length",
        ),
        pytest.param({"type": "string", "minLength": 40}, lambda v: len(v) >= 40, id="long"),
        pytest.param({"enum": ["a", 1, None]}, lambda v: v in ("a", 1, None), id="enum"),
        pytest.param(
            {"enum": ["a", 1, True], "type": "integer"},
            lambda v: v is not True and v == 1,
            id="typed",
        ),
        pytest.param({"const": {"a": 1}}, lambda v: v == {"a": 1}, id="const"),
        pytest.param(
            {"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 2},
            lambda v: v in ([1], [1, 1]),
            id="array",
        ),
        pytest.param(
            {"anyOf": [{"const": 1}, {"type": "null"}]}, lambda v: v in (1, None), id="any-of"
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            lambda v: all(isinstance(each, bool) for each in v.values()),
            id="map",
        ),
        pytest.param(
            {"type": "object", "required": ["x"]}, lambda v: "x" in v, id="required-and-unknown"
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {"type": "null"}, "b": {"const": 2}},
                "required": ["b"],
                "additionalProperties": {"const": 3},
            },
            lambda v: v["b"] == 2 and v.pop("a", None) is None and {*v.values()} <= {2, 3},
            id="object",
        ),
        pytest.param(
            {
                "$ref": "#/$defs/tree",
                "$defs": {
                    "tree": {
                        "type": "object",
                        "properties": {"child": {"$ref": "#/$defs/tree"}},
                        "additionalProperties": False,
                    }
                },
            },
            _is_tree,
            id="recursive",
        ),
        pytest.param(
            {
                "title": "T",
                "description": "D",
                "type": "string",
                "format": "date",
                "default": "x",
                "examples": ["y"],
            },
            lambda v: isinstance(v, str),
            id="what-only-describes",
        ),
        pytest.param(True, lambda v: True, id="anything"),
    ],
)
def test_values_follow_their_schema(schema: Any, fits: Callable[[Any], bool]) -> None:
    values = seen(from_schema(schema), examples=40)

    assert values
    assert [value for value in values if not fits(value)] == []


@some
@given(json_schemas(), st.data())
def test_every_schema_has_values(schema: JsonObject, data: st.DataObject) -> None:
    value = data.draw(from_schema(schema))

    assert isinstance(value, dict)
    assert set(schema["required"]) <= set(value) <= set(schema["properties"])


def test_schemas_use_all_that_tools_use() -> None:
    words = ("array", "anyOf", "enum", "const", "$ref", "$defs", "minimum", "description")

    check_reach(
        json_schemas(),
        words,
        lambda schema: [word for word in words if f'"{word}"' in json.dumps(schema)],
    )
    assert simplest(json_schemas())["properties"] == {}


@pytest.mark.parametrize(
    ("schema", "place", "problem"),
    [
        pytest.param({"not": {}}, "$", "not is not understood", id="keyword"),
        pytest.param(
            {"type": "object", "properties": {"a": {"pattern": "x"}}},
            "$.properties.a",
            "pattern is not understood",
            id="inner",
        ),
        pytest.param(
            {"anyOf": [{}], "minLength": 1}, "$", "minLength beside anyOf", id="any-of-and-more"
        ),
        pytest.param(
            {"enum": ["a"], "maxLength": 1}, "$", "maxLength beside a list", id="enum-and-more"
        ),
        pytest.param({"enum": ["a"], "type": "null"}, "$", "has its type", id="enum-of-other-type"),
        pytest.param({"type": "date"}, "$", 'there is no type "date"', id="type"),
        pytest.param({"$ref": "#/$defs/x"}, "$", "leads nowhere", id="ref"),
        pytest.param({"$ref": "https://example.com"}, "$", "leads nowhere", id="remote"),
        pytest.param(
            {"type": "array", "items": False}, "$.items", "False allows no value", id="false"
        ),
        pytest.param(
            {"type": "object", "required": ["a"], "additionalProperties": False},
            "$",
            "requires a and allows no such property",
            id="impossible",
        ),
    ],
)
def test_a_schema_that_is_not_understood_is_refused(schema: Any, place: str, problem: str) -> None:
    with pytest.raises(UnsupportedSchemaError, match=problem.replace("(", "\\(")) as caught:
        from_schema(schema)

    assert caught.value.place == place
