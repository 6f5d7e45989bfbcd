"""JSON schemas as tools and structured output have them, and values that follow one.

The part of JSON Schema that the Messages API takes for tools. A keyword that narrows
values in a way not understood here is refused, since a value that ignored it would be
passed off as one that follows the schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

from pytest_mnemosyne.strategies._errors import UnsupportedSchemaError
from pytest_mnemosyne.strategies._json import json_values
from pytest_mnemosyne.strategies._texts import texts, tool_names
from pytest_mnemosyne.wire import JsonObject, compact

# --- schemas ---------------------------------------------------------------------------


def json_schemas(*, max_leaves: int = 4) -> SearchStrategy[JsonObject]:
    """Schemas of an object, as `input_schema` of a tool and as structured output have them.

    Objects are closed (`additionalProperties: false`), as structured output demands, and every
    schema has values, which `from_schema` finds. References lead into the schema's own `$defs`,
    never in a circle. Never `allOf`, `oneOf`, `not` or `pattern`. Shrinks to an object without
    properties.

    Args:
        max_leaves: About how many scalar schemas one schema holds at most.
    """
    inner = st.recursive(_scalars(), _compounds, max_leaves=max_leaves)
    return st.builds(_with_definition, _objects(inner), st.none() | _scalars())


@cache
def _scalars() -> SearchStrategy[JsonObject]:
    return st.one_of(
        st.sampled_from(("string", "integer", "number", "boolean", "null")).map(
            lambda name: {"type": name}
        ),
        st.builds(
            lambda name, least: {"type": name, "minimum": least},
            st.sampled_from(("integer", "number")),
            st.integers(-100, 100),
        ),
        st.lists(texts(), min_size=1, max_size=3, unique=True).map(
            lambda allowed: {"type": "string", "enum": allowed}
        ),
        texts().map(lambda said: {"type": "string", "description": said}),
        st.integers(0, 9).map(lambda value: {"const": value}),
        st.just({"type": ["string", "null"]}),
    )


def _compounds(inner: SearchStrategy[JsonObject]) -> SearchStrategy[JsonObject]:
    return st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        st.lists(inner, min_size=2, max_size=2).map(lambda branches: {"anyOf": branches}),
        _objects(inner),
    )


def _objects(inner: SearchStrategy[JsonObject]) -> SearchStrategy[JsonObject]:
    members = st.dictionaries(tool_names(), st.tuples(inner, st.booleans()), max_size=3)
    return members.map(
        lambda chosen: {
            "type": "object",
            "properties": {name: schema for name, (schema, _) in chosen.items()},
            "required": [name for name, (_, required) in chosen.items() if required],
            "additionalProperties": False,
        }
    )


def _with_definition(schema: JsonObject, definition: JsonObject | None) -> JsonObject:
    """The schema, with one more property whose own schema stands under `$defs`."""
    if definition is None:
        return schema
    properties = {**schema["properties"], "shared": {"$ref": "#/$defs/shared"}}
    return {**schema, "properties": properties, "$defs": {"shared": definition}}


# --- values ----------------------------------------------------------------------------


def from_schema(schema: JsonObject | bool) -> SearchStrategy[JsonValue]:
    """Values that follow a JSON schema, as far as tools and structured output use the language.

    Understood: `type` (one or several), `enum`, `const`, `anyOf`, `$ref` within the schema,
    `properties`, `required`, `additionalProperties`, `items`, and the bounds of numbers, texts
    and lists. What only describes (`title`, `description`, `default`, `examples`, `format`)
    says nothing about the value. Shrinks to the first alternative, with what is optional left
    out.

    Args:
        schema: The schema. It may contain itself by `$ref`, where that part can be left out.

    Raises:
        UnsupportedSchemaError: It narrows values in a way that is not understood here.
    """
    return _Reader(schema).read(schema, "$")


_DESCRIBING = frozenset(
    {
        *("$defs", "definitions", "$schema", "$id", "$comment", "title", "description"),
        *("default", "examples", "format", "deprecated", "readOnly", "writeOnly"),
    }
)
_BY_TYPE: dict[str, frozenset[str]] = {
    "null": frozenset(),
    "boolean": frozenset(),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "string": frozenset({"minLength", "maxLength"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "object": frozenset({"properties", "required", "additionalProperties"}),
}
"""The types, simplest first, and what narrows the values of each."""

_MORE = 3
"""How many items or members there are at most beyond what a schema demands."""


class _Reader:
    """Reads one schema, whose references lead back into it."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._targets: dict[str, SearchStrategy[JsonValue]] = {}

    def read(self, schema: object, place: str) -> SearchStrategy[JsonValue]:
        """Values for the schema at `place`."""
        if schema is True:
            return json_values()
        if not isinstance(schema, Mapping):
            raise UnsupportedSchemaError(place=place, problem=f"{schema!r} allows no value")
        narrowing = set(schema) - _DESCRIBING
        if "$ref" in narrowing:
            self._check_alone(narrowing, "$ref", place)
            return self._referred(str(schema["$ref"]), place)
        if "anyOf" in narrowing:
            self._check_alone(narrowing, "anyOf", place)
            return st.one_of(
                *(
                    self.read(each, f"{place}.anyOf[{at}]")
                    for at, each in enumerate(schema["anyOf"])
                )
            )
        types = _types_of(schema, place)
        if narrowing & {"enum", "const"}:
            return _listed(schema, types, place)
        unknown = narrowing - {"type"} - frozenset().union(*_BY_TYPE.values())
        if unknown:
            listed = ", ".join(sorted(unknown))
            raise UnsupportedSchemaError(place=place, problem=f"{listed} is not understood")
        return st.one_of(*(self._typed(name, schema, place) for name in types))

    @staticmethod
    def _check_alone(narrowing: set[str], keyword: str, place: str) -> None:
        beside = ", ".join(sorted(narrowing - {keyword}))
        if beside:
            raise UnsupportedSchemaError(place=place, problem=f"{beside} beside {keyword}")

    def _referred(self, reference: str, place: str) -> SearchStrategy[JsonValue]:
        if reference not in self._targets:
            target: object = self._root
            for part in reference.removeprefix("#").strip("/").split("/"):
                if part:
                    name = part.replace("~1", "/").replace("~0", "~")
                    target = target.get(name) if isinstance(target, Mapping) else None
            if target is None or not reference.startswith("#"):
                raise UnsupportedSchemaError(place=place, problem=f"{reference!r} leads nowhere")
            # Known before it is read: it may lead back to itself.
            found: list[SearchStrategy[JsonValue]] = []
            self._targets[reference] = st.deferred(lambda: found[0])
            found.append(self.read(target, reference))
        return self._targets[reference]

    def _typed(self, name: str, schema: Mapping[str, Any], place: str) -> SearchStrategy[JsonValue]:
        match name:
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return _integers(schema)
            case "number":
                return _numbers(schema)
            case "string":
                return st.text(
                    min_size=schema.get("minLength", 0),
                    max_size=_most(schema, "minLength", "maxLength", 12),
                )
            case "array":
                return st.lists(
                    self.read(schema.get("items", True), f"{place}.items"),
                    min_size=schema.get("minItems", 0),
                    max_size=_most(schema, "minItems", "maxItems", _MORE),
                )
            case _:
                return self._object(schema, place)

    def _object(self, schema: Mapping[str, Any], place: str) -> SearchStrategy[JsonValue]:
        members = {
            name: self.read(each, f"{place}.properties.{name}")
            for name, each in schema.get("properties", {}).items()
        }
        rest = schema.get("additionalProperties", True)
        required = list(schema.get("required", ()))
        unnamed = [name for name in required if name not in members]
        if unnamed and rest is False:
            problem = f"it requires {', '.join(unnamed)} and allows no such property"
            raise UnsupportedSchemaError(place=place, problem=problem)
        others = st.nothing() if rest is False else self.read(rest, f"{place}.additionalProperties")
        members |= dict.fromkeys(unnamed, others)
        named = st.fixed_dictionaries(
            {name: members[name] for name in required},
            optional={name: each for name, each in members.items() if name not in required},
        )
        if rest is False:
            return named
        more = st.dictionaries(st.text(max_size=6), others, max_size=_MORE)
        # A named member wins over a surplus one that happens to have its name.
        return st.builds(
            lambda ours, theirs: {
                **{name: value for name, value in theirs.items() if name not in members},
                **ours,
            },
            named,
            more,
        )


def _types_of(schema: Mapping[str, Any], place: str) -> list[str]:
    given = schema.get("type", list(_BY_TYPE))
    names = [given] if isinstance(given, str) else list(given)
    if not names or not set(names) <= set(_BY_TYPE):
        raise UnsupportedSchemaError(place=place, problem=f"there is no type {compact(given)}")
    return names


def _listed(schema: Mapping[str, Any], types: list[str], place: str) -> SearchStrategy[JsonValue]:
    beside = set(schema) - _DESCRIBING - {"enum", "const", "type"}
    if beside:
        problem = f"{', '.join(sorted(beside))} beside a list of values"
        raise UnsupportedSchemaError(place=place, problem=problem)
    allowed = [schema["const"]] if "const" in schema else list(schema["enum"])
    fitting = [value for value in allowed if any(_has_type(value, name) for name in types)]
    if not fitting:
        raise UnsupportedSchemaError(place=place, problem="none of its values has its type")
    return st.sampled_from(fitting)


def _has_type(value: object, name: str) -> bool:
    match value:
        case None:
            return name == "null"
        case bool():
            return name == "boolean"
        case int():
            return name in ("integer", "number")
        case float():
            return name == "number" or (name == "integer" and value.is_integer())
        case str():
            return name == "string"
        case list():
            return name == "array"
        case _:
            return name == "object"


def _integers(schema: Mapping[str, Any]) -> SearchStrategy[JsonValue]:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lower = [math.ceil(least)] if least is not None else []
    lower += [math.floor(above) + 1] if above is not None else []
    upper = [math.floor(most)] if most is not None else []
    upper += [math.ceil(below) - 1] if below is not None else []
    return st.integers(max(lower, default=None), min(upper, default=None))


def _numbers(schema: Mapping[str, Any]) -> SearchStrategy[JsonValue]:
    # Whole numbers are numbers too, but between two bounds there may be none.
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lower, open_below = max(
        ((bound, at == 1) for at, bound in enumerate((least, above)) if bound is not None),
        default=(None, False),
    )
    upper, open_above = min(
        ((bound, at == 0) for at, bound in enumerate((below, most)) if bound is not None),
        default=(None, False),
    )
    return st.floats(
        lower,
        upper,
        allow_nan=False,
        allow_infinity=False,
        exclude_min=open_below,
        exclude_max=open_above,
    )


def _most(schema: Mapping[str, Any], least: str, most: str, more: int) -> int:
    """The bound on a size: the schema's, or a little more than it demands."""
    bound: int = schema.get(most, schema.get(least, 0) + more)
    return bound
