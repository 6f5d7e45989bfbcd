from __future__ import annotations

import re

import pytest

from pytest_mnemosyne.simulation import ScriptError
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
        pytest.param({"minimum": 1, "maximum": 3}, 3, id="range"),
        pytest.param({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, 2, id="exclusive-range"),
        pytest.param({"multipleOf": 0.1}, 0.3, id="multiple-as-it-is-written"),
        pytest.param({"minimum": 5}, "text", id="a-bound-for-numbers-only"),
        pytest.param({"minLength": 1, "maxLength": 2}, "éé", id="length-in-characters"),
        pytest.param({"pattern": "b+"}, "abc", id="a-pattern-is-found-anywhere"),
        pytest.param({"format": "date-time"}, "2026-01-01T10:00:00Z", id="date-time"),
        pytest.param({"format": "carrier-pigeon"}, "coo", id="unknown-format"),
        pytest.param({"minItems": 1, "maxItems": 2, "uniqueItems": True}, [1, True], id="unique"),
        pytest.param(
            {"prefixItems": [{"type": "string"}], "items": {"type": "null"}},
            ["a", None],
            id="tuple",
        ),
        pytest.param({"minProperties": 1, "maxProperties": 1}, {"a": 1}, id="properties"),
        pytest.param(
            {"patternProperties": {"^n": {"type": "null"}}, "additionalProperties": False},
            {"n1": None},
            id="names-by-pattern",
        ),
        pytest.param({"not": {"type": "string"}}, 1, id="not"),
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
        pytest.param({"minimum": 1}, 0, "$: expected 1 or more, got 0", id="minimum"),
        pytest.param({"maximum": 1}, 2.5, "$: expected 1 or less, got 2.5", id="maximum"),
        pytest.param({"exclusiveMinimum": 1}, 1, "$: expected more than 1, got 1", id="above"),
        pytest.param({"exclusiveMaximum": 1}, 1, "$: expected less than 1, got 1", id="below"),
        pytest.param({"multipleOf": 2}, 3, "$: expected a multiple of 2, got 3", id="multiple"),
        pytest.param(
            {"minLength": 2}, "a", "$: expected at least 2 characters, got 1", id="too-short"
        ),
        pytest.param(
            {"maxLength": 1}, "ab", "$: expected at most 1 characters, got 2", id="too-long"
        ),
        pytest.param(
            {"pattern": "^b"}, "ab", "$: expected what '^b' matches, got \"ab\"", id="pattern"
        ),
        pytest.param({"format": "uuid"}, "x", '$: expected a uuid, got "x"', id="format"),
        pytest.param({"minItems": 1}, [], "$: expected at least 1 items, got 0", id="no-items"),
        pytest.param(
            {"uniqueItems": True}, [1, 1], "$: 1 is there more than once", id="not-unique"
        ),
        pytest.param(
            {"maxProperties": 0}, {"a": 1}, "$: expected at most 0 properties, got 1", id="names"
        ),
        pytest.param(
            {"prefixItems": [{"type": "string"}]}, [1], '$[0]: expected "string", got 1', id="tuple"
        ),
        pytest.param(
            {"patternProperties": {"^n": {"type": "null"}}},
            {"n1": 1},
            '$.n1: expected "null", got 1',
            id="names-by-pattern",
        ),
        pytest.param(
            {"not": {"type": "string"}},
            "a",
            '$: fits what it must not, {"type":"string"}',
            id="not",
        ),
    ],
)
def test_a_violation_says_where_and_what(schema: JsonObject, value: object, problem: str) -> None:
    assert violations(value, schema) == (problem,)


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        ("date-time", "2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00"),
        ("date", "2026-02-28", "2026-02-30"),
        ("time", "10:00:00Z", "25:00"),
        ("email", "a@b.example", "a b@c"),
        ("uuid", "00000000-0000-4000-8000-000000000000", "0" * 32),
        ("uri", "https://example.com/a", "example.com"),
        ("ipv4", "192.0.2.1", "192.0.2.256"),
        ("ipv6", "::1", "192.0.2.1"),
        ("hostname", "example.com", "a_b.example"),
    ],
)
def test_a_format_that_is_known_is_checked(format_: str, good: str, bad: str) -> None:
    assert violations(good, {"format": format_}) == ()
    assert violations(bad, {"format": format_}) == (f'$: expected a {format_}, got "{bad}"',)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        pytest.param({"$ref": "#/$defs/none"}, "refers to '#/$defs/none', which is not", id="ref"),
        pytest.param({"$ref": "https://example.com/s"}, "which is not in it", id="elsewhere"),
        pytest.param({"pattern": "("}, "which Python does not read", id="pattern"),
    ],
)
def test_a_schema_that_cannot_be_read_is_said_to_be_so(schema: JsonObject, problem: str) -> None:
    with pytest.raises(ScriptError, match=re.escape(problem)):
        violations("x", schema)
