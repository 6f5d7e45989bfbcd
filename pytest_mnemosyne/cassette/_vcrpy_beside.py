"""A vcrpy cassette beside the door: Claude's requests are the door's, all others its own.

vcrpy patches the clients anew for every cassette that is entered, on top of the door. A
plain one would answer Claude's requests with the rest, by method and URL. This one asks
the door first: what belongs to the cassette that is open there goes the door's way, with
its lanes, misses, streams and faults, and vcrpy neither plays nor records it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import vcr.cassette
from vcr.request import Request as VcrRequest

from pytest_mnemosyne.cassette._contents import API_ORIGIN
from pytest_mnemosyne.cassette._door_httpx import PROBE_URL
from pytest_mnemosyne.cassette._door_vcrpy import DoorCassette, body_bytes
from pytest_mnemosyne.cassette._interaction import Request
from pytest_mnemosyne.cassette._key import request_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_mnemosyne.cassette._door import Door

_MESSAGES: Final = f"{API_ORIGIN}/v1/messages"
_LIBRARIES: Final = ("httpx2", "httpx")
_METHODS: Final = (
    ("HTTPTransport", "handle_request"),
    ("AsyncHTTPTransport", "handle_async_request"),
)


@contextmanager
def beside(door: Door, config: Mapping[str, Any]) -> Iterator[BesideCassette]:
    """Enter a vcrpy cassette that leaves to `door` what belongs to the cassette open there.

    Args:
        door: Is installed at need.
        config: Vcrpy's merged settings, with the path.
    """
    door.install()
    methods = tuple(_transport_methods())
    at_door = [getattr(owner, name) for owner, name in methods]

    class Bound(BesideCassette):
        """vcrpy makes the cassette itself, so its class has to know the door."""

        _door = door

    with ExitStack() as stack:
        cassette = stack.enter_context(Bound.use(**config))
        for (owner, name), handler in zip(methods, at_door, strict=True):
            either = _either(door, handler, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, either))
        yield cassette


def _transport_methods() -> Iterator[tuple[object, str]]:
    seen = set()
    for library in _LIBRARIES:
        if find_spec(library) is None:
            continue
        for owner, name in _METHODS:
            found = getattr(import_module(library), owner)
            # httpx2 can stand in under the name of httpx.
            if found not in seen:
                seen.add(found)
                yield found, name


def _either(
    door: Door, at_door: Callable[..., Any], vcrpys: Callable[..., Any]
) -> Callable[..., Any]:
    """A transport's method, or coroutine function, that is the door's for what belongs there."""

    def handle(transport: object, asked: Any) -> Any:
        url = str(asked.url)
        return (at_door if door.takes(url) or url == PROBE_URL else vcrpys)(transport, asked)

    return handle


class BesideCassette(vcr.cassette.Cassette):
    """What vcrpy's stubs ask: for Claude the door, for the rest vcrpy's own machinery."""

    _door: Door

    def __init__(self, **config: Any) -> None:
        """Take vcrpy's settings."""
        self._play_counts: Counter[int] = Counter()
        self._played_elsewhere: Callable[[], Sequence[int]] = tuple
        self._noted = 0
        super().__init__(**config)
        self._at_door = DoorCassette(path=self.path)
        self._at_door._door = self._door
        self._is_loaded = False

    def _load(self) -> None:
        super()._load()
        self._is_loaded = True

    def _save(self, force: bool = False) -> None:
        self._note_played()
        super()._save(force)

    # --- what the stubs ask ------------------------------------------------------------

    def filter_request(self, request: VcrRequest) -> VcrRequest | None:
        """`None` also for what is the door's: vcrpy then neither refuses nor keeps it."""
        return None if self._door.takes(request.uri) else super().filter_request(request)

    def find_requests_with_most_matches(self, request: VcrRequest) -> list[Any]:
        """None for what is the door's, which tells of its misses itself."""
        if self._door.takes(request.uri):
            return []
        return super().find_requests_with_most_matches(request)

    def can_play_response_for(self, request: VcrRequest) -> bool:
        """Whether the request is answered without the network."""
        if self._door.takes(request.uri):
            return self._at_door.can_play_response_for(request)
        return super().can_play_response_for(request)

    def play_response(self, request: VcrRequest) -> dict[str, Any]:
        """The recorded answer."""
        if self._door.takes(request.uri):
            return self._at_door.play_response(request)
        return super().play_response(request)

    def append(self, request: VcrRequest, response: Mapping[str, Any]) -> None:
        """Keep an answer: one that the file holds, or one that a stub has fetched."""
        if self._is_loaded and self._door.takes(request.uri):
            self._at_door.append(request, response)
        else:
            super().append(request, response)

    # --- for a cassette that is made of this one ---------------------------------------

    def holds_for_door(self) -> dict[int, tuple[VcrRequest, dict[str, Any]]]:
        """The exchanges that are the door's, by their place among all."""
        return {
            place: (request, response)
            for place, (request, response) in enumerate(self.data)
            if self._door.covers(request.uri)
        }

    def as_kept(self, body: bytes) -> bytes:
        """The body of a request to Claude as the settings have vcrpy keep it."""
        asked = VcrRequest("POST", _MESSAGES, body, {"content-type": "application/json"})
        kept = super().filter_request(asked)
        return body if kept is None else body_bytes(kept)

    def follow(self, played: Callable[[], Sequence[int]]) -> None:
        """Count as played what is played elsewhere of the exchanges that this one has loaded.

        Otherwise its user would miss them in `play_count`, and `drop_unused_requests` would
        take them for unused and delete them.

        Args:
            played: Their places, in the order in which they were played.
        """
        self._played_elsewhere = played

    @property
    def play_counts(self) -> Counter[int]:
        """How often each exchange was played, by its place."""
        self._note_played()
        return self._play_counts

    @play_counts.setter
    def play_counts(self, counts: Counter[int]) -> None:
        self._play_counts = counts

    def _note_played(self) -> None:
        played = self._played_elsewhere()
        for place in played[self._noted :]:
            if not self._play_counts[place]:
                self._played_interactions.append(self.data[place])
            self._play_counts[place] += 1
        self._noted = len(played)


def same_question(door: Door) -> Callable[[VcrRequest, VcrRequest], bool]:
    """A matcher for vcrpy: of two requests to Claude, whether they ask the model the same.

    Any other two match, as far as this one goes.
    """

    def matches(one: VcrRequest, other: VcrRequest) -> bool:
        if not (door.covers(one.uri) and door.covers(other.uri)):
            return True
        return request_key(_asked(one)) == request_key(_asked(other))

    return matches


def _asked(request: VcrRequest) -> Request:
    return Request(method=request.method.upper(), url=request.uri, body=body_bytes(request))
