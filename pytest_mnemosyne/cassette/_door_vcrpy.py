"""vcrpy's machinery, put to work for the door.

vcrpy knows how to get in front of many HTTP clients; a cassette class of our own,
entered once, decides in its place. httpx2 and httpx get handlers that stream. Every
other client (urllib3, requests, http.client, aiohttp, ...) is reached through
vcrpy's stubs, which ask the cassette class below and take its answer as a whole.

vcrpy puts the real methods back for moments, while a stub connects. Such a moment
must not open a gap for another thread, so the handlers are also set where vcrpy keeps
the real methods of httpx2 and httpx. For the same reason a plain vcrpy cassette that
is entered while the door is installed forwards through the door.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import responses as reasons
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import vcr
import vcr.cassette
import vcr.patch
from vcr.request import Request as VcrRequest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._door_httpx import HttpxHandlers
from pytest_mnemosyne.cassette._exchange import OWN_HEADERS, Call, call_of
from pytest_mnemosyne.cassette._interaction import Headers, Interaction, Outcome
from pytest_mnemosyne.cassette._modes import RecordMode
from pytest_mnemosyne.cassette._passing import passing_patches
from pytest_mnemosyne.cassette._recorder import Recording, without_wire_headers

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._door import Door

_PATCH_PREFIXES = {"httpx2": "Httpx2", "httpx": "Httpx"}
"""How vcrpy's variables for a library's real methods begin."""


def interception(door: Door) -> AbstractContextManager[object]:
    """Everything that has to be patched for `door`, as one context manager."""

    class Bound(DoorCassette):
        """vcrpy makes the cassette itself, so its class has to know the door."""

        _door = door

    config = vcr.VCR().get_merged_config(
        path="mnemosyne",
        skip_patchers=("httpx", "httpx2"),
        custom_patches=(*_httpx_patches(door), *passing_patches(_passes)),
    )
    return Bound.use(**config)


def _passes(stub: Any) -> bool:
    """Whether a connection stub's request is none of the business of the door that made it."""
    cassette = stub.cassette
    return isinstance(cassette, DoorCassette) and not cassette.concerns(stub._vcr_request)


def _httpx_patches(door: Door) -> Iterator[tuple[object, str, object]]:
    seen: list[type] = []
    for name, prefix in _PATCH_PREFIXES.items():
        if find_spec(name) is None:
            continue
        library = importlib.import_module(name)
        # httpx2 can stand in under the name of httpx.
        if library.HTTPTransport in seen:
            continue
        seen.append(library.HTTPTransport)
        for owner, attribute, handler in HttpxHandlers(door, library).patches():
            yield owner, attribute, handler
            kind = "Async" if "async" in attribute else ""
            yield vcr.patch, f"_{prefix}{kind}HttpTransport_{attribute}", handler


@dataclass(slots=True)
class _Decision:
    """What is done with one request of a stub."""

    call: Call
    played: Interaction | None
    recording: Recording | None


class DoorCassette(vcr.cassette.Cassette):
    """What vcrpy's stubs take for a cassette: it has no interactions, it asks the door."""

    _door: Door

    def __init__(self, **config: Any) -> None:
        """Take vcrpy's settings."""
        super().__init__(**config)
        # A stub asks several times about one request; each is decided once.
        self._decisions: WeakKeyDictionary[VcrRequest, _Decision | None] = WeakKeyDictionary()

    def _load(self) -> None:
        """There is no file."""

    def _save(self, force: bool = False) -> None:
        """There is no file."""

    @property
    def write_protected(self) -> bool:
        """A refusal is raised when the request is decided, so a stub may go on."""
        return False

    def concerns(self, request: VcrRequest) -> bool:
        """Whether the request belongs to a cassette; any other is left alone."""
        return self._decide(request) is not None

    def filter_request(self, request: VcrRequest) -> VcrRequest | None:
        """`None` for a request that is left alone."""
        return request if self.concerns(request) else None

    def find_requests_with_most_matches(self, request: VcrRequest) -> list[Any]:  # noqa: ARG002
        """None: redirects are played as any other request."""
        return []

    def can_play_response_for(self, request: VcrRequest) -> bool:
        """Whether the request is answered without the network."""
        decision = self._decide(request)
        return decision is not None and decision.played is not None

    def play_response(self, request: VcrRequest) -> dict[str, Any]:
        """The recorded answer as vcrpy spells it, or the recorded failure."""
        decision = self._decide(request)
        assert decision is not None
        assert decision.played is not None
        return _spelled(decision)

    def append(self, request: VcrRequest, response: Mapping[str, Any]) -> None:
        """Take the whole answer to a request that a stub has forwarded."""
        decision = self._decisions.get(request)
        if decision is not None and decision.recording is not None:
            decision.recording.answer(response["status"]["code"], _headers(response["headers"]))
            decision.recording.chunk(response["body"].get("string", b""))
            decision.recording.read_whole()

    def _decide(self, asked: VcrRequest) -> _Decision | None:
        if asked not in self._decisions:
            self._decisions[asked] = self._decided(asked)
        return self._decisions[asked]

    def _decided(self, asked: VcrRequest) -> _Decision | None:
        cassette = self._door.meet(asked.method, asked.uri, asked.headers)
        if cassette is None:
            return None
        call = call_of(
            cassette, asked.method, asked.uri, _headers(asked.headers), body_bytes(asked)
        )
        played = self._instead(call) or call.answer()
        if played is not None:
            self._refuse_to_compare(call)
            return _Decision(call, played, None)
        if self._door.upstream is not None:
            raise UsageError(
                f"{asked.method} {asked.uri} cannot be sent to the upstream "
                f"{self._door.upstream.url}: that works for httpx2 and httpx alone; "
                "give this client the upstream as its base URL"
            )
        for own in OWN_HEADERS:
            asked.headers.pop(own, None)
        return _Decision(call, None, call.recording())

    def _refuse_to_compare(self, call: Call) -> None:
        if call.cassette.mode is RecordMode.VERIFY:
            raise UsageError(
                f"{call.request.method} {call.request.url} cannot be verified: an answer that is "
                "compared is kept from its client, which works for httpx2 and httpx alone; run "
                "this test in another mode"
            )

    def _instead(self, call: Call) -> Interaction | None:
        """What a fault plan gives in place of an answer."""
        running = self._door.faults
        if running is None:
            return None
        from pytest_mnemosyne.cassette._door_faults import instead

        return instead(running, call)


def _spelled(decision: _Decision) -> dict[str, Any]:
    played = decision.played
    assert played is not None
    if played.outcome is Outcome.CANCELLED:
        raise decision.call.overrun()
    if played.outcome is Outcome.TIMEOUT:
        raise TimeoutError("the read timed out when this was recorded")
    response = played.response
    if response is None or played.outcome in (Outcome.RESET, Outcome.DROPPED):
        raise ConnectionResetError("the connection broke when this was recorded")
    headers: dict[str, list[str]] = {}
    for name, value in without_wire_headers(response.headers):
        headers.setdefault(name, []).append(value)
    return {
        "status": {"code": response.status, "message": reasons.get(response.status, "")},
        "headers": headers,
        "body": {"string": response.body},
    }


def _headers(given: Any) -> Headers:
    """Vcrpy's headers, whose values are texts, bytes or lists of them, as ours."""
    found = []
    for name, values in given.items() if isinstance(given, Mapping) else given:
        for value in values if isinstance(values, list | tuple) else (values,):
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            found.append((str(name).lower(), text))
    return tuple(found)


def body_bytes(asked: VcrRequest) -> bytes:
    """The body of a request as the bytes that are sent.

    Raises:
        UsageError: It cannot be known before it is sent.
    """
    body: object = asked.body
    if hasattr(body, "read"):
        body = body.read()
    match body:
        case None:
            return b""
        case bytes() | bytearray():
            return bytes(body)
        case str():
            return body.encode()
        case dict():
            # aiohttp's `json=`, which vcrpy hands on before it is serialised.
            return json.dumps(body).encode()
        case Iterator():
            return b"".join(piece.encode() if isinstance(piece, str) else piece for piece in body)
    raise UsageError(
        f"the body of {asked.method} {asked.uri} is {type(body).__name__}, which cannot be "
        "compared with a recording; send bytes or JSON"
    )
