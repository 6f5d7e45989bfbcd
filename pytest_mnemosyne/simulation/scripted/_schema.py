"""Does a value follow a JSON schema? The part of JSON Schema that tools and answers use.

=========  ==================================================================
any value  `type`, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, `not`, `$ref`
           within the schema
objects    `properties`, `patternProperties`, `additionalProperties`,
           `required`, `minProperties`, `maxProperties`
arrays     `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`
strings    `minLength`, `maxLength`, `pattern`, `format`
numbers    `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`,
           `multipleOf`
=========  ==================================================================

Other keywords are hints to the model and not checked; nor are formats unknown here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit
from uuid import UUID

from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.wire import JsonObject, compact, mapping

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def violations(
    value: object, schema: JsonObject, *, root: JsonObject | None = None
) -> tuple[str, ...]:
    """What in `value` the schema forbids, each as `place: problem`; empty where all is well.

    Args:
        value: Any JSON.
        schema: What it should follow.
        root: Where references lead, if `schema` is only a part of a whole.

    Raises:
        ScriptError: The schema refers to something that is not in it, or has a pattern
            that Python does not read.
    """
    return tuple(_walk(value, schema, root=root or schema, place="$"))


def resolved(reference: str, root: JsonObject) -> object:
    """What a `$ref` stands for.

    Raises:
        ScriptError: It is not in the schema.
    """
    found: object = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            found = mapping(found).get(part.replace("~1", "/").replace("~0", "~"))
    if not reference.startswith("#") or found is None:
        raise ScriptError(f"the schema refers to {reference!r}, which is not in it")
    return found


def _walk(value: object, schema: object, *, root: JsonObject, place: str) -> Iterator[str]:
    if schema is False:
        yield f"{place}: nothing is allowed here"
    if not isinstance(schema, dict):
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _walk(value, resolved(reference, root), root=root, place=place)
    for branch in schema.get("allOf", ()):
        yield from _walk(value, branch, root=root, place=place)
    yield from _alternatives(value, schema, root=root, place=place)
    if "not" in schema and not any(_walk(value, schema["not"], root=root, place=place)):
        yield f"{place}: fits what it must not, {compact(schema['not'])}"
    if not _has_type(value, schema.get("type")):
        yield f"{place}: expected {compact(schema['type'])}, got {compact(value)[:80]}"
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{place}: expected {compact(schema['const'])}, got {compact(value)[:80]}"
    if "enum" in schema and not any(_same(value, allowed) for allowed in schema["enum"]):
        yield f"{place}: expected one of {compact(schema['enum'])}, got {compact(value)[:80]}"
    if isinstance(value, dict):
        yield from _walk_object(value, schema, root=root, place=place)
    elif isinstance(value, list):
        yield from _walk_array(value, schema, root=root, place=place)
    elif isinstance(value, str):
        yield from (f"{place}: {problem}" for problem in _text_problems(value, schema))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (f"{place}: {problem}" for problem in _number_problems(value, schema))


def _alternatives(
    value: object, schema: JsonObject, *, root: JsonObject, place: str
) -> Iterator[str]:
    for keyword in ("anyOf", "oneOf"):
        branches = schema.get(keyword)
        if not branches:
            continue
        found = [list(_walk(value, branch, root=root, place=place)) for branch in branches]
        fitting = sum(not problems for problems in found)
        if fitting == 0:
            yield f"{place}: fits none of {len(branches)} alternatives ({min(found, key=len)[0]})"
        elif keyword == "oneOf" and fitting > 1:
            yield f"{place}: fits {fitting} alternatives, where exactly one is allowed"


def _walk_object(
    value: Mapping[str, object], schema: JsonObject, *, root: JsonObject, place: str
) -> Iterator[str]:
    properties = mapping(schema.get("properties"))
    patterns = mapping(schema.get("patternProperties"))
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}: {name!r} is required"
    yield from _size_problems(len(value), schema, "Properties", place)
    for name, item in value.items():
        below = f"{place}.{name}"
        fitting = [patterns[pattern] for pattern in patterns if matches(pattern, name)]
        if name in properties:
            fitting.append(properties[name])
        for inner in fitting:
            yield from _walk(item, inner, root=root, place=below)
        if fitting:
            continue
        if schema.get("additionalProperties") is False:
            yield f"{place}: {name!r} is not in the schema"
        else:
            yield from _walk(item, schema.get("additionalProperties"), root=root, place=below)


def _walk_array(
    value: list[object], schema: JsonObject, *, root: JsonObject, place: str
) -> Iterator[str]:
    yield from _size_problems(len(value), schema, "Items", place)
    first = schema.get("prefixItems", ())
    for index, item in enumerate(value):
        inner = first[index] if index < len(first) else schema.get("items")
        yield from _walk(item, inner, root=root, place=f"{place}[{index}]")
    if schema.get("uniqueItems") is True:
        again = [item for n, item in enumerate(value) if any(_same(item, x) for x in value[:n])]
        if again:
            yield f"{place}: {compact(again[0])[:80]} is there more than once"


def _size_problems(size: int, schema: JsonObject, what: str, place: str) -> Iterator[str]:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if least is not None and size < least:
        yield f"{place}: expected at least {least} {what.lower()}, got {size}"
    if most is not None and size > most:
        yield f"{place}: expected at most {most} {what.lower()}, got {size}"


def _text_problems(value: str, schema: JsonObject) -> Iterator[str]:
    for problem in _size_problems(len(value), schema, "Length", ""):
        yield problem.removeprefix(": ").replace("length", "characters")
    pattern = schema.get("pattern")
    if pattern is not None and not matches(pattern, value):
        yield f"expected what {pattern!r} matches, got {compact(value)[:80]}"
    read = FORMATS.get(str(schema.get("format")))
    if read is not None and not _is_read(read, value):
        yield f"expected a {schema['format']}, got {compact(value)[:80]}"


def matches(pattern: str, value: str) -> bool:
    """Whether a schema's pattern is found in a text.

    Raises:
        ScriptError: It is none that Python reads.
    """
    try:
        return re.search(pattern, value) is not None
    except re.error as error:
        raise ScriptError(
            f"the schema has the pattern {pattern!r}, which Python does not read: {error}"
        ) from error


def _is_read(read: Callable[[str], object], value: str) -> bool:
    try:
        return bool(read(value))
    except ValueError:
        return False


def _is_date_time(value: str) -> bool:
    return "T" in value.upper() and datetime.fromisoformat(value).tzinfo is not None


FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": _is_date_time,
    "date": lambda value: len(value) == 10 and bool(date.fromisoformat(value)),
    "time": lambda value: bool(str(time.fromisoformat(value))),
    "email": lambda value: re.fullmatch(r"[^@\s]+@[^@\s]+", value),
    "uuid": lambda value: len(value) == 36 and bool(UUID(value)),
    "uri": lambda value: urlsplit(value).scheme and not re.search(r"\s", value),
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
    "hostname": lambda value: re.fullmatch(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", value),
}
"""What reads a text of a format; false or a `ValueError` where it is none."""


def _number_problems(value: float, schema: JsonObject) -> Iterator[str]:
    shown = compact(value)
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    step = schema.get("multipleOf")
    if least is not None and value < least:
        yield f"expected {least} or more, got {shown}"
    if most is not None and value > most:
        yield f"expected {most} or less, got {shown}"
    if above is not None and value <= above:
        yield f"expected more than {above}, got {shown}"
    if below is not None and value >= below:
        yield f"expected less than {below}, got {shown}"
    # As they are written down: in binary, 0.3 is no multiple of 0.1.
    if step and Fraction(repr(value)) % Fraction(repr(step)) != 0:
        yield f"expected a multiple of {step}, got {shown}"


def _has_type(value: object, wanted: object) -> bool:
    if wanted is None:
        return True
    names = wanted if isinstance(wanted, list) else [wanted]
    return any(_is(value, str(name)) for name in names)


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name, (object,)))


def _same(one: object, other: object) -> bool:
    # In Python 1 == True; in JSON they are two things.
    return isinstance(one, bool) == isinstance(other, bool) and one == other
