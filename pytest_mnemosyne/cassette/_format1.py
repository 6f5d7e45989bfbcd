"""Cassette format 1: from a cassette's contents to plain data for YAML, and back.

Messages, system texts and tool lists repeat from turn to turn, so each is stored
once, under `parts`, in order of first use; request bodies name them. In a JSON
object that is a request's body the values of `system` and `tools` and the items
of a list of `messages` are always names, so a message that happens to be the text
"m1" is no question. A reader also takes these values in place, for files that
people write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any, Final, TypeVar

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._bodies import read_body, write_body
from pytest_mnemosyne.cassette._contents import (
    API_ORIGIN,
    FORMAT,
    CassetteFile,
    Recorded,
    StandIns,
    split_url,
)
from pytest_mnemosyne.cassette._interaction import (
    Chunk,
    Headers,
    Interaction,
    Outcome,
    Request,
    Response,
)
from pytest_mnemosyne.cassette._json_styles import parse_exactly, print_json
from pytest_mnemosyne.cassette._yaml import Flow, FlowList, ShapeProblem, Where
from pytest_mnemosyne.wire import header, looks_like_sse

_T = TypeVar("_T")

_WHOLE_VALUES: Final = (("system", "s"), ("tools", "t"))
"""The keys of a request whose value is one part, and the first letter of its name."""

_KINDS: Final = ("ids", "folders", "clock")
"""The kinds of values that differ from run to run."""

_HEADERS_ON_A_LINE: Final = 3


# --- writing ---------------------------------------------------------------------------


def to_document(file: CassetteFile) -> dict[str, object]:
    """The plain data of `file`, whose interactions are in their stored form."""
    parts = _Parts()
    interactions = [_write_interaction(one, parts) for one in file.interactions]
    document: dict[str, object] = {"mnemosyne": FORMAT}
    if file.recorded is not None:
        document["recorded"] = _write_recorded(file.recorded)
    document["loosened"] = list(file.loosened)
    if file.volatile:
        document["volatile"] = _write_volatile(file.volatile)
    document["parts"] = parts.named
    document["interactions"] = interactions
    return document


class _Parts:
    """The values that are stored once, with the names they got."""

    def __init__(self) -> None:
        self.named: dict[str, object] = {}
        self._names: dict[tuple[str, bytes], str] = {}
        self._counts: dict[str, int] = {}

    def name(self, letter: str, value: object) -> str:
        """The name of `value`, a new one if it was not seen before."""
        # Printed, because 1, 1.0 and True are equal in Python and differ on the wire.
        key = (letter, print_json(value))
        if key not in self._names:
            self._counts[letter] = self._counts.get(letter, 0) + 1
            self._names[key] = f"{letter}{self._counts[letter]}"
            self.named[self._names[key]] = value
        return self._names[key]

    def extract(self, body: Mapping[str, Any]) -> dict[str, object]:
        """`body` with names in place of its parts."""
        named: dict[str, object] = {}
        letters = dict(_WHOLE_VALUES)
        for key, value in body.items():
            if key in letters:
                named[key] = self.name(letters[key], value)
            elif key == "messages" and isinstance(value, list):
                named[key] = FlowList(self.name("m", message) for message in value)
            else:
                named[key] = value
        return named


def _write_recorded(recorded: Recorded) -> dict[str, object]:
    written: dict[str, object] = {"source": recorded.source}
    if recorded.at is not None:
        written["at"] = recorded.at
    if recorded.test is not None:
        written["test"] = recorded.test
    if recorded.versions:
        written["with"] = dict(recorded.versions)
    return written


def _write_volatile(volatile: StandIns) -> dict[str, object]:
    kinds = {name: getattr(volatile, name) for name in _KINDS}
    return {name: FlowList(stand_ins) for name, stand_ins in kinds.items() if stand_ins}


def _write_interaction(interaction: Interaction, parts: _Parts) -> dict[str, object]:
    written: dict[str, object] = {}
    if interaction.lane is not None:
        written["lane"] = interaction.lane.agent
        written["attempt"] = interaction.lane.attempt
    written["request"] = _write_request(interaction.request, parts)
    if interaction.response is not None:
        written["response"] = _write_response(interaction.response)
    written["outcome"] = interaction.outcome.value
    written["took"] = interaction.took_s
    return written


def _write_request(request: Request, parts: _Parts) -> dict[str, object]:
    origin, path = split_url(request.url)
    written: dict[str, object] = {"method": request.method}
    if origin != API_ORIGIN:
        written["origin"] = origin
    written["path"] = path
    if request.headers:
        written["headers"] = _write_headers(request.headers)
    found = parse_exactly(request.body)
    if found is None or not isinstance(found[0], dict):
        return {**written, **write_body(request.body)}
    # The first pass proved that it can be given back; the names replace values in it.
    return {**written, **write_body(request.body), "body": parts.extract(found[0])}


def _write_response(response: Response) -> dict[str, object]:
    written: dict[str, object] = {"status": response.status}
    if response.headers:
        written["headers"] = _write_headers(response.headers)
    declared = header(response.headers, "content-type") or ""
    is_stream = declared.startswith("text/event-stream") or looks_like_sse(response.body)
    written |= write_body(response.body, stream=is_stream)
    if response.chunks:
        written["chunks"] = FlowList(
            FlowList([len(chunk.data), chunk.at_s]) for chunk in response.chunks
        )
    return written


def _write_headers(headers: Headers) -> dict[str, object]:
    grouped: dict[str, object] = {}
    for name, value in headers:
        values = grouped.setdefault(name, FlowList())
        assert isinstance(values, FlowList)
        values.append(value)
    return Flow(grouped) if len(grouped) <= _HEADERS_ON_A_LINE else grouped


# --- reading ---------------------------------------------------------------------------


def from_document(document: Mapping[str, object]) -> CassetteFile:
    """The contents that the plain data of a file of format 1 stands for.

    Raises:
        ShapeProblem: A value is missing, or is not what the format says.
    """
    parts = _take(document, "parts", dict, (), {})
    items = _take(document, "interactions", list, ())
    return CassetteFile(
        recorded=_read_recorded(_take(document, "recorded", dict, (), None)),
        loosened=tuple(_texts(_take(document, "loosened", list, (), []), ("loosened",))),
        volatile=_read_volatile(_take(document, "volatile", dict, (), {})),
        interactions=tuple(
            _read_interaction(item, parts, ("interactions", at)) for at, item in enumerate(items)
        ),
    )


_REQUIRED: Final[Any] = object()


def _take(
    mapping: Mapping[str, Any], key: str, kind: type[_T], where: Where, default: Any = _REQUIRED
) -> Any:
    """`mapping[key]`, which must be a `kind`, or the default where there is none."""
    if key not in mapping:
        if default is _REQUIRED:
            raise ShapeProblem(where, f"{key} is missing")
        return default
    value = mapping[key]
    # YAML's `true` is an int to Python and to nobody else.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ShapeProblem(
            (*where, key), f"{key} is {_an(type(value))}, where {_an(kind)} is expected"
        )
    return value


_WORDS: Final = {
    dict: "a mapping",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
}


def _an(kind: type) -> str:
    return _WORDS.get(kind, f"a {kind.__name__}")


def _number(mapping: Mapping[str, Any], key: str, where: Where, default: float) -> float:
    value = mapping.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ShapeProblem(
            (*where, key), f"{key} is {_an(type(value))}, where a number is expected"
        )
    return float(value)


def _texts(values: Iterable[object], where: Where) -> list[str]:
    texts = []
    for at, value in enumerate(values):
        if not isinstance(value, str):
            raise ShapeProblem((*where, at), f"{value!r} is {_an(type(value))}, not a text")
        texts.append(value)
    return texts


def _mapping(value: object, where: Where, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ShapeProblem(where, f"{what} is {_an(type(value))}, where a mapping is expected")
    return value


def _read_recorded(written: Mapping[str, Any] | None) -> Recorded | None:
    if written is None:
        return None
    where = ("recorded",)
    versions = _take(written, "with", dict, where, {})
    _texts(versions.values(), (*where, "with"))
    return Recorded(
        source=_take(written, "source", str, where),
        at=_read_date(written.get("at"), (*where, "at")),
        test=_take(written, "test", str, where, None),
        versions=MappingProxyType({str(name): text for name, text in versions.items()}),
    )


def _read_volatile(written: Mapping[str, Any]) -> StandIns:
    where = ("volatile",)
    unknown = sorted(map(str, written.keys() - set(_KINDS)))
    if unknown:
        raise ShapeProblem(where, f"{', '.join(unknown)}: the kinds are {', '.join(_KINDS)}")
    return StandIns(
        **{
            kind: tuple(_texts(_take(written, kind, list, where, []), (*where, kind)))
            for kind in _KINDS
        }
    )


def _read_date(value: object, where: Where) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ShapeProblem(where, f"no date: {error}") from error
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise ShapeProblem(where, f"at is {_an(type(value))}, where a date and time is expected")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _read_interaction(item: object, parts: Mapping[str, Any], where: Where) -> Interaction:
    written = _mapping(item, where, "an interaction")
    agent = _take(written, "lane", str, where, None)
    response = _take(written, "response", dict, where, None)
    outcome = _take(written, "outcome", str, where, Outcome.COMPLETE.value)
    if outcome not in set(Outcome):
        known = ", ".join(Outcome)
        raise ShapeProblem((*where, "outcome"), f"no outcome {outcome!r}; there are {known}")
    return Interaction(
        request=_read_request(_take(written, "request", dict, where), parts, (*where, "request")),
        response=None if response is None else _read_response(response, (*where, "response")),
        outcome=Outcome(outcome),
        lane=None if agent is None else Lane(agent, _take(written, "attempt", int, where, 1)),
        took_s=_number(written, "took", where, 0.0),
    )


def _read_request(written: Mapping[str, Any], parts: Mapping[str, Any], where: Where) -> Request:
    body = written.get("body")
    if isinstance(body, dict):
        written = {**written, "body": _insert(body, parts, (*where, "body"))}
    origin = _take(written, "origin", str, where, API_ORIGIN)
    return Request(
        method=_take(written, "method", str, where),
        url=origin + _take(written, "path", str, where),
        headers=_read_headers(_take(written, "headers", dict, where, {}), (*where, "headers")),
        body=_body(written, where),
    )


def _insert(body: Mapping[str, Any], parts: Mapping[str, Any], where: Where) -> dict[str, object]:
    """`body` with its parts in place of their names."""
    whole = dict(_WHOLE_VALUES)
    inserted: dict[str, object] = {}
    for key, value in body.items():
        if key in whole:
            inserted[key] = _part(value, parts, (*where, key))
        elif key == "messages" and isinstance(value, list):
            inserted[key] = [_part(name, parts, (*where, key, at)) for at, name in enumerate(value)]
        else:
            inserted[key] = value
    return inserted


def _part(name: object, parts: Mapping[str, Any], where: Where) -> object:
    if not isinstance(name, str):
        return name
    if name not in parts:
        raise ShapeProblem(where, f"there is no part called {name!r}")
    return parts[name]


def _read_response(written: Mapping[str, Any], where: Where) -> Response:
    body = _body(written, where)
    return Response(
        status=_take(written, "status", int, where),
        headers=_read_headers(_take(written, "headers", dict, where, {}), (*where, "headers")),
        body=body,
        chunks=_read_chunks(_take(written, "chunks", list, where, []), body, (*where, "chunks")),
    )


def _body(written: Mapping[str, Any], where: Where) -> bytes:
    try:
        return read_body(written)
    except ShapeProblem as problem:
        raise ShapeProblem((*where, *problem.where), problem.problem) from problem


def _read_headers(written: Mapping[str, Any], where: Where) -> Headers:
    headers: list[tuple[str, str]] = []
    for name, values in written.items():
        listed = values if isinstance(values, list) else [values]
        headers.extend((str(name), value) for value in _texts(listed, (*where, name)))
    return tuple(headers)


def _read_chunks(written: list[object], body: bytes, where: Where) -> tuple[Chunk, ...]:
    sizes: list[int] = []
    times_s: list[float] = []
    for at, item in enumerate(written):
        match item:
            case [int(size), int() | float() as at_s] if size >= 0:
                sizes.append(size)
                times_s.append(float(at_s))
            case _:
                raise ShapeProblem((*where, at), "a chunk is [bytes, seconds]")
    if written and sum(sizes) != len(body):
        raise ShapeProblem(where, f"the chunks hold {sum(sizes)} bytes and the body {len(body)}")
    cuts = pairwise(accumulate(sizes, initial=0))
    return tuple(
        Chunk(data=body[start:end], at_s=at_s)
        for (start, end), at_s in zip(cuts, times_s, strict=True)
    )
