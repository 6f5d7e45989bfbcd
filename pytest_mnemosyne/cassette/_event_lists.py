r"""How a stream of events is written so that a person can read it, and read back byte for byte.

    events:
    - {type: message_start, message: {id: msg_1, role: assistant, content: []}}
    - {deltas: text_delta, index: 0, text: Hello, pieces: [3, 2]}
    - {event: ping, data: {type: ping}, json: spaced}
    - {raw: ": a comment\n\n"}

===================  ===========================================================
an item with         is
===================  ===========================================================
`type`               the data of an event that has its type for a name
`deltas`             the events that together make a text of a content block:
                     the text, and how many characters of it each event has
`event`, `data` ...  any other event of the usual shape
`raw`, `base64`      an event whose bytes its parts would not give back
===================  ===========================================================

`json` beside `events` names the style of the JSON in them, unless it is compact. `pads`
and `pad` count the blanks before the last bracket, by which the API hides lengths. A
text may stand in the message that resends it instead; then its item has none, and
where it is the input of a tool, `json` names the style in which it was printed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._bodies import (
    named_style,
    printed,
    read_opaque,
    read_style,
    write_opaque,
)
from pytest_mnemosyne.cassette._json_styles import COMPACT, parse_exactly, print_json
from pytest_mnemosyne.cassette._shape import mapping, take
from pytest_mnemosyne.cassette._yaml import Flow, FlowList, ShapeProblem, Where
from pytest_mnemosyne.wire import Newline, SseEvent, decode

_STYLES: Final = (COMPACT, "spaced", "compact-ascii", "spaced-ascii")
"""Those that fit on one line."""

_NAMES: Final = ("event", "id", "retry")
_LONG: Final = frozenset({*_NAMES, "data", "raw", "base64"})
"""What an item has that is more than an event's data."""

_NEWLINES: Final = {newline.name.lower(): newline for newline in Newline}
_MOST_PADDED: Final = 1024
"""The API pads with a few dozen blanks."""

_DELTA: Final = "content_block_delta"
_INPUT: Final = "input_json_delta"
_TEXTS: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    _INPUT: "partial_json",
}
"""Where the kinds of deltas have their text; but for the last one, a block has it there, too."""


_Place = tuple[str, int]
"""Where a text is: the kind of its deltas, and the index of its block."""


class EventList(NamedTuple):
    """A stream as it is written."""

    written: dict[str, object]
    """What stands beside a response's status."""

    ends: list[int]
    """Where each event ends in the body."""

    is_resent: bool
    """Whether a text of it stands in the message that resends it."""


# --- writing ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """Events that together make a text, or a part of one."""

    kind: str
    index: int
    pieces: list[str] = field(default_factory=list)
    pads: list[int] = field(default_factory=list)

    @property
    def place(self) -> _Place:
        return self.kind, self.index


def write_events(data: bytes, blocks: Sequence[object]) -> EventList | None:
    """A stream; `None` for one of which nothing would be readable.

    Args:
        data: The stream.
        blocks: The content of the message that resends it, as far as there is one.
    """
    stream = decode(data)
    if all(event.raw is not None for event in stream.events):
        return None
    style = _style_of(stream.events)
    items: list[Flow | _Run] = []
    for event in stream.events:
        item = _delta(event, style) or _write_event(event, style)
        last = items[-1] if items else None
        if isinstance(item, _Run) and isinstance(last, _Run) and item.place == last.place:
            last.pieces += item.pieces
            last.pads += item.pads
        else:
            items.append(item)
    resent = _resent_texts([item for item in items if isinstance(item, _Run)], blocks)
    written = named_style(style)
    if stream.newline is not Newline.LF:
        written["newline"] = stream.newline.name.lower()
    written["events"] = [
        _write_run(item, resent.get(item.place)) if isinstance(item, _Run) else item
        for item in items
    ]
    sizes = (len(event.encode(stream.newline)) for event in stream.events)
    return EventList(written, list(accumulate(sizes)), bool(resent))


def _style_of(events: Iterable[SseEvent]) -> str:
    """The style of the first event that tells; the others most likely share it."""
    for event in events:
        # An object of one key may look the same in all styles.
        if event.data is not None and "," in event.data:
            found = parse_exactly(_without_pad(event.data)[0].encode(), _STYLES)
            if found is not None:
                return found[1]
    return COMPACT


def _delta(event: SseEvent, style: str) -> _Run | None:
    """What the event adds to a text; `None` if it does not, or is spelled in another way."""
    if event.event != _DELTA or event.data is None or event.raw is not None:
        return None
    tight, pad = _without_pad(event.data)
    found = parse_exactly(tight.encode(), (style,))
    match found and found[0]:
        case {"index": int(index), "delta": {"type": str(kind), **rest}} if kind in _TEXTS:
            text = rest.get(_TEXTS[kind])
        case _:
            return None
    # Python's `True` is an int, too.
    if isinstance(index, bool) or not isinstance(text, str) or pad > _MOST_PADDED:
        return None
    # It may have more than that, or in another order.
    is_plain = event == _delta_event(kind, index, text, pad, style)
    return _Run(kind, index, [text], [pad]) if is_plain else None


def _write_event(event: SseEvent, style: str) -> Flow:
    if event.raw is not None:
        return Flow(write_opaque(event.raw, "raw"))
    names = {key: getattr(event, key) for key in _NAMES if getattr(event, key) is not None}
    if event.data is None:
        return Flow(names)
    written = _write_data(event.data, style)
    match written:
        case {"data": dict(data)} if len(written) == 1 and _LONG.isdisjoint(data):
            if names == {"event": data.get("type")}:
                return Flow(data)
    return Flow(names | written)


def _write_data(data: str, style: str) -> dict[str, object]:
    tight, pad = _without_pad(data)
    # Pings are spaced in streams that are compact otherwise.
    found = parse_exactly(tight.encode(), (style, *_STYLES))
    if found is None or not isinstance(found[0], dict) or pad > _MOST_PADDED:
        return {"data": data}
    written: dict[str, object] = {"data": found[0]}
    if found[1] != style:
        written["json"] = found[1]
    if pad:
        written["pad"] = pad
    return written


def _without_pad(data: str) -> tuple[str, int]:
    """JSON without the blanks before its last bracket, and how many they are."""
    tight = f"{data[:-1].rstrip(' ')}}}" if data.endswith("}") else data
    return tight, len(data) - len(tight)


def _resent_texts(
    runs: Iterable[_Run], blocks: Sequence[object]
) -> dict[_Place, dict[str, object]]:
    """The places of the texts that the blocks hold, and what names the style of their JSON."""
    pieces: defaultdict[_Place, list[str]] = defaultdict(list)
    for run in runs:
        pieces[run.place] += run.pieces
    resent: dict[_Place, dict[str, object]] = {}
    for (kind, index), each in pieces.items():
        for style in _STYLES if kind == _INPUT else (COMPACT,):
            if _text_in(blocks, index, kind, style) == "".join(each):
                resent[kind, index] = named_style(style)
                break
    return resent


def _write_run(run: _Run, resent: dict[str, object] | None) -> dict[str, object]:
    text = "".join(run.pieces)
    written: dict[str, object] = {"deltas": run.kind, "index": run.index}
    written |= {_TEXTS[run.kind]: text} if resent is None else resent
    written["pieces"] = FlowList(map(len, run.pieces))
    if any(run.pads):
        written["pads"] = FlowList(run.pads)
    # A text of several lines is a block, which cannot stand inside of a line.
    return written if resent is None and "\n" in text else Flow(written)


# --- both ------------------------------------------------------------------------------


def _delta_event(kind: str, index: int, text: str, pad: int, style: str) -> SseEvent:
    delta = {"type": kind, _TEXTS[kind]: text}
    data = print_json({"type": _DELTA, "index": index, "delta": delta}, style).decode()
    return SseEvent(event=_DELTA, data=_padded(data, pad))


def _padded(data: str, pad: int) -> str:
    return f"{data[:-1]}{' ' * pad}}}"


def _text_in(blocks: Sequence[object], index: int, kind: str, style: str) -> str | None:
    """The text of a block; the input of a tool as JSON in a style."""
    block = blocks[index] if 0 <= index < len(blocks) else None
    if not isinstance(block, dict):
        return None
    if kind == _INPUT:
        return print_json(block["input"], style).decode() if "input" in block else None
    text = block.get(_TEXTS[kind])
    return text if isinstance(text, str) else None


# --- reading ---------------------------------------------------------------------------


def read_events(
    written: Mapping[str, object], blocks: Sequence[object], where: Where
) -> list[bytes]:
    """The events of a stream, one by one.

    Args:
        written: What stands beside the response's status.
        blocks: The content of the message that resends it.
        where: Where the response stands.

    Raises:
        ShapeProblem: It is not what `write_events` writes.
    """
    style = read_style(written, COMPACT, where)
    name = written.get("newline", "lf")
    newline = _NEWLINES.get(name) if isinstance(name, str) else None
    if newline is None:
        known = ", ".join(_NEWLINES)
        raise ShapeProblem((*where, "newline"), f"newline is one of {known}, not {name!r}")
    reader = _Reader(style, blocks)
    events: list[bytes] = []
    for at, item in enumerate(take(written, "events", list, where)):
        place = (*where, "events", at)
        try:
            events += (event.encode(newline) for event in reader.read(item, place))
        except (UsageError, UnicodeEncodeError) as error:
            raise ShapeProblem(place, f"no event: {error}") from error
    return events


class _Reader:
    """Reads the items of one list."""

    def __init__(self, style: str, blocks: Sequence[object]) -> None:
        self._style = style
        self._blocks = blocks
        self._texts: dict[tuple[int, str, str], str | None] = {}
        self._read: defaultdict[tuple[int, str, str], int] = defaultdict(int)
        """How much of each text has been used."""

    def read(self, written: object, where: Where) -> Iterator[SseEvent]:
        item = mapping(written, where, "an event")
        if "type" in item and _LONG.isdisjoint(item):
            yield SseEvent(
                event=take(item, "type", str, where),
                data=printed(item, self._style, where).decode(),
            )
        elif "deltas" in item:
            yield from self._deltas(item, where)
        else:
            yield self._event(item, where)

    def _event(self, item: Mapping[str, Any], where: Where) -> SseEvent:
        for key in ("raw", "base64"):
            if key in item:
                return SseEvent(raw=read_opaque(item[key], key, (*where, key)))
        event, number, retry = (take(item, key, str, where, None) for key in _NAMES)
        return SseEvent(event=event, data=self._data(item, where), id=number, retry=retry)

    def _data(self, item: Mapping[str, Any], where: Where) -> str | None:
        data = item.get("data")
        if data is None or isinstance(data, str):
            return data
        if not isinstance(data, dict):
            raise ShapeProblem((*where, "data"), "data is a mapping or a text")
        text = printed(data, read_style(item, self._style, where), (*where, "data")).decode()
        return _padded(text, _pad(item.get("pad", 0), (*where, "pad")))

    def _deltas(self, item: Mapping[str, Any], where: Where) -> Iterator[SseEvent]:
        kind = take(item, "deltas", str, where)
        if kind not in _TEXTS:
            raise ShapeProblem((*where, "deltas"), f"deltas are one of {', '.join(_TEXTS)}")
        index = take(item, "index", int, where)
        pieces = take(item, "pieces", list, where)
        for at, size in enumerate(pieces):
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise ShapeProblem((*where, "pieces", at), "a piece is a number of characters")
        pads = take(item, "pads", list, where, [0] * len(pieces))
        if len(pads) != len(pieces):
            raise ShapeProblem((*where, "pads"), f"{len(pads)} pads for {len(pieces)} pieces")
        text = self._text(item, index, kind, sum(pieces), where)
        cuts = pairwise(accumulate(pieces, initial=0))
        for at, (begin, end) in enumerate(cuts):
            pad = _pad(pads[at], (*where, "pads", at))
            yield _delta_event(kind, index, text[begin:end], pad, self._style)

    def _text(self, item: Mapping[str, Any], index: int, kind: str, size: int, where: Where) -> str:
        text = take(item, _TEXTS[kind], str, where, None)
        if text is None:
            text = self._next_of_block(index, kind, read_style(item, COMPACT, where), size, where)
        if len(text) != size:
            raise ShapeProblem(
                (*where, "pieces"), f"the pieces have {size} characters, the text {len(text)}"
            )
        return text

    def _next_of_block(self, index: int, kind: str, style: str, size: int, where: Where) -> str:
        """What of a block's text comes after what was read of it, up to a size."""
        key = (index, kind, style)
        if key not in self._texts:
            self._texts[key] = _text_in(self._blocks, index, kind, style)
        text = self._texts[key]
        if text is None:
            raise ShapeProblem(where, f"no {_TEXTS[kind]} here, and none in a message that is said")
        begin = self._read[key]
        self._read[key] += size
        return text[begin : begin + size]


def _pad(written: object, where: Where) -> int:
    if not isinstance(written, int) or not 0 <= written <= _MOST_PADDED:
        raise ShapeProblem(where, f"a pad is a number of blanks up to {_MOST_PADDED}")
    return written
