"""A verify run: calls are forwarded, and their answers held against the recorded ones.

The client goes on with what is recorded, as in a replay. Two kinds of answers are not
compared, because no run can be held to them: what was recorded of a fault of the moment
(a rate limit, an overload, a broken connection) is played without asking, and such a
fault of the live run is handed to the client, which tries again as it would anywhere.

What the client has from recorded answers, it names in its next requests. The ids among it
go out as those of the live run (see `_live_ids`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._answers import read_answer
from pytest_mnemosyne.cassette._calls import agent_words, call_words
from pytest_mnemosyne.cassette._drift import Drift, DriftKind, compare_answers
from pytest_mnemosyne.cassette._file_difference import CallDifference
from pytest_mnemosyne.cassette._interaction import Interaction, Outcome, Request
from pytest_mnemosyne.cassette._live_ids import LiveIds
from pytest_mnemosyne.cassette._recorder import Recording
from pytest_mnemosyne.cassette._retries import is_passing
from pytest_mnemosyne.cassette._turn import Source, Turn

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._budget import Charge

_MOMENTARY = frozenset({"api_error", "overloaded_error", "rate_limit_error", "timeout_error"})
"""Types of errors that a stream may have in its middle, under a status of 200."""


class Verification:
    """The comparisons of one cassette. Used from many threads, each call from one at a time."""

    def __init__(
        self,
        clock: Callable[[], float],
        charge: Callable[[Request, Lane | None], Charge | None],
    ) -> None:
        """Nothing is compared yet; `charge` sets aside what a request may cost."""
        self.drift: list[CallDifference] = []
        """Every call whose live answer is not like the recorded one."""

        self._clock = clock
        self._charge = charge
        self._ids = LiveIds()
        self._given_back: dict[tuple[Request, Lane | None], list[int]] = {}
        """The answers that wait for another try, in order; equal calls may wait at once."""

    def begin(
        self, turn: Turn, expected: Interaction, *, on_end: Callable[[Turn], None]
    ) -> Comparison | None:
        """Compare a recorded answer, which was just given, with a live one.

        Args:
            turn: The turn that has taken it.
            expected: The recorded answer.
            on_end: Called with the turn as it was after all, when the live exchange has ended.

        Returns:
            What is to be forwarded; `None` where the recorded answer is not compared.
        """
        if is_momentary(expected):
            self._ids.learn(expected, None)
            return None
        return Comparison(
            turn,
            expected,
            ids=self._ids,
            clock=self._clock,
            on_end=lambda it: on_end(self._end(it)),
            charge=self._charge(turn.request, turn.lane),
        )

    def again(self, request: Request, lane: Lane | None) -> int | None:
        """The index of the answer to a call whose first try met a fault of the moment."""
        waiting = self._given_back.get((_bare(request), lane))
        return waiting.pop(0) if waiting else None

    def _end(self, ended: Comparison) -> Turn:
        turn = replace(ended.turn, interaction=ended.live, counted=None)
        if ended.goes_to_the_client:
            assert ended.turn.index is not None
            key = _bare(turn.request), turn.lane
            self._given_back.setdefault(key, []).append(ended.turn.index)
            return replace(turn, source=Source.FORWARDED, index=None)
        self._ids.learn(ended.expected, ended.live)
        difference = ended.difference()
        if difference is not None:
            self.drift.append(difference)
        return replace(turn, source=Source.COMPARED)


class Comparison:
    """One call that is being compared."""

    def __init__(
        self,
        turn: Turn,
        expected: Interaction,
        *,
        ids: LiveIds,
        clock: Callable[[], float],
        on_end: Callable[[Comparison], None],
        charge: Charge | None,
    ) -> None:
        """Begin to forward; `on_end` is called once, when the live exchange has ended.

        So is the charge settled, what was set aside of a budget for it.
        """
        self.turn = turn
        self.expected = expected
        self._ids = ids
        self._unknown = ids.unknown(turn.request)
        self.recording = Recording(
            turn.request, turn.lane, clock=clock, on_end=lambda _: on_end(self), charge=charge
        )
        """Whoever forwards the call must end it, one way or the other."""

    def for_upstream(self, request: Request) -> Request:
        """The request that is being compared, as it is to be forwarded."""
        return self._ids.in_upstreams(request)

    @property
    def live(self) -> Interaction | None:
        """The live exchange; `None` until its end, and where it came to nothing."""
        return self.recording.interaction

    @property
    def goes_to_the_client(self) -> bool:
        """Whether the client is to get the live answer, to try again."""
        return self.live is None or is_momentary(self.live)

    def difference(self) -> CallDifference | None:
        """What has drifted, words apart; `None` where nothing has."""
        assert self.live is not None
        assert self.turn.index is not None
        number = self.turn.index + 1
        found = CallDifference(
            agent=agent_words(self.turn.lane),
            call=call_words(self.turn.request),
            old=number,
            new=number,
            answer=compare_answers(self.expected, self.live),
        )
        if not found.has_drifted:
            return None
        # Perhaps the reason: upstream knows nothing of them.
        strangers = tuple(
            Drift(DriftKind.IDS, f"[-{each}-] was recorded, and the live run has none in its place")
            for each in self._unknown
        )
        return replace(found, answer=(*found.answer, *strangers))


def is_momentary(interaction: Interaction) -> bool:
    """Whether an exchange ended in a way that the next try need not end in."""
    response = interaction.response
    if response is None or interaction.outcome is not Outcome.COMPLETE:
        return True
    if is_passing(response.status):
        return True
    error = read_answer(response.body).error
    return error is not None and error.get("type") in _MOMENTARY


def _bare(request: Request) -> Request:
    # The SDK counts its tries in a header.
    return replace(request, headers=())
