"""Cassette format 1: from a cassette's contents to plain data for YAML, and back.

Messages, system texts and tool lists repeat from turn to turn, so each is stored
once, under `parts`, in order of first use; request bodies name them. In a JSON
object that is a request's body the values of `system` and `tools` and the items
of a list of `messages` are always names, so a message that happens to be the text
"m1" is no question. A reader also takes these values in place, for files that
people write. An answer whose content comes back as a message is stored as that one.

A file ends with a line of its own, since half of one is mostly good YAML, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._bodies import read_body, read_style, write_body
from pytest_mnemosyne.cassette._contents import (
    API_ORIGIN,
    FORMAT,
    CassetteFile,
    Recorded,
    StandIns,
    split_url,
)
from pytest_mnemosyne.cassette._interaction import (
    Headers,
    Interaction,
    Outcome,
    Request,
    Response,
)
from pytest_mnemosyne.cassette._json_styles import COMPACT
from pytest_mnemosyne.cassette._parts import NamedParts, Parts
from pytest_mnemosyne.cassette._resent import ResentAnswers
from pytest_mnemosyne.cassette._shape import mapping, number, take, texts, words_for
from pytest_mnemosyne.cassette._stored_answers import read_answer_body, write_answer
from pytest_mnemosyne.cassette._yaml import Flow, FlowList, ShapeProblem, Where

END_LINE: Final = b"...\n"
"""YAML's end of a document: a file without it that says when it was recorded is cut off."""

_KINDS: Final = ("ids", "folders", "clock")
"""The kinds of values that differ from run to run."""

_HEADERS_ON_A_LINE: Final = 3


# --- writing ---------------------------------------------------------------------------


def to_document(file: CassetteFile) -> dict[str, object]:
    """The plain data of `file`, whose interactions are in their stored form."""
    parts = NamedParts()
    # All requests first: which answers come back is known only when all have been seen.
    requests = [_write_request(one.request, parts) for one in file.interactions]
    resent = ResentAnswers(parts.named)
    interactions = [
        _write_interaction(one, request, parts, resent)
        for one, request in zip(file.interactions, requests, strict=True)
    ]
    document: dict[str, object] = {"mnemosyne": FORMAT}
    if file.recorded is not None:
        document["recorded"] = _write_recorded(file.recorded)
    document["loosened"] = list(file.loosened)
    if file.volatile:
        document["volatile"] = _write_volatile(file.volatile)
    document["parts"] = parts.named
    document["interactions"] = interactions
    return document


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


def _write_interaction(
    interaction: Interaction,
    request: dict[str, object],
    parts: NamedParts,
    resent: ResentAnswers,
) -> dict[str, object]:
    written: dict[str, object] = {}
    if interaction.lane is not None:
        written["lane"] = interaction.lane.agent
        written["attempt"] = interaction.lane.attempt
    written["request"] = request
    if interaction.response is not None:
        written["response"] = _write_response(interaction.response, parts, resent)
    written["outcome"] = interaction.outcome.value
    written["took"] = interaction.took_s
    return written


def _write_request(request: Request, parts: NamedParts) -> dict[str, object]:
    origin, path = split_url(request.url)
    written: dict[str, object] = {"method": request.method}
    if origin != API_ORIGIN:
        written["origin"] = origin
    written["path"] = path
    if request.headers:
        written["headers"] = _write_headers(request.headers)
    written |= write_body(request.body)
    # That the values can be given back is proved by now; the names replace some of them.
    if isinstance(body := written.get("body"), dict):
        written["body"] = parts.extract(body)
    return written


def _write_response(
    response: Response, parts: NamedParts, resent: ResentAnswers
) -> dict[str, object]:
    written: dict[str, object] = {"status": response.status}
    if response.headers:
        written["headers"] = _write_headers(response.headers)
    return written | write_answer(response, parts, resent)


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
    parts = Parts(take(document, "parts", dict, (), {}))
    items = take(document, "interactions", list, ())
    return CassetteFile(
        recorded=_read_recorded(take(document, "recorded", dict, (), None)),
        loosened=tuple(texts(take(document, "loosened", list, (), []), ("loosened",))),
        volatile=_read_volatile(take(document, "volatile", dict, (), {})),
        interactions=tuple(
            _read_interaction(item, parts, ("interactions", at)) for at, item in enumerate(items)
        ),
    )


def is_cut_off(document: Mapping[str, object], data: bytes) -> bool:
    """Whether a recording wrote this, and the end of it is missing; people need not write one."""
    return "recorded" in document and not data.rstrip().endswith(b"\n" + END_LINE.rstrip())


def _read_recorded(written: Mapping[str, object] | None) -> Recorded | None:
    if written is None:
        return None
    where = ("recorded",)
    versions = take(written, "with", dict, where, {})
    texts(versions.values(), (*where, "with"))
    return Recorded(
        source=take(written, "source", str, where),
        at=_read_date(written.get("at"), (*where, "at")),
        test=take(written, "test", str, where, None),
        versions=MappingProxyType({str(name): text for name, text in versions.items()}),
    )


def _read_volatile(written: Mapping[str, object]) -> StandIns:
    where = ("volatile",)
    unknown = sorted(map(str, written.keys() - set(_KINDS)))
    if unknown:
        raise ShapeProblem(where, f"{', '.join(unknown)}: the kinds are {', '.join(_KINDS)}")
    return StandIns(
        **{
            kind: tuple(texts(take(written, kind, list, where, []), (*where, kind)))
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
        raise ShapeProblem(
            where, f"at is {words_for(type(value))}, where a date and time is expected"
        )
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _read_interaction(item: object, parts: Parts, where: Where) -> Interaction:
    written = mapping(item, where, "an interaction")
    agent = take(written, "lane", str, where, None)
    response = take(written, "response", dict, where, None)
    outcome = take(written, "outcome", str, where, Outcome.COMPLETE.value)
    if outcome not in set(Outcome):
        known = ", ".join(Outcome)
        raise ShapeProblem((*where, "outcome"), f"no outcome {outcome!r}; there are {known}")
    return Interaction(
        request=_read_request(take(written, "request", dict, where), parts, (*where, "request")),
        response=(
            None if response is None else _read_response(response, parts, (*where, "response"))
        ),
        outcome=Outcome(outcome),
        lane=None if agent is None else Lane(agent, take(written, "attempt", int, where, 1)),
        took_s=number(written, "took", where, 0.0),
    )


def _read_request(written: Mapping[str, object], parts: Parts, where: Where) -> Request:
    body = written.get("body")
    if isinstance(body, dict):
        style = read_style(written, COMPACT, where)
        written = {**written, "body": parts.insert(body, style, (*where, "body"))}
    origin = take(written, "origin", str, where, API_ORIGIN)
    return Request(
        method=take(written, "method", str, where),
        url=origin + take(written, "path", str, where),
        headers=_read_headers(take(written, "headers", dict, where, {}), (*where, "headers")),
        body=read_body(written, where),
    )


def _read_response(written: Mapping[str, object], parts: Parts, where: Where) -> Response:
    body, chunks = read_answer_body(written, parts, where)
    return Response(
        status=take(written, "status", int, where),
        headers=_read_headers(take(written, "headers", dict, where, {}), (*where, "headers")),
        body=body,
        chunks=chunks,
    )


def _read_headers(written: Mapping[str, object], where: Where) -> Headers:
    headers: list[tuple[str, str]] = []
    for name, values in written.items():
        listed = values if isinstance(values, list) else [values]
        headers.extend((str(name), value) for value in texts(listed, (*where, name)))
    return tuple(headers)
