"""A cassette in use: what it answers, what it records, what it missed.

The doors ask it, one call per request. It knows neither HTTP libraries nor pytest:
requests and interactions go in and out as values. It is used from many threads at
once, because synchronous clients bring their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._contents import asks_claude
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._kept import KeptInteractions
from pytest_mnemosyne.cassette._loosening import EXACTLY, Loosening
from pytest_mnemosyne.cassette._miss import CassetteMissError, Miss, explain_miss
from pytest_mnemosyne.cassette._modes import Action, RecordMode, decide
from pytest_mnemosyne.cassette._origins import Folders, Origins
from pytest_mnemosyne.cassette._pace import Pace
from pytest_mnemosyne.cassette._player import Found, Player
from pytest_mnemosyne.cassette._recorder import Recording
from pytest_mnemosyne.cassette._screen import Screen
from pytest_mnemosyne.cassette._takes import Keeps, Loader, Takes, Writer
from pytest_mnemosyne.cassette._turn import Source, Tokens, Turn

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._budget import Budget, Charge
    from pytest_mnemosyne.cassette._calls import AgentCalls
    from pytest_mnemosyne.cassette._contents import CassetteFile, Recorded
    from pytest_mnemosyne.cassette._errors import CassetteFileError
    from pytest_mnemosyne.cassette._file_difference import CallDifference
    from pytest_mnemosyne.cassette._redaction import Redactor
    from pytest_mnemosyne.cassette._verify import Comparison, Verification


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
        command: Callable[[bool], str] = lambda _: "",
        redact: Callable[[bytes], bytes] | None = None,
        redactor: Callable[[], Redactor] | None = None,
        on_key: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        role: str | None = None,
        journal: Keeps | None = None,
        loosening: Loosening = EXACTLY,
        folders: Folders = tuple,
        pace: Pace = Pace.INSTANT,
        budget: Budget | None = None,
    ) -> None:
        """Open the cassette without touching its file.

        Args:
            path: Its file, which need not exist; `None` for one that is never stored.
            mode: What may be played, forwarded and recorded.
            loader: Reads the file; by default this package's own `load`.
            on_miss: Called with each miss, in the thread that asked, before the error
                is raised there.
            command: Makes the command line that records the calls, told with a miss; asked with
                whether the file is another recorder's, to which nothing is ever added.
            redact: Makes of a request's body what its recorder would have kept of it, where
                that was not this project.
            redactor: Gives what takes secrets out: of what is asked, as they were taken out of
                the file, and of what is told. By default everything that looks like a key.
            on_key: Told the name and the value of each header that holds a client's key,
                before its request is looked up.
            clock: Seconds, for the times of turns and chunks.
            role: The only role whose requests may be forwarded, and whose interactions may be
                recorded anew; by default every one.
            journal: Keeps what is recorded until it is saved.
            loosening: What is not compared, besides what never is.
            folders: Says which folders of this run stand-ins are for.
            pace: When played answers arrive.
            budget: Refuses to forward what is not paid for.
        """
        self.path = path
        self.mode = mode
        self.pace = pace
        self.loosening = loosening
        self.origins = Origins(folders)
        """Is to be told what this run makes and no other will: see `mnemosyne_core.origins`."""

        self.misses: list[Miss] = []
        """Every request that was refused, in order; raising the error comes after."""

        # A role that is recorded anew is forwarded, and all others are played.
        self._plays = mode.plays or role is not None
        self._loader = loader
        self._on_miss = on_miss
        self._command = command
        self._screen = Screen(redactor, redact)
        self.on_key = on_key
        """Is to be told every key that a client sends, by the header that holds it."""

        self._clock = clock
        self._budget = budget
        self._opened_s = clock()
        self._player: Player | None = None
        self._file: CassetteFile | None = None
        self._takes = Takes(
            path,
            mode=mode,
            role=role,
            journal=journal,
            loosening=loosening,
        )
        self._turns: dict[int, Turn] = {}
        self._stored: dict[int, Interaction] = {}
        self._verification = (
            _verification(clock, self._charge) if mode is RecordMode.VERIFY else None
        )
        self._begun = 0
        self._lock = Lock()

    # --- what there is to know ---------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether its file is there."""
        return self.path is not None and self.path.is_file()

    @property
    def turns(self) -> list[Turn]:
        """Every turn with Claude that has ended, in the order in which they began.

        Without secrets, as a file would hold them: what a test says of them may be printed.
        """
        return self._screen.turns(self.wire_turns)

    @property
    def wire_turns(self) -> list[Turn]:
        """The turns as they were on the wire, secrets included: to be counted and not shown."""
        with self._lock:
            return [self._turns[number] for number in sorted(self._turns)]

    @property
    def played(self) -> int:
        """How many turns were answered from the file."""
        return sum(turn.source is Source.PLAYED for turn in self.wire_turns)

    @property
    def recorded(self) -> int:
        """How many turns were answered by upstream and are to be kept."""
        return sum(
            turn.source is Source.RECORDED and turn.interaction is not None
            for turn in self.wire_turns
        )

    @property
    def drift(self) -> Sequence[CallDifference]:
        """In a verify run, every call whose live answer is not like the recorded one."""
        return self._verification.drift if self._verification is not None else ()

    def unplayed(self) -> list[Interaction]:
        """The interactions of the file that nobody asked for; those of other hosts apart.

        Empty in the modes that do not play. Reads the file where no request has done so.
        """
        if not self._plays:
            return []
        with self._lock:
            player = self._loaded()
        return [
            each
            for each in player.unplayed()
            if asks_claude(each.request) and not self._takes.replaces(each)
        ]

    def calls(self) -> tuple[AgentCalls, ...]:
        """What each agent asked, beside what is recorded for it.

        Empty in the modes that do not play. Reads the file where no request has done so.
        """
        if not self._plays:
            return ()
        from pytest_mnemosyne.cassette._calls import calls_by_agent

        with self._lock:
            player = self._loaded()
        recorded = {
            index: each
            for index, each in enumerate(player.interactions)
            if asks_claude(each.request)
        }
        return calls_by_agent(recorded, self.wire_turns)

    @property
    def header(self) -> Recorded | None:
        """Where its file comes from; `None` where it does not say, is not there or not read."""
        return self._file.recorded if self._file is not None else None

    @property
    def is_foreign(self) -> bool:
        """Whether its file, as far as it was read, is another recorder's."""
        return self._file is not None and self._file.container != "mnemosyne"

    @property
    def loosened_when_recorded(self) -> tuple[str, ...] | None:
        """What its file says is not compared; `None` where it does not say, or was not read."""
        return None if self._file is None or self.is_foreign else self._file.loosened

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
        mode = self.mode if self._takes.may_record(lane) else RecordMode.REPLAY
        if not mode.plays:
            return None
        with self._lock:
            player = self._loaded()
            found = player.find(request, lane)
            if found.index is None:
                request, found = self._found_as_kept(player, request, lane)
            index = found.index
            if index is None and self._verification is not None:
                index = self._verification.again(request, lane)
            if decide(mode, unplayed_match=index is not None) is Action.FORWARD:
                return None
            number = self._next_number()
            interaction = None
            if index is not None:
                interaction = self.origins.played(player.interactions[index], found.asked)
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
            shown=self._screen.redactor.shown_request,
            request=self._screen.asked(found.asked.request),
            key=found.key,
            objection=found.objection,
            lane=lane,
            player=player,
            path=self.path,
            exists=self.exists,
            command=self._command(self.is_foreign),
        )
        raise self.missed(miss)

    def missed(self, miss: Miss) -> CassetteMissError:
        """Note a miss, tell `on_miss`, and make the error that the caller is to raise."""
        miss = miss.without(self._screen.redactor.shown_text)
        self.misses.append(miss)
        if self._on_miss is not None:
            self._on_miss(miss)
        return CassetteMissError(miss=miss)

    def overrun(self, request: Request, lane: Lane | None) -> CassetteMissError:
        """The miss of a client that reads on where the recorded one had stopped reading."""
        return self._missed_for(
            request,
            lane,
            words="when this was recorded the client cancelled here, and now it reads on",
            # The option, and not what a test's parameter is called.
            command=self._command(self.is_foreign).replace("-mode=record", "-mode=rerecord"),
        )

    def unowned(self, request: Request) -> CassetteMissError:
        """The miss of a request that may be any agent's."""
        return self._missed_for(
            request,
            None,
            words="agents are there, and the thread that asks does not say for which of them",
            remedy="asyncio.to_thread keeps the agent, loop.run_in_executor and threads do not "
            "(run in contextvars.copy_context() there); mnemosyne_core.lane.entered names another",
        )

    def _missed_for(
        self,
        request: Request,
        lane: Lane | None,
        *,
        words: str,
        command: str = "",
        remedy: str = "",
    ) -> CassetteMissError:
        return self.missed(
            Miss(
                request=request,
                lane=lane,
                path=self.path,
                recorded=len(self._player.interactions) if self._player is not None else 0,
                nearest=None,
                differences=(),
                words=words,
                command=command,
                remedy=remedy,
            )
        )

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

        Raises:
            OverBudgetError: It may cost more than is left.
            UnpricedModelError: There is a budget, and nobody knows what it costs.
        """
        charge = self._charge(request, lane)
        with self._lock:
            number = self._next_number()
            recording = Recording(
                request,
                lane,
                clock=self._clock,
                on_end=lambda ended: self._note(ended, number, tries, started_s, injected),
                charge=charge,
            )
            started_s = self._clock() - self._opened_s
        self._takes.begin(recording, self._file_before)
        return recording

    def comparison(self, expected: Interaction) -> Comparison | None:
        """Begin to compare a recorded answer that was just given, in a verify run.

        Returns:
            What is to be forwarded and held against it; `None` where the recorded answer
            is all there is to it.

        Raises:
            OverBudgetError: It may cost more than is left.
            UnpricedModelError: There is a budget, and nobody knows what it costs.
        """
        if self._verification is None:
            return None
        with self._lock:
            turn = next(
                each for each in reversed(self._turns.values()) if each.interaction is expected
            )
        return self._verification.begin(turn, expected, on_end=self._renote)

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
            kept = self._loaded().interactions if self._plays else ()
        return self._takes.beside(kept)

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
        return self._takes.save(
            self._got,
            recorded,
            loader=self._loader or _default_loader(),
            writer=writer or _default_writer(),
        )

    @property
    def loss(self) -> CassetteFileError | None:
        """Why what was recorded and not saved is not whole in the journal; `None` if it is."""
        return self._takes.loss

    def close(self) -> None:
        """Leave what was recorded and not saved in the journal, what is still open ended."""
        self._takes.close()

    # --- inside ------------------------------------------------------------------------

    def _loaded(self) -> Player:
        """The player, its file read at the first call; the lock is held."""
        if self._player is None:
            file = self._file = self._read_file()
            self._player = Player(
                file.interactions if file else (), origins=self.origins, loosening=self.loosening
            )
            if file is not None:
                self.origins.play(file.volatile)
        return self._player

    def _found_as_kept(
        self, player: Player, request: Request, lane: Lane | None
    ) -> tuple[Request, Found]:
        """What is found for a request without its secrets: they are not in the file."""
        tried = []
        for kept in self._screen.as_kept(request):
            tried.append((kept, player.find(kept, lane)))
            if tried[-1][1].index is not None:
                return tried[-1]
        return tried[0]

    def _file_before(self) -> CassetteFile | None:
        """What the file held before anything was recorded."""
        if not self._plays:
            return self._read_file()
        with self._lock:
            self._loaded()
        return self._file

    def _got(self) -> list[Interaction]:
        """What the test has got, as a file holds it, in the order in which it asked."""
        got = []
        for turn in self.wire_turns:
            if turn.source is Source.PLAYED and turn.index is not None:
                got.append(self._loaded().interactions[turn.index])
            elif turn.number in self._stored:
                got.append(self._stored[turn.number])
        return got

    def _read_file(self) -> CassetteFile | None:
        if self.path is None:
            return None
        try:
            return (self._loader or _default_loader())(self.path)
        except FileNotFoundError:
            return None

    def _tokens_of(self, index: int | None) -> Tokens | None:
        kept = self._file.interactions if self._file is not None else ()
        if index is None or not isinstance(kept, KeptInteractions):
            return None
        return kept.tokens(index)

    def _next_number(self) -> int:
        self._begun += 1
        return self._begun

    def _charge(self, request: Request, lane: Lane | None) -> Charge | None:
        return None if self._budget is None else self._budget.admit(request, lane)

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
            if ended.interaction is not None and self.mode.writes:
                ended.stored = self._stored[number] = self.origins.stored(ended.interaction)
        self._takes.keep(number, ended.stored)

    def _renote(self, turn: Turn) -> None:
        with self._lock:
            self._turns[turn.number] = turn


def _verification(
    clock: Callable[[], float], charge: Callable[[Request, Lane | None], Charge | None]
) -> Verification:
    from pytest_mnemosyne.cassette._verify import Verification

    return Verification(clock, charge)


def _default_loader() -> Loader:
    from pytest_mnemosyne.cassette import load

    return load


def _default_writer() -> Writer:
    from pytest_mnemosyne.cassette import write

    return write
