"""A cassette in use: what it answers, what it records, what it missed.

The doors ask it, one call per request. It knows neither HTTP libraries nor pytest:
requests and interactions go in and out as values. It is used from many threads at
once, because synchronous clients bring their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._miss import CassetteMissError, Miss, explain_miss
from pytest_mnemosyne.cassette._modes import Action, RecordMode, decide
from pytest_mnemosyne.cassette._player import Player
from pytest_mnemosyne.cassette._recorder import Recording
from pytest_mnemosyne.cassette._turn import Source, Tokens, Turn
from pytest_mnemosyne.wire import ClaudeHosts, is_api_path

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded

Loader = Callable[[Path], "CassetteFile"]
"""Reads a cassette's file; raises `FileNotFoundError`, or a `CassetteFileError` that names it."""

Writer = Callable[[Path, "CassetteFile"], bool]
"""Writes a cassette's file; false where its content was the same already."""


class Cassette:
    """The recorded interactions of one test, being played or recorded.

    The file is read at the first request that needs it, never in the modes that
    ignore it, and written by `save` alone.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        mode: RecordMode,
        loader: Loader | None = None,
        on_miss: Callable[[Miss], None] | None = None,
        command: str = "",
        redact: Callable[[bytes], bytes] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Open the cassette without touching its file.

        Args:
            path: Its file, which need not exist; `None` for one that is never stored.
            mode: What may be played, forwarded and recorded.
            loader: Reads the file; by default this package's own `load`.
            on_miss: Called with each miss, in the thread that asked, before the error
                is raised there.
            command: The command line that records the calls, told with a miss.
            redact: Takes out of a request's body what the file does not hold either, because
                it was taken out there; by default everything that looks like a key.
            clock: Seconds, for the times of turns and chunks.
        """
        self.path = path
        self.mode = mode
        self.misses: list[Miss] = []
        """Every request that was refused, in order; raising the error comes after."""

        self._plays = decide(mode, unplayed_match=True) is Action.REPLAY
        self._loader = loader
        self._on_miss = on_miss
        self._command = command
        self._redact = redact
        self._clock = clock
        self._opened_s = clock()
        self._player: Player | None = None
        self._file: CassetteFile | None = None
        self._recordings: list[Recording] = []
        self._turns: dict[int, Turn] = {}
        self._begun = 0
        self._lock = Lock()

    # --- what there is to know ---------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether its file is there."""
        return self.path is not None and self.path.is_file()

    @property
    def turns(self) -> list[Turn]:
        """Every turn with Claude that has ended, in the order in which they began."""
        with self._lock:
            return [self._turns[number] for number in sorted(self._turns)]

    @property
    def played(self) -> int:
        """How many turns were answered from the file."""
        return sum(turn.source is Source.PLAYED for turn in self.turns)

    @property
    def recorded(self) -> int:
        """How many turns were answered by upstream and are to be kept."""
        return sum(
            turn.source is Source.RECORDED and turn.interaction is not None for turn in self.turns
        )

    def unplayed(self) -> list[Interaction]:
        """The interactions of the file that nobody asked for; those of other hosts apart.

        Empty in the modes that do not play. Reads the file where no request has done so.
        """
        if not self._plays:
            return []
        with self._lock:
            player = self._loaded()
        return [each for each in player.unplayed() if _asks_claude(each.request)]

    def read(self) -> None:
        """Read the file now, where the mode plays it, and not at the first request.

        Raises:
            CassetteFileError: It cannot be read.
        """
        if self._plays:
            with self._lock:
                self._loaded()

    # --- for the doors -----------------------------------------------------------------

    def answer(
        self,
        request: Request,
        lane: Lane | None,
        *,
        tries: int = 1,
        injected: Sequence[str] = (),
    ) -> Interaction | None:
        """The recorded answer, played from now on; `None` where the request is to be forwarded.

        Args:
            request: What is asked.
            lane: Who asks.
            tries: 1 for a first try.
            injected: What a fault plan does to it; may grow afterwards.

        Raises:
            CassetteMissError: There is none and the mode does not forward. It has been
                noted in `misses` and told to `on_miss` before.
            CassetteFileError: The file cannot be read.
        """
        if not self._plays:
            return None
        with self._lock:
            player = self._loaded()
            key = player.key_of(request)
            index = player.take(key, lane)
            if index is None:
                # What was secret when it was recorded is not in the file.
                request = self._redacted(request)
                key = player.key_of(request)
                index = player.take(key, lane)
            if decide(self.mode, unplayed_match=index is not None) is Action.FORWARD:
                return None
            number = self._next_number()
            interaction = player.interactions[index] if index is not None else None
            self._turns[number] = Turn(
                number=number,
                source=Source.MISSED if interaction is None else Source.PLAYED,
                request=request,
                lane=lane,
                tries=tries,
                interaction=interaction,
                index=index,
                counted=self._tokens_of(index),
                started_s=self._clock() - self._opened_s,
                injected=injected,
            )
        if interaction is not None:
            return interaction
        miss = explain_miss(
            request=request,
            key=key,
            lane=lane,
            player=player,
            path=self.path,
            exists=self.exists,
            command=self._command,
        )
        raise self.missed(miss)

    def missed(self, miss: Miss) -> CassetteMissError:
        """Note a miss, tell `on_miss`, and make the error that the caller is to raise."""
        self.misses.append(miss)
        if self._on_miss is not None:
            self._on_miss(miss)
        return CassetteMissError(miss=miss)

    def overrun(self, request: Request, lane: Lane | None) -> CassetteMissError:
        """The miss of a client that reads on where the recorded one had stopped reading."""
        miss = Miss(
            request=request,
            lane=lane,
            path=self.path,
            recorded=len(self._player.interactions) if self._player is not None else 0,
            nearest=None,
            differences=(),
            words="when this was recorded the client cancelled here, and now it reads on",
            command=self._command.replace("=record", "=rerecord"),
        )
        return self.missed(miss)

    def recording(
        self,
        request: Request,
        lane: Lane | None,
        *,
        tries: int = 1,
        injected: Sequence[str] = (),
    ) -> Recording:
        """Begin to record a request that is being forwarded.

        Whoever forwards it must end the recording, one way or the other.
        """
        with self._lock:
            number = self._next_number()
            recording = Recording(
                request,
                lane,
                clock=self._clock,
                on_end=lambda ended: self._note(ended, number, tries, started_s, injected),
            )
            started_s = self._clock() - self._opened_s
            self._recordings.append(recording)
        return recording

    def note_injected(
        self, interaction: Interaction, *, injected: Sequence[str], tries: int = 1
    ) -> None:
        """Note a turn that a fault plan has ended in place of an answer; nothing is recorded.

        Args:
            interaction: What the client got.
            injected: The faults that did it.
            tries: 1 for a first try.
        """
        with self._lock:
            number = self._next_number()
            self._turns[number] = Turn(
                number=number,
                source=Source.INJECTED,
                request=interaction.request,
                lane=interaction.lane,
                tries=tries,
                interaction=interaction,
                started_s=self._clock() - self._opened_s,
                injected=injected,
            )

    # --- writing -----------------------------------------------------------------------

    def interactions_to_write(self) -> tuple[Interaction, ...]:
        """What the file should hold now: what it holds already and what was recorded.

        Agents stand one after the other, each with its turns in order, so that the
        file does not depend on whose answer came first. An answer that is still open
        ends here, as one whose client stopped reading.
        """
        with self._lock:
            recordings = tuple(self._recordings)
            kept = self._loaded().interactions if self._plays else ()
        for recording in recordings:
            recording.settle()
        found = [each.interaction for each in recordings if each.interaction is not None]
        return tuple(sorted((*kept, *found), key=_lane_order))

    def save(self, recorded: Recorded | None = None, *, writer: Writer | None = None) -> bool:
        """Write what was recorded; true where the file's content has changed.

        Does nothing where the mode does not write or nothing was recorded.

        Args:
            recorded: The header: where, when, by which test and with what it was recorded.
            writer: Writes the file; by default this package's own `write`.

        Raises:
            CassetteFileError: It cannot be written, or would hold a secret; the file
                that was there before is untouched.
        """
        if self.path is None or not self.mode.writes or not self._recordings:
            return False
        interactions = self.interactions_to_write()
        if not any(each.interaction is not None for each in self._recordings):
            return False
        from pytest_mnemosyne.cassette import _contents

        file = self._file or _contents.CassetteFile()
        file = replace(
            file,
            interactions=interactions,
            keys=(),
            tokens=(),
            recorded=recorded,
            container="mnemosyne",
        )
        return (writer or _default_writer())(self.path, file)

    # --- inside ------------------------------------------------------------------------

    def _loaded(self) -> Player:
        """The player, its file read at the first call; the lock is held."""
        if self._player is None:
            file = self._file = self._read_file()
            self._player = Player(file.interactions, file.keys) if file else Player(())
        return self._player

    def _read_file(self) -> CassetteFile | None:
        if self.path is None:
            return None
        try:
            return (self._loader or _default_loader())(self.path)
        except FileNotFoundError:
            return None

    def _tokens_of(self, index: int | None) -> Tokens | None:
        kept = self._file.tokens if self._file is not None else ()
        return kept[index] if kept and index is not None else None

    def _redacted(self, request: Request) -> Request:
        if self._redact is None:
            from pytest_mnemosyne.cassette._redaction import Redactor

            self._redact = Redactor().redact
        return replace(request, body=self._redact(request.body))

    def _next_number(self) -> int:
        self._begun += 1
        return self._begun

    def _note(
        self,
        ended: Recording,
        number: int,
        tries: int,
        started_s: float,
        injected: Sequence[str],
    ) -> None:
        turn = Turn(
            number=number,
            source=Source.RECORDED if self.mode.writes else Source.FORWARDED,
            request=ended.request,
            lane=ended.lane,
            tries=tries,
            interaction=ended.interaction,
            started_s=started_s,
            injected=injected,
        )
        with self._lock:
            self._turns[number] = turn


def _lane_order(interaction: Interaction) -> tuple[str, int]:
    lane = interaction.lane
    return (lane.agent, lane.attempt) if lane is not None else ("", 0)


def _asks_claude(request: Request) -> bool:
    path = request.url.partition("?")[0]
    return is_api_path(path) or "://" not in path or ClaudeHosts().covers(path)


def _default_loader() -> Loader:
    from pytest_mnemosyne.cassette import load

    return load


def _default_writer() -> Writer:
    from pytest_mnemosyne.cassette import write

    return write
