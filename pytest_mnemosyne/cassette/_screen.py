"""What is told of a cassette's requests and turns: as a file would hold them, without secrets.

What plays well needs no redactor, so it is made when it is first needed, and what a turn
shows is worked out when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette._interaction import Request
from pytest_mnemosyne.cassette._turn import Turn

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._redaction import Redactor


class Screen:
    """Stands between what was on the wire and whoever looks at it."""

    def __init__(
        self,
        redactor: Callable[[], Redactor] | None,
        redact: Callable[[bytes], bytes] | None,
    ) -> None:
        """Nothing is made yet.

        Args:
            redactor: Gives what takes secrets out, asked for each time, since a run comes to
                know more of them; by default everything that looks like a key.
            redact: Makes of a request's body what its recorder would have kept of it, where
                that was not this project.
        """
        self._redactor = redactor or cache(_default_redactor)
        self._redact = redact
        self._turns: dict[int, tuple[Turn, Redactor, Turn]] = {}

    @property
    def redactor(self) -> Redactor:
        """What takes secrets out."""
        return self._redactor()

    def as_kept(self, request: Request) -> Iterator[Request]:
        """The request as the file may hold it, the form that is written today first."""
        if self._redact is not None:
            yield replace(request, body=self._redact(request.body))
            return
        redactor = self.redactor
        kept = redactor.shown_request(request)
        yield kept
        if (kept.url, kept.body) != (request.url, request.body):
            yield redactor.older.shown_request(request)

    def asked(self, request: Request) -> Request:
        """A request that is as the file would hold it, to be told."""
        return request if self._redact is None else self.redactor.shown_request(request)

    def turns(self, turns: Iterable[Turn]) -> list[Turn]:
        """The turns without secrets; the same ones for the same turns and secrets."""
        turns = list(turns)
        if not turns:
            return []
        redactor = self.redactor
        return [self._shown(turn, redactor) for turn in turns]

    def _shown(self, turn: Turn, redactor: Redactor) -> Turn:
        made, by, shown = self._turns.get(turn.number, (None, None, turn))
        if made is not turn or by is not redactor:
            interaction = turn.interaction
            shown = replace(
                turn,
                request=redactor.shown_request(turn.request),
                lane=redactor.shown_lane(turn.lane),
                interaction=None
                if interaction is None
                else redactor.shown_interaction(interaction),
            )
            self._turns[turn.number] = (turn, redactor, shown)
        return shown


def _default_redactor() -> Redactor:
    from pytest_mnemosyne.cassette._redaction import Redactor

    return Redactor()
