"""A pair of pipes that carry frames, one each way; both ends of the bridge use it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from mnemosyne_core.bridge._frames import FrameReader
from mnemosyne_core.errors import ProtocolError

OnFrame = Callable[[bytes, bytes], None]
"""Called with head and body; a `ProtocolError` of it ends the reading."""

OnEnd = Callable[[ProtocolError | None], None]
"""Called once, when nothing more will be read; without an error where that is as it should be."""


class FramePipes(asyncio.Protocol):
    """Reads frames from one pipe and writes them to another, without a thread.

    Writing never waits. What does not fit into the pipe is kept in memory, so those who
    write much must agree with the other side on how much of it may be under way.
    """

    def __init__(
        self, on_frame: OnFrame, on_end: OnEnd, *, received: Callable[[bytes], bytes] | None = None
    ) -> None:
        """Pipes that are not open.

        Args:
            on_frame: Called with each frame.
            on_end: Called when nothing more will be read.
            received: What counts as read; only a test's failpoint differs from the pipe.
        """
        self._on_frame = on_frame
        self._on_end: OnEnd | None = on_end
        self._received = received
        self._frames = FrameReader()
        self._reading: asyncio.ReadTransport | None = None
        self._writing: asyncio.WriteTransport | None = None

    async def open(self, reading: int, writing: int) -> None:
        """Use two descriptors, which belong to the pipes from now on."""
        loop = asyncio.get_running_loop()
        file = os.fdopen(writing, "wb", buffering=0)
        try:
            transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, file)
        except BaseException:
            os.close(reading)
            file.close()
            raise
        self._writing = transport
        file = os.fdopen(reading, "rb", buffering=0)
        try:
            self._reading, _ = await loop.connect_read_pipe(lambda: self, file)
        except BaseException:
            file.close()
            self.close()
            raise

    def write(self, frame: bytes) -> None:
        """Send a frame; one that nobody will read is dropped."""
        if self._writing is not None and not self._writing.is_closing():
            self._writing.write(frame)

    def close(self) -> None:
        """Close both pipes; what has not been written is dropped."""
        self._on_end = None
        if self._writing is not None and not self._writing.is_closing():
            self._writing.abort()
        if self._reading is not None:
            self._reading.close()

    # --- called by asyncio -------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Hand on the frames that are complete."""
        if self._received is not None:
            data = self._received(data)
        try:
            for head, body in self._frames.feed(data):
                if self._on_end is None:
                    return
                self._on_frame(head, body)
        except ProtocolError as error:
            self._ended(error)

    def eof_received(self) -> None:
        """Say how it ended."""
        try:
            self._frames.finish()
        except ProtocolError as error:
            self._ended(error)
        else:
            self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Say so, unless it was said."""
        self._ended(None)

    def _ended(self, error: ProtocolError | None) -> None:
        told, self._on_end = self._on_end, None
        if told is not None:
            if self._reading is not None:
                self._reading.close()
            told(error)
