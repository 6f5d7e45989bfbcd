"""From a client's request to the values that a cassette knows, for every door."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemosyne_core import lane as lanes
from mnemosyne_core.errors import UsageError
from mnemosyne_core.lane import AGENT_HEADER, ATTEMPT_HEADER, Lane
from pytest_mnemosyne.cassette._cassette import Cassette
from pytest_mnemosyne.cassette._contents import REQUEST_HEADERS
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._miss import CassetteMissError
from pytest_mnemosyne.cassette._modes import RecordMode
from pytest_mnemosyne.cassette._recorder import Recording

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._verify import Comparison

OWN_HEADERS = frozenset({AGENT_HEADER, ATTEMPT_HEADER})
"""The headers that only this project sets; they end at the door."""

_RETRIES = "x-stainless-retry-count"
_ENCODING = "content-encoding"

_KEYS = ("x-api-key", "authorization", "proxy-authorization")

READ_HEADERS = REQUEST_HEADERS | OWN_HEADERS | {_RETRIES, _ENCODING, *_KEYS}
"""The headers that a door has to hand over; cookies are not among them, and keys end here."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through a door, to its cassette."""

    cassette: Cassette
    request: Request
    lane: Lane | None
    tries: int
    injected: Sequence[str] = ()
    """What a fault plan does to it; grows on the way."""

    tries_again: bool = False
    """Whether the client is the SDK, which tries a failed call again by itself."""

    def answer(self) -> Interaction | None:
        """What the cassette answers; `None` where the request is to be forwarded.

        Raises:
            CassetteMissError: It has no answer, or nobody knows which agent asks.
        """
        # In a live run nobody's answer is kept, so nobody can get another's.
        is_kept = self.cassette.mode is not RecordMode.LIVE
        if is_kept and self.lane is None and lanes.is_lost():
            raise self.cassette.unowned(self.request)
        return self.cassette.answer(
            self.request, self.lane, tries=self.tries, injected=self.injected
        )

    def recording(self) -> Recording:
        """Begin to record; the request is being forwarded."""
        return self.cassette.recording(
            self.request, self.lane, tries=self.tries, injected=self.injected
        )

    def comparison(self, answer: Interaction) -> Comparison | None:
        """What is to be forwarded and held against the cassette's answer, in a verify run."""
        return self.cassette.comparison(answer)

    def overrun(self) -> CassetteMissError:
        """The client reads on where the recorded one had stopped."""
        return self.cassette.overrun(self.request, self.lane)


def call_of(
    cassette: Cassette, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes
) -> Call:
    """Read a client's request.

    Args:
        cassette: Whose request it is.
        method: In any case.
        url: Absolute.
        headers: Names in lower case; only those that a cassette keeps get into the request.
            The keys among them are told to the cassette, and go no further.
        body: As sent.
    """
    found: dict[str, str] = {}
    kept = []
    for header in headers:
        name = header[0]
        if name in REQUEST_HEADERS:
            kept.append(header)
        elif name in READ_HEADERS:
            found[name] = header[1]
    if cassette.on_key is not None:
        for name in _KEYS:
            if name in found:
                cassette.on_key(name, found[name])
    if found.get(_ENCODING) in ("gzip", "deflate"):
        body = _inflated(body)
    retries = found.get(_RETRIES, "0")
    return Call(
        cassette,
        Request(method=method.upper(), url=url, headers=tuple(kept), body=body),
        _lane(found),
        int(retries) + 1 if retries.isdecimal() else 1,
        tries_again=_RETRIES in found,
    )


def _lane(found: dict[str, str]) -> Lane | None:
    """The running agent's lane, or the one that the headers name."""
    current = lanes.current.get()
    if current is not None or AGENT_HEADER not in found:
        return current
    attempt = found.get(ATTEMPT_HEADER, "1")
    if not attempt.isdecimal() or int(attempt) < 1:
        raise UsageError(f"the header {ATTEMPT_HEADER} counts attempts from 1, got {attempt!r}")
    return Lane(found[AGENT_HEADER], int(attempt))


def _inflated(body: bytes) -> bytes:
    try:
        # 32: recognise gzip and zlib by their own headers.
        return zlib.decompress(body, wbits=zlib.MAX_WBITS | 32)
    except zlib.error:
        return body
