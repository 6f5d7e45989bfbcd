from __future__ import annotations

import pytest

from pytest_mnemosyne.simulation.scripted._schema import violations
from pytest_mnemosyne.wire import JsonObject

_TREE: JsonObject = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "below": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name"],
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({}, {"any": "thing"}, id="nothing-asked"),
        pytest.param({"type": "integer"}, 3.0, id="whole-float-is-an-integer"),
        pytest.param({"type": ["string", "null"]}, None, id="one-of-the-types"),
        pytest.param({"enum": ["a", 1]}, 1, id="enum"),
        pytest.param({"const": None}, None, id="const"),
        pytest.param({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, id="any-of"),
        pytest.param({"allOf": [{"type": "object"}, {"required": ["a"]}]}, {"a": 1}, id="all-of"),
        pytest.param({"oneOf": [{"const": 1}, {"const": 2}]}, 2, id="one-of"),
        pytest.param(_TREE, {"name": "a", "below": [{"name": "b"}]}, id="recursive"),
        pytest.param({"additionalProperties": {"type": "integer"}}, {"a": 1}, id="values"),
    ],
)
def test_a_value_that_follows_its_schema_has_no_violations(
    schema: JsonObject, value: object
) -> None:
    assert violations(value, schema) == ()


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        pytest.param({"type": "integer"}, True, '$: expected "integer", got true', id="bool"),
        pytest.param({"type": "integer"}, 1.5, '$: expected "integer", got 1.5', id="float"),
        pytest.param({"type": "object"}, None, '$: expected "object", got null', id="null"),
        pytest.param({"enum": [1, 2]}, True, "$: expected one of [1,2], got true", id="enum"),
        pytest.param({"const": "a"}, "b", '$: expected "a", got "b"', id="const"),
        pytest.param(
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            3,
            '$: fits none of 2 alternatives ($: expected "string", got 3)',
            id="any-of",
        ),
        pytest.param(
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            3,
            "$: fits 2 alternatives, where exactly one is allowed",
            id="one-of",
        ),
        pytest.param(
            _TREE,
            {"name": "a", "below": [{"name": "b"}, {}]},
            "$.below[1]: 'name' is required",
            id="recursive",
        ),
        pytest.param(
            {"additionalProperties": {"type": "integer"}},
            {"a": "x"},
            '$.a: expected "integer", got "x"',
            id="values",
        ),
        pytest.param({"items": False}, [1], "$[0]: nothing is allowed here", id="never"),
    ],
)
def test_a_violation_says_where_and_what(schema: JsonObject, value: object, problem: str) -> None:
    assert violations(value, schema) == (problem,)
