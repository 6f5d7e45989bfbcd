r"""Texts that a pattern matches, made from the pattern itself.

Only what the text is made of is followed: characters, sets, repeats, groups,
alternatives. What looks around (`\b`, `(?=...)`) puts nothing into the text, and whoever
asked sees by matching whether it was met all the same.
"""

from __future__ import annotations

import importlib
import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_mnemosyne.simulation.scripted._errors import ScriptError

# The parser of `re` has no public name; what its trees look like, the tests hold.
_parser: Any = importlib.import_module("re._parser")

_ALPHABET = string.ascii_letters + string.digits + " _-.,:;/+*=@#%&!?()[]{}<>'\"\\|^~`$\t\n"
_LONGER = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 256)
"""By how much a repeat is longer than it has to be, from one text to the next."""


def texts_for(pattern: str) -> Iterator[str]:
    """Texts that the pattern matches, or is likely to, from the shortest on.

    Raises:
        ScriptError: The pattern is none that Python reads, or needs what is not followed.
    """
    try:
        tree = _parser.parse(pattern)
    except re.error as error:
        raise ScriptError(
            f"the schema has the pattern {pattern!r}, which Python does not read: {error}"
        ) from error
    for longer in _LONGER:
        yield "".join(_text(operation, argument, longer, pattern) for operation, argument in tree)


def _text(operation: object, argument: Any, longer: int, pattern: str) -> str:
    match str(operation):
        case "LITERAL":
            return chr(int(argument))
        case "NOT_LITERAL":
            return _first_not_in({chr(argument)})
        case "ANY":
            return "a"
        case "IN":
            return _of_set(argument, pattern)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inner = argument
            times: int = min(int(most), int(least) + longer)
            return _sequence(inner, 0, pattern) * times
        case "SUBPATTERN":
            return _sequence(argument[-1], longer, pattern)
        case "ATOMIC_GROUP":
            return _sequence(argument, longer, pattern)
        case "BRANCH":
            return _sequence(argument[1][0], longer, pattern)
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return ""
        case unknown:
            raise ScriptError(
                f"no text can be improvised for the pattern {pattern!r}: it uses "
                f"{unknown.lower()}; answer this request in the script"
            )


def _sequence(tree: Sequence[tuple[object, Any]], longer: int, pattern: str) -> str:
    return "".join(_text(operation, argument, longer, pattern) for operation, argument in tree)


def _of_set(items: Sequence[tuple[object, Any]], pattern: str) -> str:
    if str(items[0][0]) != "NEGATE":
        return _members(items[0], pattern)[0]
    return _first_not_in({char for item in items[1:] for char in _members(item, pattern)})


def _members(item: tuple[object, Any], pattern: str) -> str:
    """Characters of one part of a set, of a range all."""
    operation, argument = item
    match str(operation):
        case "LITERAL":
            return chr(argument)
        case "RANGE":
            return "".join(map(chr, range(argument[0], argument[1] + 1)))
        case "CATEGORY":
            return "".join(c for c in _ALPHABET if re.match(_CATEGORIES[str(argument)], c))
        case unknown:
            raise ScriptError(
                f"no text can be improvised for the pattern {pattern!r}: it uses "
                f"{unknown.lower()} in a set; answer this request in the script"
            )


_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def _first_not_in(forbidden: set[str]) -> str:
    return next((char for char in _ALPHABET if char not in forbidden), "\u00e9")
