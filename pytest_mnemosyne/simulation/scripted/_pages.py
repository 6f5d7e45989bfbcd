"""Lists that the API gives out a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

from pytest_mnemosyne.simulation.scripted._errors import RequestRefusedError
from pytest_mnemosyne.wire import JsonObject

_DEFAULT_LIMIT = 20
_LARGEST_LIMIT = 1000


def page_of(items: Sequence[JsonObject], query: str) -> JsonObject:
    """The page of `items`, first ones first, that a query asks for.

    Raises:
        RequestRefusedError: `limit` is no number between 1 and 1000, or a cursor is no item's id.
    """
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = _limit(asked.get("limit"))
    ids = [str(item["id"]) for item in items]
    if "before_id" in asked:
        end = _place("before_id", asked["before_id"], ids)
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = _place("after_id", asked["after_id"], ids) + 1 if "after_id" in asked else 0
        end = min(len(items), start + limit)
        has_more = end < len(items)
    return {
        "data": list(items[start:end]),
        "has_more": has_more,
        "first_id": ids[start] if start < end else None,
        "last_id": ids[end - 1] if start < end else None,
    }


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT_LIMIT
    if not given.isdecimal() or not 1 <= int(given) <= _LARGEST_LIMIT:
        raise RequestRefusedError(
            400, f"limit: Input should be an integer between 1 and {_LARGEST_LIMIT}, got {given!r}"
        )
    return int(given)


def _place(name: str, cursor: str, ids: list[str]) -> int:
    if cursor not in ids:
        raise RequestRefusedError(400, f"{name}: no object has the id {cursor!r}")
    return ids.index(cursor)
