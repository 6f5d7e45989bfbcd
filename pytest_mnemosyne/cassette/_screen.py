"""What is told of a cassette's requests and turns: as a file would hold them, without secrets.

What plays well needs no redactor, so it is made when it is first needed, and what a turn
shows is worked out when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
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
            redactor: Makes what takes secrets out; by default everything that looks like a key.
            redact: Makes of a request's body what its recorder would have kept of it, where
                that was not this project.
        """
        self._make_redactor = redactor or _default_redactor
        self._redact = redact
        self._redactor: Redactor | None = None
        self._turns: dict[int, tuple[Turn, Turn]] = {}

    @property
    def redactor(self) -> Redactor:
        """What takes secrets out."""
        if self._redactor is None:
            self._redactor = self._make_redactor()
        return self._redactor

    def as_kept(self, request: Request) -> Iterator[Request]:
        """The request as the file may hold it, the form that is written today first."""
        if self._redact is not None:
            yield replace(request, body=self._redact(request.body))
            return
        kept = self.redactor.shown_request(request)
        yield kept
        if (kept.url, kept.body) != (request.url, request.body):
            yield self.redactor.older.shown_request(request)

    def asked(self, request: Request) -> Request:
        """A request that is as the file would hold it, to be told."""
        return request if self._redact is None else self.redactor.shown_request(request)

    def turn(self, turn: Turn) -> Turn:
        """The turn without secrets; the same one for the same turn."""
        made, shown = self._turns.get(turn.number, (None, turn))
        if made is not turn:
            interaction = turn.interaction
            shown = replace(
                turn,
                request=self.redactor.shown_request(turn.request),
                lane=self.redactor.shown_lane(turn.lane),
                interaction=None
                if interaction is None
                else self.redactor.shown_interaction(interaction),
            )
            self._turns[turn.number] = (turn, shown)
        return shown


def _default_redactor() -> Redactor:
    from pytest_mnemosyne.cassette._redaction import Redactor

    return Redactor()
