"""What crosses the bridge: work out, results back, as the same bytes on every transport.

Both sides validate what they get. An agent in the same process could be handed
the objects themselves; it is not, so that nothing works there that would not
work across a process boundary.
"""

from __future__ import annotations

from typing import Self

from pydantic import PositiveInt, ValidationError
from pydantic_core import PydanticSerializationError

from mnemosyne_core._value import Value
from mnemosyne_core.errors import EnvelopeError
from mnemosyne_core.work import WorkItem, WorkResult, problems_of


class Envelope(Value):
    """What both directions carry."""

    seq: PositiveInt
    """Number of the envelope on its bridge, from 1; an answer has that of its question."""

    agent: str
    """Path of the agent."""

    attempt: PositiveInt
    by: PositiveInt | None = None
    """Sequence number of the event that led to it."""

    def to_bytes(self) -> bytes:
        """The envelope as UTF-8 JSON.

        Raises:
            EnvelopeError: A text in it is no valid Unicode.
        """
        try:
            return self.model_dump_json().encode()
        except PydanticSerializationError as error:
            raise EnvelopeError(problems=(("envelope", str(error)),)) from error

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The envelope in these bytes.

        Raises:
            EnvelopeError: There is none, or not of this kind.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise EnvelopeError(problems=problems_of(error)) from error


class WorkEnvelope(Envelope):
    """One attempt at a work item, on its way to the agent."""

    item: WorkItem
    guidance: tuple[str, ...] = ()


class ResultEnvelope(Envelope):
    """What the attempt came to, on its way back."""

    result: WorkResult

    def check_answers(self, work: WorkEnvelope) -> None:
        """Make sure that this is the answer to `work`.

        Raises:
            EnvelopeError: It answers something else.
        """
        found = {
            "seq": (work.seq, self.seq),
            "agent": (work.agent, self.agent),
            "attempt": (work.attempt, self.attempt),
            "result.item_id": (work.item.id, self.result.item_id),
            "result.attempt": (work.attempt, self.result.attempt),
        }
        problems = tuple(
            (field, f"expected {expected!r}, got {got!r}")
            for field, (expected, got) in found.items()
            if expected != got
        )
        if problems:
            raise EnvelopeError(problems=problems)
