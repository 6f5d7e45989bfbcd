"""A subscription whose reader is slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from mnemosyne_core.observe import Lagged, Subscription
from pytest_mnemosyne.simulation.faults._address import Moment
from pytest_mnemosyne.simulation.faults._fault import Occasion
from pytest_mnemosyne.simulation.faults._mailbox import Lag, SlowSubscriber

if TYPE_CHECKING:
    from mnemosyne_core.events import Event
    from pytest_mnemosyne.simulation.faults._running import RunningPlan


class FaultySubscription(Subscription):
    """The subscription of one reader; `of` makes the class for it."""

    _running: ClassVar[RunningPlan]
    _reader: ClassVar[str | None]

    @classmethod
    def of(cls, running: RunningPlan, reader: str | None) -> type[FaultySubscription]:
        """The class of what `reader` subscribes, in place of `Subscription`."""
        return type("FaultySubscription", (cls,), {"_running": running, "_reader": reader})

    def __init__(self, **settings: Any) -> None:
        """A subscription without any events; takes what `Subscription` takes."""
        super().__init__(**settings)
        self._pauses_s = 0.0
        self._overrun = 0
        """Events that are missed although nothing waits; it is told with the next one."""

    async def __anext__(self) -> Event | Lagged:
        """The next event, after the reader's pauses."""
        while (pause_s := self._pauses_s) > 0:
            self._pauses_s = 0.0
            await asyncio.sleep(pause_s)
        return await super().__anext__()

    def _push(self, event: Event) -> None:
        if event.seq <= self._after:
            return
        moment = Moment(agent=self._reader, message=event.kind)
        armed = self._running.reach(Occasion.EVENT, moment)
        if armed is not None and armed.strikes():
            match armed.fault:
                case Lag() if self._arrived:
                    self._arrived.popleft()
                    self._missed += 1
                case Lag():
                    self._overrun += 1
                    return
                case SlowSubscriber(by_s=by_s):
                    self._pauses_s += by_s
        self._missed += self._overrun
        self._overrun = 0
        super()._push(event)
