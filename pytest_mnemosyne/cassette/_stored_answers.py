"""How an answer stands in a file beside its status: what was said, and when it came.

    said: m2                        # where the message m2 repeats it
    keys: k1
    body: {id: msg_1, content: m2}  # or events: [...], or whatever else a body may be
    chunks: [0.25, 0.31, [57, 0.4]]

A chunk is `[bytes, seconds]`, or in a list of events only the seconds, if it ends where
the next event ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from pytest_mnemosyne.cassette._answers import read_answer
from pytest_mnemosyne.cassette._bodies import body_key, read_body, read_style, write_body
from pytest_mnemosyne.cassette._event_lists import EventList, read_events, write_events
from pytest_mnemosyne.cassette._interaction import Chunk, Response
from pytest_mnemosyne.cassette._json_styles import COMPACT
from pytest_mnemosyne.cassette._parts import NamedParts, Parts
from pytest_mnemosyne.cassette._resent import (
    ResentAnswers,
    in_order,
    orders_between,
    read_blocks,
    read_orders,
)
from pytest_mnemosyne.cassette._shape import mapping, take
from pytest_mnemosyne.cassette._yaml import FlowList, ShapeProblem, Where
from pytest_mnemosyne.wire import header, looks_like_sse

_CONTENT = "content"


# --- writing ---------------------------------------------------------------------------


def write_answer(response: Response, parts: NamedParts, resent: ResentAnswers) -> dict[str, object]:
    """Everything of a response but status and headers."""
    declared = header(response.headers, "content-type") or ""
    ends: Sequence[int] = ()
    written: dict[str, object] | None = None
    if declared.startswith("text/event-stream") or looks_like_sse(response.body):
        listed = _write_stream(response.body, resent)
        if listed is not None:
            written, ends = listed.written, listed.ends
    if written is None:
        written = _write_whole(response.body, parts, resent)
    if response.chunks:
        written["chunks"] = _write_chunks(response.chunks, ends)
    return written


def _write_stream(body: bytes, resent: ResentAnswers) -> EventList | None:
    message = read_answer(body).message
    found = None if message is None else resent.of(message.get(_CONTENT))
    listed = write_events(body, () if found is None else found.blocks)
    if listed is None or found is None or not listed.is_resent:
        return listed
    return listed._replace(written={"said": found.name, **listed.written})


def _write_whole(body: bytes, parts: NamedParts, resent: ResentAnswers) -> dict[str, object]:
    written = write_body(body)
    message = written.get("body")
    content = message.get(_CONTENT) if isinstance(message, dict) else None
    found = resent.of(content)
    orders = None if found is None else orders_between(found.blocks, content)
    if not isinstance(message, dict) or found is None or orders is None:
        return written
    written["body"] = {**message, _CONTENT: found.name}
    keys = {"keys": parts.name("k", FlowList(map(FlowList, orders)))} if orders else {}
    return {"said": found.name, **keys, **written}


def _write_chunks(chunks: Sequence[Chunk], ends: Sequence[int]) -> FlowList:
    written = FlowList()
    at = 0
    for chunk in chunks:
        end = at + len(chunk.data)
        is_event = end == _next_end(ends, at)
        written.append(chunk.at_s if is_event else FlowList([len(chunk.data), chunk.at_s]))
        at = end
    return written


def _next_end(ends: Sequence[int], at: int) -> int | None:
    """Where the event ends that begins or goes on at this place of the body."""
    event = bisect_right(ends, at)
    return ends[event] if event < len(ends) else None


# --- reading ---------------------------------------------------------------------------


def read_answer_body(
    written: Mapping[str, object], parts: Parts, where: Where
) -> tuple[bytes, tuple[Chunk, ...]]:
    """The body of a response, and how it came.

    Raises:
        ShapeProblem: It is not what `write_answer` writes.
    """
    style = read_style(written, COMPACT, where)
    said = take(written, "said", str, where, None)
    blocks: Sequence[object] = ()
    if said is not None:
        place = (*where, "said")
        blocks = read_blocks(parts.value(said, style, place), place)
    ends: list[int] = []
    if body_key(written, where) == "events":
        events = read_events(written, blocks, where)
        body = b"".join(events)
        ends += accumulate(map(len, events))
    else:
        if said is not None:
            written = {**written, "body": _with_content(written, blocks, parts, where)}
        body = read_body(written, where)
    chunks = take(written, "chunks", list, where, [])
    return body, _read_chunks(chunks, body, ends, (*where, "chunks"))


def _with_content(
    written: Mapping[str, object], blocks: Sequence[object], parts: Parts, where: Where
) -> dict[str, object]:
    """The body, with what was said in its place."""
    body = mapping(written.get("body"), (*where, "body"), "the body of what was said")
    if _CONTENT not in body:
        raise ShapeProblem((*where, "body"), "said, but there is no content to say it in")
    keys = take(written, "keys", str, where, None)
    place = (*where, "keys")
    orders = [] if keys is None else read_orders(parts.value(keys, COMPACT, place), place)
    return {**body, _CONTENT: in_order(list(blocks), orders)}


def _read_chunks(
    written: Sequence[object], body: bytes, ends: Sequence[int], where: Where
) -> tuple[Chunk, ...]:
    cuts = [0]
    times_s: list[float] = []
    for at, item in enumerate(written):
        match item:
            case [int(size), int() | float() as at_s] if size >= 0:
                end: int | None = cuts[-1] + size
            case int() | float() as at_s if not isinstance(at_s, bool):
                end = _next_end(ends, cuts[-1])
            case _:
                raise ShapeProblem((*where, at), "a chunk is [bytes, seconds], or seconds alone")
        if end is None:
            raise ShapeProblem((*where, at), "there is no event that this chunk could end with")
        cuts.append(end)
        times_s.append(float(at_s))
    if written and cuts[-1] != len(body):
        raise ShapeProblem(where, f"the chunks hold {cuts[-1]} bytes and the body {len(body)}")
    return tuple(
        Chunk(data=body[begin:end], at_s=at_s)
        for (begin, end), at_s in zip(pairwise(cuts), times_s, strict=True)
    )
