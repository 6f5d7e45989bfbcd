"""A mailbox in front of which messages get lost, doubled, late and out of order.

What is late waits in a line, one for each sender. Behind a message that is late everything
of the same sender waits, too: between two actors messages stay in order, as in every
system that people write actors for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from mnemosyne_core import lane
from mnemosyne_core.errors import MailboxFullError
from mnemosyne_core.supervision import Mailbox
from mnemosyne_core.supervision._ref import Envelope
from pytest_mnemosyne.simulation.faults._address import Moment
from pytest_mnemosyne.simulation.faults._fault import Occasion
from pytest_mnemosyne.simulation.faults._mailbox import (
    Delay,
    Duplicate,
    Lose,
    MailboxFault,
    Overflow,
    Reorder,
)

if TYPE_CHECKING:
    from pytest_mnemosyne.simulation.faults._failpoints import PlannedFailpoints


@dataclass(slots=True, eq=False)
class _Late:
    """A message in a line."""

    envelope: Envelope
    timer: asyncio.TimerHandle | None = None
    """Until it strikes, nobody behind it arrives; without one it only waits for its turn."""

    overtakable: bool = False
    """Whether it may go as soon as another sender's message has passed."""


class FaultyMailbox(Mailbox[Envelope | None]):
    """The mailbox of one actor; `of` makes the class for it."""

    _failpoints: ClassVar[PlannedFailpoints]
    _moment: ClassVar[Moment]

    @classmethod
    def of(cls, failpoints: PlannedFailpoints, moment: Moment) -> type[FaultyMailbox]:
        """The class of the mailbox of one incarnation, in place of `Mailbox`."""
        return type("FaultyMailbox", (cls,), {"_failpoints": failpoints, "_moment": moment})

    def __init__(self, **settings: Any) -> None:
        """An open, empty mailbox; takes what `Mailbox` takes."""
        super().__init__(**settings)
        self._lines: dict[str | None, deque[_Late]] = {}
        self._passing: Envelope | None = None
        """A message that goes straight on: to have a message wait, a mailbox may first try
        whether it need not."""

    async def put(self, message: Envelope | None) -> None:
        """Take a message, unless it goes astray."""
        if message is None or self._closed:
            await super().put(message)
            return
        sender = _sender()
        fault = self._strike(message, sender)
        if isinstance(fault, Overflow):
            if self._rejects:
                raise self._overflow()
            await asyncio.sleep(fault.within_s)
        copies = (message, replace(message)) if isinstance(fault, Duplicate) else (message,)
        for each in copies:
            if not self._is_astray(each, sender, fault):
                self._passing = each
                await super().put(each)
                self._let_overtaken_go(sender)
        self._note_ask(message)

    def put_nowait(self, message: Envelope | None) -> None:
        """Take a message now or refuse it, unless it goes astray."""
        if message is None or message is self._passing or self._closed:
            super().put_nowait(message)
            return
        sender = _sender()
        fault = self._strike(message, sender)
        if isinstance(fault, Overflow):
            raise self._overflow()
        copies = (message, replace(message)) if isinstance(fault, Duplicate) else (message,)
        for each in copies:
            if not self._is_astray(each, sender, fault):
                super().put_nowait(each)
                self._let_overtaken_go(sender)
        self._note_ask(message)

    def get_nowait(self) -> Envelope | None:
        """Take the next message; the room that it leaves is for those that are late first."""
        message = super().get_nowait()
        for sender in tuple(self._lines):
            self._move_up(sender)
        return message

    def close(self) -> list[Envelope | None]:
        """Take no more messages, and hand back those that nobody took, late ones too."""
        waiting = super().close()
        for line in self._lines.values():
            for late in line:
                if late.timer is not None:
                    late.timer.cancel()
                waiting.append(late.envelope)
        self._lines.clear()
        return waiting

    # --- what goes astray ------------------------------------------------------------------

    def _strike(self, envelope: Envelope, sender: str | None) -> MailboxFault | None:
        message = type(envelope.message).__name__
        moment = replace(self._moment, message=message, sender=sender)
        armed = self._failpoints.running.reach(Occasion.DELIVERY, moment)
        if armed is None or not armed.strikes():
            return None
        assert isinstance(armed.fault, MailboxFault)
        return armed.fault

    def _is_astray(
        self, envelope: Envelope, sender: str | None, fault: MailboxFault | None
    ) -> bool:
        """Whether a message does not arrive now; those of its sender that are late go first."""
        match fault:
            case Lose():
                return True
            case Delay():
                late = _Late(envelope)
                self._hold(late, sender, fault.drawn_s(self._failpoints.running.draws))
            case Reorder():
                late = _Late(envelope, overtakable=True)
                self._hold(late, sender, fault.within_s)
            case _ if self._lines.get(sender):
                self._lines[sender].append(_Late(envelope))
            case _:
                return False
        return True

    def _overflow(self) -> MailboxFullError:
        return MailboxFullError(
            path=self._path, capacity=int(self._capacity), can_wait=not self._rejects
        )

    def _hold(self, late: _Late, sender: str | None, for_s: float) -> None:
        def let_go() -> None:
            late.timer = None
            self._move_up(sender)

        late.timer = asyncio.get_running_loop().call_later(for_s, let_go)
        self._lines.setdefault(sender, deque()).append(late)

    def _let_overtaken_go(self, passed: str | None) -> None:
        """A message of `passed` has arrived: those of others that waited for that may go."""
        for sender, line in tuple(self._lines.items()):
            first = line[0] if line else None
            if sender != passed and first is not None and first.overtakable:
                if first.timer is not None:
                    first.timer.cancel()
                    first.timer = None
                self._move_up(sender)

    def _move_up(self, sender: str | None) -> None:
        line = self._lines.get(sender)
        while line and line[0].timer is None:
            try:
                super().put_nowait(line[0].envelope)
            except MailboxFullError:
                return
            line.popleft()
            self._let_overtaken_go(sender)

    def _note_ask(self, envelope: Envelope) -> None:
        if envelope.reply.is_awaited:
            self._failpoints.asked(type(envelope.message).__name__)


def _sender() -> str | None:
    """The path of the actor that runs this; all code outside any actor is one sender."""
    found = lane.current.get()
    return None if found is None else found.agent
