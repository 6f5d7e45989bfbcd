"""Does a value follow a JSON schema? The part of JSON Schema that structured output takes.

Types, `properties`, `required`, `additionalProperties`, `items`, `enum`, `const`,
`anyOf`, `oneOf`, `allOf`, and `$ref` within the schema. Other keywords, such as
`format` or `minimum`, are hints to the model and not checked, as the API does not
hold an answer to them either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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


def violations(value: object, schema: JsonObject) -> tuple[str, ...]:
    """What in `value` the schema forbids, each as `place: problem`; empty where all is well."""
    return tuple(_walk(value, schema, root=schema, place="$"))


def _walk(value: object, schema: object, *, root: JsonObject, place: str) -> Iterator[str]:
    if schema is False:
        yield f"{place}: nothing is allowed here"
    if not isinstance(schema, dict):
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _walk(value, _target(reference, root), root=root, place=place)
    for branch in schema.get("allOf", ()):
        yield from _walk(value, branch, root=root, place=place)
    yield from _alternatives(value, schema, root=root, place=place)
    if not _has_type(value, schema.get("type")):
        yield f"{place}: expected {compact(schema['type'])}, got {compact(value)[:80]}"
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{place}: expected {compact(schema['const'])}, got {compact(value)[:80]}"
    if "enum" in schema and not any(_same(value, allowed) for allowed in schema["enum"]):
        yield f"{place}: expected one of {compact(schema['enum'])}, got {compact(value)[:80]}"
    if isinstance(value, dict):
        yield from _walk_object(value, schema, root=root, place=place)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _walk(item, schema["items"], root=root, place=f"{place}[{index}]")


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
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}: {name!r} is required"
    for name, item in value.items():
        below = f"{place}.{name}"
        if name in properties:
            yield from _walk(item, properties[name], root=root, place=below)
        elif schema.get("additionalProperties") is False:
            yield f"{place}: {name!r} is not in the schema"
        else:
            yield from _walk(item, schema.get("additionalProperties"), root=root, place=below)


def _target(reference: str, root: JsonObject) -> object:
    found: object = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            found = mapping(found).get(part.replace("~1", "/").replace("~0", "~"))
    return found


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
