"""What an agent's process prints, as lines of a log.

Its output is cut into lines; each goes to `mnemosyne.agent.<path with dots>`, standard
output as information, standard error as a warning. Of more lines than `MAX_AT_ONCE` that
come at once, the rest is one record: an agent that floods its output must not hold up
the loop, and nothing of it is lost. The last lines of standard error are kept, because
they often say why a process ended.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

MAX_LINE: Final = 2_000
"""Longest line, in bytes; what is beyond it is left out."""

MAX_AT_ONCE: Final = 200
"""How many lines that come at once are records of their own."""

MAX_KEPT: Final = 20
"""How many lines of standard error are kept."""

STDOUT: Final = 1
STDERR: Final = 2
_LEVELS: Final = {STDOUT: logging.INFO, STDERR: logging.WARNING}

LOGGER: Final = logging.getLogger("mnemosyne.agent")
if LOGGER.level == logging.NOTSET:
    # Otherwise the root's level would decide, which leaves out what agents print.
    LOGGER.setLevel(logging.INFO)


def logger_of(path: str) -> logging.Logger:
    """The log of the agent at `path`."""
    return LOGGER.getChild(path.replace("/", "."))


class Lines:
    """Cuts what comes in pieces into lines."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        """No lines yet.

        Args:
            max_line: Longest line, in bytes; what is beyond it is left out.
        """
        self._max_line = max_line
        self._begun = bytearray()
        self._left_out = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            self._add(piece)
            lines.append(self._take())
        self._add(rest)
        return lines

    def finish(self) -> list[str]:
        """The last line, if there is one without an end."""
        return [self._take()] if self._begun else []

    def _add(self, piece: bytes) -> None:
        room = self._max_line - len(self._begun)
        self._begun += piece[:room]
        self._left_out += max(0, len(piece) - room)

    def _take(self) -> str:
        note = f" [... {self._left_out} bytes left out]" if self._left_out else ""
        line = self._begun.decode(errors="backslashreplace").rstrip("\r") + note
        self._begun.clear()
        self._left_out = 0
        return line


class ProcessLog:
    """The log of one agent's process."""

    def __init__(self, path: str) -> None:
        """Nothing said yet.

        Args:
            path: The agent's path.
        """
        self._logger = logger_of(path)
        self._lines = {STDOUT: Lines(), STDERR: Lines()}
        self._kept: deque[str] = deque(maxlen=MAX_KEPT)
        self.pid = 0

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The end of standard error."""
        return tuple(self._kept)

    def feed(self, descriptor: int, data: bytes) -> None:
        """Take what came out of `STDOUT` or `STDERR`."""
        self._say(descriptor, self._lines[descriptor].feed(data))

    def finish(self, descriptor: int) -> None:
        """Nothing more will come out of it."""
        self._say(descriptor, self._lines[descriptor].finish())

    def _say(self, descriptor: int, lines: list[str]) -> None:
        if descriptor == STDERR:
            self._kept.extend(lines)
        if len(lines) > MAX_AT_ONCE:
            lines = [*lines[: MAX_AT_ONCE - 1], "\n".join(lines[MAX_AT_ONCE - 1 :])]
        for line in lines:
            self._logger.log(_LEVELS[descriptor], "[%d] %s", self.pid, line)
