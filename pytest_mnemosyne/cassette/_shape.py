"""Plain data of a file, taken with a check that it is of the shape that the format says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, overload

from pytest_mnemosyne.cassette._yaml import ShapeProblem, Where

_T = TypeVar("_T")
_D = TypeVar("_D")

_REQUIRED: Final[Any] = object()

_WORDS: Final = {
    dict: "a mapping",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
}


def words_for(kind: type) -> str:
    """What a reader of YAML calls a value of this kind."""
    return _WORDS.get(kind, f"a {kind.__name__}")


@overload
def take(mapping: Mapping[str, Any], key: str, kind: type[_T], where: Where) -> _T: ...
@overload
def take(
    mapping: Mapping[str, Any], key: str, kind: type[_T], where: Where, default: _D
) -> _T | _D: ...
def take(
    mapping: Mapping[str, Any],
    key: str,
    kind: type[_T],
    where: Where,
    default: object = _REQUIRED,
) -> object:
    """`mapping[key]`, which must be a `kind`, or the default where there is none.

    Raises:
        ShapeProblem: It is of another kind, or is missing and has no default.
    """
    if key not in mapping:
        if default is _REQUIRED:
            raise ShapeProblem(where, f"{key} is missing")
        return default
    value = mapping[key]
    # YAML's `true` is an int to Python and to nobody else.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ShapeProblem(
            (*where, key), f"{key} is {words_for(type(value))}, where {words_for(kind)} is expected"
        )
    return value


def number(mapping: Mapping[str, object], key: str, where: Where, default: float) -> float:
    """`mapping[key]`, which must be a number."""
    value = mapping.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ShapeProblem(
            (*where, key), f"{key} is {words_for(type(value))}, where a number is expected"
        )
    return float(value)


def texts(values: Iterable[object], where: Where) -> list[str]:
    """`values`, which must be texts."""
    found = []
    for at, value in enumerate(values):
        if not isinstance(value, str):
            raise ShapeProblem((*where, at), f"{value!r} is {words_for(type(value))}, not a text")
        found.append(value)
    return found


def mapping(value: object, where: Where, what: str) -> Mapping[str, Any]:
    """`value`, which must be a mapping; `what` says what it is."""
    if not isinstance(value, dict):
        raise ShapeProblem(
            where, f"{what} is {words_for(type(value))}, where a mapping is expected"
        )
    return value
