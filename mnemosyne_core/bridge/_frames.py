"""Frames: how messages follow each other on a pipe.

::

    length    4 bytes, big endian: how many bytes follow
    head      one line of JSON: what kind of message this is, and what belongs to it
    newline
    body      bytes that nobody looks into on the way; often none

The body is apart from the head so that an envelope crosses as the very bytes that it
is, neither quoted nor read twice. The bound on the length is below the number that any
four letters make: text that strays into the pipe is noticed at once, and nobody waits
for the half gigabyte that it seems to announce.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mnemosyne_core.errors import MessageTooLargeError, ProtocolError

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bound on one frame without its length."""

_PREFIX: Final = 4
_SHOWN: Final = 40

Frame = tuple[bytes, bytes]
"""Head and body."""


def frame(head: bytes, body: bytes = b"", *, max_bytes: int = MAX_BYTES) -> bytes:
    """A message as it goes into the pipe.

    Raises:
        MessageTooLargeError: It is longer than `max_bytes`.
    """
    length = len(head) + 1 + len(body)
    if length > max_bytes:
        raise MessageTooLargeError(length=length, most=max_bytes)
    return b"".join((length.to_bytes(_PREFIX), head, b"\n", body))


class FrameReader:
    """Puts frames together from whatever pieces a pipe hands out."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        """Read from the beginning of a frame on.

        Args:
            max_bytes: Bound on one frame without its length.
        """
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now that `data` has come.

        Raises:
            ProtocolError: What comes next is no frame; the frames before it were handed out.
        """
        self._buffer += data
        while len(self._buffer) >= _PREFIX:
            length = int.from_bytes(self._buffer[:_PREFIX])
            if not 1 <= length <= self._max_bytes:
                raise ProtocolError(
                    problem=f"a message should begin with a length from 1 to {self._max_bytes:,}",
                    excerpt=self._excerpt(),
                )
            end = _PREFIX + length
            if len(self._buffer) < end:
                return
            newline = self._buffer.find(b"\n", _PREFIX, end)
            if newline < 0:
                raise ProtocolError(
                    problem="a message should begin with one line that says what it is",
                    excerpt=self._excerpt(),
                )
            head = bytes(self._buffer[_PREFIX:newline])
            body = bytes(self._buffer[newline + 1 : end])
            del self._buffer[:end]
            yield head, body

    def finish(self) -> None:
        """Say that nothing more will come.

        Raises:
            ProtocolError: A frame had begun and is not complete.
        """
        if self._buffer:
            raise ProtocolError(
                problem=f"the pipe ended in the middle of a message, after {len(self._buffer):,} "
                "bytes of it",
                excerpt=self._excerpt(),
            )

    def _excerpt(self) -> str:
        return bytes(self._buffer[:_SHOWN]).decode(errors="backslashreplace")
