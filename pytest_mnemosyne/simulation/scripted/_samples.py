"""A value that follows a JSON schema, the same one every time.

Candidates are made from what the schema says, the most telling first, and the first that
has no violations is the sample. So what is hard to build towards (`not`, `oneOf`, a
length beside a pattern) only has to be among the candidates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from typing import Any

from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.simulation.scripted._patterns import texts_for
from pytest_mnemosyne.simulation.scripted._schema import matches, resolved, violations
from pytest_mnemosyne.wire import JsonObject, compact, mapping

_TRIES = 100
"""How many candidates are tried in one place before it is given up."""

_OF_FORMAT = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
}

_TYPE_OF_KEYWORD = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}


def sample_of(schema: JsonObject) -> object:
    """A value that follows the schema.

    Raises:
        ScriptError: None was found; the text says where, and for what.
    """
    sampler = _Sampler(schema)
    for value in sampler.valid(schema, "text"):
        return value
    place, hard = sampler.hardest or ("$", schema)
    raise ScriptError(
        f"no value can be improvised that follows {compact(hard)[:200]} at {place}; answer this "
        "request in the script"
    )


_References = frozenset[str]
"""Those that are being followed: a value ends where one of them would come again."""


class _Sampler:
    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._place = ["$"]
        self.hardest: tuple[str, object] | None = None
        """The innermost place for which no value was found, and its schema."""

    def valid(
        self, schema: object, name: str, followed: _References = frozenset()
    ) -> Iterator[object]:
        """Different values that follow a part of the schema.

        Args:
            schema: The part.
            name: What stands for a text there.
            followed: The references that led there.
        """
        found: list[object] = []
        for value in itertools.islice(self._candidates(schema, name, followed), _TRIES):
            if isinstance(schema, dict) and violations(value, schema, root=self._root):
                continue
            if value not in found:
                found.append(value)
                yield value
        if not found and self.hardest is None:
            self.hardest = ("".join(self._place), schema)

    def _candidates(self, schema: object, name: str, followed: _References) -> Iterator[object]:
        if schema is False:
            return
        known = dict(mapping(schema))
        if "const" in known:
            yield known["const"]
        elif "enum" in known:
            yield from known["enum"]
        elif (reference := known.pop("$ref", None)) is not None:
            if reference not in followed:
                merged = _merged(known, resolved(str(reference), self._root))
                yield from self._candidates(merged, name, followed | {reference})
        elif (branches := known.pop("allOf", None)) is not None:
            # One after the other: what a branch refers to is merged when it has its turn.
            first, *rest = branches or [True]
            merged = _merged(known, first) | ({"allOf": rest} if rest else {})
            yield from self._candidates(merged, name, followed)
        elif (branches := known.pop("anyOf", None) or known.pop("oneOf", None)) is not None:
            telling_first = sorted(branches, key=lambda each: mapping(each).get("type") == "null")
            merged_ones = (_merged(known, branch) for branch in telling_first)
            yield from _in_turn([self._candidates(one, name, followed) for one in merged_ones])
        else:
            yield from known.get("examples", ())
            kinds = _types(known)
            yield from _in_turn([self._of_type(kind, known, name, followed) for kind in kinds])

    def _of_type(
        self, kind: str, schema: JsonObject, name: str, followed: _References
    ) -> Iterator[object]:
        match kind:
            case "object":
                yield from self._objects(schema, followed)
            case "array":
                yield from self._arrays(schema, name, followed)
            case "string":
                yield from _texts(schema, name)
            case "integer" | "number":
                yield from _numbers(schema, whole=kind == "integer")
            case "boolean":
                yield from (True, False)
            case "null":
                yield None

    def _objects(self, schema: JsonObject, followed: _References) -> Iterator[object]:
        properties = mapping(schema.get("properties"))
        required = tuple(schema.get("required", ()))
        made: JsonObject = {}
        for name in (*properties, *(name for name in required if name not in properties)):
            value = self._property(schema, name, followed)
            if value:
                made[name] = value[0]
            elif name in required:
                return
        yield made
        yield {name: value for name, value in made.items() if name in required}
        # More than the schema names, where it asks for a number of them.
        extra = (f"key_{number}" for number in itertools.count(1))
        while len(made) < schema.get("minProperties", 0):
            name = next(extra)
            value = self._property(schema, name, followed)
            if not value:
                return
            made = made | {name: value[0]}
        yield made

    def _property(self, schema: JsonObject, name: str, followed: _References) -> list[object]:
        """A value for a property, in a list; an empty one where there is none."""
        properties = mapping(schema.get("properties"))
        patterns = mapping(schema.get("patternProperties"))
        fitting = [inner for pattern, inner in patterns.items() if matches(pattern, name)]
        if name in properties:
            fitting.append(properties[name])
        inner: object = schema.get("additionalProperties", True)
        if fitting:
            inner = fitting[0] if len(fitting) == 1 else {"allOf": fitting}
        return self._first(inner, name, followed, place=f".{name}")

    def _arrays(self, schema: JsonObject, name: str, followed: _References) -> Iterator[object]:
        first = list(schema.get("prefixItems", ()))
        least = int(schema.get("minItems", 0))
        wanted = min(max(least, len(first), 1), int(schema.get("maxItems", max(least, 1_000))))
        items: list[object] = []
        for index in range(wanted):
            inner = first[index] if index < len(first) else schema.get("items", True)
            taken = items if schema.get("uniqueItems") is True else []
            value = self._first(inner, name, followed, place=f"[{index}]", taken=taken)
            if not value:
                break
            items.append(value[0])
        yield items
        yield items[:least]

    def _first(
        self,
        schema: object,
        name: str,
        followed: _References,
        *,
        place: str,
        taken: Collection[object] = (),
    ) -> list[object]:
        """The first value that is not taken, in a list; an empty one where there is none."""
        self._place.append(place)
        try:
            fresh = (value for value in self.valid(schema, name, followed) if value not in taken)
            return list(itertools.islice(fresh, 1))
        finally:
            self._place.pop()


def _types(schema: JsonObject) -> list[str]:
    """The types that a value may have, the empty one last."""
    given = schema.get("type")
    if given is None:
        hinted = (kind for word, kind in _TYPE_OF_KEYWORD.items() if word in schema)
        return [next(hinted, "string")]
    kinds = [str(kind) for kind in (given if isinstance(given, list) else [given])]
    return sorted(kinds, key=lambda kind: kind == "null")


def _merged(one: Mapping[str, Any], other: object) -> JsonObject:
    """Two schemas as one that is as strict as both, so far as it matters to candidates."""
    merged = dict(one)
    for key, value in mapping(other).items():
        if key not in merged:
            merged[key] = value
        elif key == "properties":
            inner = dict(merged[key])
            for name, schema in mapping(value).items():
                inner[name] = _merged(mapping(inner.get(name)), schema)
            merged[key] = inner
        elif key == "required":
            merged[key] = [*merged[key], *(name for name in value if name not in merged[key])]
        elif key == "type":
            merged[key] = _common_types(merged[key], value)
        elif key.startswith(("min", "exclusiveMin")):
            merged[key] = max(merged[key], value)
        elif key.startswith(("max", "exclusiveMax")):
            merged[key] = min(merged[key], value)
        elif key in ("anyOf", "oneOf"):
            merged[key] = [_merged(mapping(branch), {key: value}) for branch in merged[key]]
        elif key == "allOf":
            merged[key] = [*merged[key], *value]
    return merged if other is not False else {"not": {}}


def _common_types(one: object, other: object) -> list[str]:
    first, second = ([str(k) for k in (t if isinstance(t, list) else [t])] for t in (one, other))
    common = [kind for kind in first if kind in second]
    if "integer" in (*first, *second) and "number" in (*first, *second):
        common.append("integer")
    return common


def _texts(schema: JsonObject, name: str) -> Iterator[str]:
    if "pattern" in schema:
        yield from texts_for(str(schema["pattern"]))
        return
    wanted = _OF_FORMAT.get(str(schema.get("format")))
    if wanted is not None:
        yield wanted
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    for number in itertools.count(1):
        said = name if number == 1 else f"{name} {number}"
        if len(said) < least:
            said = said.ljust(least, "x")
        yield said if most is None or len(said) <= most else str(number).rjust(least, "0")[:most]


def _numbers(schema: JsonObject, *, whole: bool) -> Iterator[float]:
    """Multiples of the schema's step, from the lower bound up or the upper one down.

    Where the schema has none it is 1, or 0.5 for numbers that need not be whole.
    """
    lows = [schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema]
    step = _exact(schema.get("multipleOf", 1 if whole else 0.5))
    low, high = (_exact(max(lows)) if lows else None), (_exact(min(highs)) if highs else None)
    if low is None and high is not None and high < 1:
        numbers = itertools.count(math.floor(high / step), -1)
    else:
        # 1 says more than 0 where both will do.
        numbers = itertools.count(math.ceil((1 if low is None else low) / step))
    for number in numbers:
        value = number * step
        if low is not None and high is not None and value > high:
            break
        yield int(value) if value.denominator == 1 else float(value)
    if not whole and low is not None and high is not None:
        yield float((low + high) / 2)


def _exact(number: float) -> Fraction:
    """A number as it is written down; in binary 0.1 is another one."""
    return Fraction(repr(number))


def _in_turn(candidates: list[Iterator[object]]) -> Iterator[object]:
    """One of each, then the next of each: none that has no end hides the others."""
    while candidates:
        for each in list(candidates):
            try:
                yield next(each)
            except StopIteration:
                candidates.remove(each)
