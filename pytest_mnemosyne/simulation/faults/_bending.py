"""How an answer is bent on its way to the client, without any input or output.

A stream is taken apart into its events, and what comes out are steps: bytes to hand on,
a delay, an end. Bytes that no fault touches come out as they went in. Whoever reads the
answer and serves the client performs the steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pytest_mnemosyne.simulation.faults._answers import error_event
from pytest_mnemosyne.simulation.faults._fault import Fault
from pytest_mnemosyne.simulation.faults._messages import edited, edited_body
from pytest_mnemosyne.simulation.faults._provider import (
    BrokenToolJson,
    Cut,
    Drip,
    Drop,
    ErrorEvent,
    Flaw,
    Malformed,
    RepeatedEvent,
    Reset,
    ShortBody,
    Stage,
    Stall,
)
from pytest_mnemosyne.simulation.faults._running import Armed, Meeting
from pytest_mnemosyne.wire import (
    JsonObject,
    MessageShapeError,
    SseDecoder,
    SseEvent,
    assemble,
    compact,
    json_events,
    mapping,
    message_events,
    sse_of,
)

_HALF_A_CHARACTER = "€".encode()[:2]


@dataclass(frozen=True, slots=True)
class Delay:
    """The next bytes are late."""

    by_s: float


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more comes; how it ends, the fault says."""

    fault: Fault


Step: TypeAlias = bytes | Delay | End


class StreamBender:
    """Bends one stream; nothing comes out after an `End`."""

    def __init__(self, meeting: Meeting, asked: Mapping[str, Any]) -> None:
        """Take what is ready for the call, and the body of its request."""
        self._call = meeting.call
        self._asked = asked
        self._message = meeting.at(Stage.MESSAGE)
        self._pace = meeting.at(Stage.PACE)
        self._body = meeting.at(Stage.BODY)
        self._decoder = SseDecoder()
        self._number = 0
        self._held: list[SseEvent] = []
        self._broken_input: int | None = None
        """The index of the block whose input has broken off."""

    def feed(self, chunk: bytes) -> Iterator[Step]:
        """Take the next piece of the stream."""
        for event in self._decoder.feed(chunk):
            yield from self._take(event)

    def close(self) -> Iterator[Step]:
        """The stream is over."""
        for event in self._decoder.close():
            yield from self._take(event)
        for event in self._edited():
            yield from self._deliver(event)

    # --- another message -----------------------------------------------------------------

    def _take(self, event: SseEvent) -> Iterator[Step]:
        if self._message is None:
            yield from self._deliver(event)
        elif isinstance(self._message.fault, BrokenToolJson):
            kept = self._without_rest_of_input(event, self._message)
            if kept is not None:
                yield from self._deliver(kept)
        else:
            # A message is edited as a whole.
            self._held.append(event)

    def _edited(self) -> list[SseEvent]:
        held, self._held = self._held, []
        if self._message is None or not held:
            return held
        try:
            found = assemble(json_events(held))
        except (MessageShapeError, KeyError, TypeError, ValueError):
            return held
        if found.message is None or not found.complete:
            return held
        made = edited(self._message.fault, found.message, self._asked)
        if made is None or not self._message.strikes():
            return held
        return [sse_of(event) for event in message_events(made)]

    def _without_rest_of_input(self, event: SseEvent, armed: Armed) -> SseEvent | None:
        data = _json(event)
        piece = mapping(data.get("delta")).get("partial_json")
        if not isinstance(piece, str):
            return event
        if self._broken_input is not None:
            return None if data.get("index") == self._broken_input else event
        wanted = armed.address.stream_event or 1
        if not piece or self._number + 1 < wanted or not armed.strikes():
            return event
        self._broken_input = data.get("index")
        data["delta"]["partial_json"] = piece[: len(piece) // 2]
        return replace(event, data=compact(data), raw=None)

    # --- delivery ------------------------------------------------------------------------

    def _deliver(self, event: SseEvent) -> Iterator[Step]:
        if event.event is None and event.data is None:
            # A comment: no client sees it.
            yield event.encode(self._decoder.newline)
            return
        self._number += 1
        if self._is_slow():
            assert self._pace is not None
            assert isinstance(self._pace.fault, Drip)
            yield Delay(self._pace.fault.delay_s)
        if self._is_here(event):
            yield from self._spoilt(event)
        else:
            yield event.encode(self._decoder.newline)

    def _is_slow(self) -> bool:
        armed = self._pace
        if armed is None or self._number < (armed.address.stream_event or 1):
            return False
        return armed.strikes()

    def _is_here(self, event: SseEvent) -> bool:
        armed = self._body
        if armed is None:
            return False
        wanted = armed.address.stream_event
        here = event.event == "message_delta" if wanted is None else wanted == self._number
        return here and armed.strikes()

    def _spoilt(self, event: SseEvent) -> Iterator[Step]:
        assert self._body is not None
        fault, newline = self._body.fault, self._decoder.newline
        match fault:
            case Cut() | Drop() | Reset() | Stall():
                yield End(fault)
            case ErrorEvent():
                yield error_event(fault, call=self._call).encode(newline)
                yield End(fault)
            case Malformed(flaw=flaw):
                yield _malformed(event, flaw).encode(newline)
            case RepeatedEvent():
                yield event.encode(newline)
                yield event.encode(newline)
            case _:
                raise AssertionError(f"no fault of a stream: {fault}")


def bend_whole(meeting: Meeting, body: bytes, asked: Mapping[str, Any]) -> tuple[bytes, int]:
    """Bend an answer that is not streamed: what comes of its body, and the length promised."""
    message, broken = meeting.at(Stage.MESSAGE), meeting.at(Stage.BODY)
    if message is not None:
        made = edited_body(message.fault, body, asked)
        if made is not None and message.strikes():
            body = made
    if broken is not None and isinstance(broken.fault, ShortBody) and broken.strikes():
        return body[: len(body) // 2], len(body)
    return body, len(body)


def _json(event: SseEvent) -> JsonObject:
    try:
        value = event.json()
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _malformed(event: SseEvent, flaw: Flaw) -> SseEvent:
    if flaw == "name":
        return replace(event, event=None, raw=None)
    data = event.data or ""
    if flaw == "json":
        return replace(event, data=data[: len(data) // 2], raw=None)
    plain = replace(event, raw=None).plain()
    place = plain.rfind(b'"')
    place = place if place >= 0 else len(plain.rstrip(b"\n"))
    return replace(event, raw=plain[:place] + _HALF_A_CHARACTER + plain[place:])
