"""Record modes: what to do with a request, given what the cassette holds.

========  ==============  ==============
mode      unplayed match  no match
========  ==============  ==============
replay    replay          refuse
record    replay          forward
rerecord  forward         forward
live      forward         forward
verify    compare         refuse
========  ==============  ==============

To compare is to forward the request, to hold the answer against the recorded one, and
to go on with the recorded one: so the next request is the recorded one too, and every
live answer has its counterpart. An answer of the model differs in its words each time;
were it handed on, no second turn of a conversation could be compared.
"""

from __future__ import annotations

from enum import StrEnum, auto


class RecordMode(StrEnum):
    """What a run may do with the network and the cassettes."""

    REPLAY = auto()
    RECORD = auto()
    RERECORD = auto()
    LIVE = auto()
    VERIFY = auto()

    @property
    def forwards(self) -> bool:
        """Whether a request may leave the process."""
        return self is not RecordMode.REPLAY

    @property
    def plays(self) -> bool:
        """Whether the client gets what the cassette holds."""
        return decide(self, unplayed_match=True) is not Action.FORWARD

    @property
    def writes(self) -> bool:
        """Whether a passing test's cassette is written."""
        return self in (RecordMode.RECORD, RecordMode.RERECORD)


class Action(StrEnum):
    """What is done with one request."""

    REPLAY = auto()
    COMPARE = auto()
    FORWARD = auto()
    REFUSE = auto()


def decide(mode: RecordMode, *, unplayed_match: bool) -> Action:
    """Choose the action for one request, as in the table above."""
    match mode, unplayed_match:
        case ((RecordMode.REPLAY | RecordMode.RECORD), True):
            return Action.REPLAY
        case RecordMode.VERIFY, True:
            return Action.COMPARE
        case ((RecordMode.REPLAY | RecordMode.VERIFY), False):
            return Action.REFUSE
        case _:
            return Action.FORWARD
