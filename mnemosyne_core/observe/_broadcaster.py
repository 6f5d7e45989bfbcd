"""The bus: every event to everybody who asked, in order, without making anybody wait.

There are two kinds of listeners. A sink is called with each event before
`publish` returns; the folds are sinks. A subscription is read at its own pace by
some task; it holds a bounded number of events, and a reader that is too slow is
told how many it missed. Nothing is lost in silence.

A sink that fails does not hurt whoever published: the event is a fact by then.
Everything here belongs to one thread, the event loop's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mnemosyne_core.errors import UsageError
from mnemosyne_core.events import Event
from mnemosyne_core.failpoints import Failpoints

Sink = Callable[[Event], object]
"""Called with each event; what it returns does not matter."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagged:
    """In place of events that a slow reader missed; the oldest ones go first."""

    missed: int
    """How many."""

    after: int
    """Sequence number after which they are missing; read the journal on from there."""


class Subscription:
    """Events from some moment on: an asynchronous iterator, closed at the end of its `with`.

    Cancelling the reader loses nothing. After `close` what has already arrived is
    still handed out, then the iteration ends.
    """

    def __init__(self, *, capacity: int, after: int, on_close: Callable[[Subscription], None]):
        self._capacity = capacity
        self._after = after
        self._on_close = on_close
        self._arrived: deque[Event] = deque()
        self._missed = 0
        self._closed = False
        self._wakeup = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether no more events arrive."""
        return self._closed

    def close(self) -> None:
        """Take no more events; may be called again."""
        if not self._closed:
            self._closed = True
            self._wakeup.set()
            self._on_close(self)

    def take_nowait(self) -> Event | Lagged | None:
        """The next event if there is one, or what was missed before it."""
        if self._missed:
            lagged = Lagged(missed=self._missed, after=self._after)
            self._missed = 0
            self._after = self._arrived[0].seq - 1
            return lagged
        if not self._arrived:
            return None
        event = self._arrived.popleft()
        self._after = event.seq
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Lagged:
        while (taken := self.take_nowait()) is None:
            if self._closed:
                raise StopAsyncIteration
            self._wakeup.clear()
            await self._wakeup.wait()
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _push(self, event: Event) -> None:
        if event.seq <= self._after:
            return
        if len(self._arrived) == self._capacity:
            self._arrived.popleft()
            self._missed += 1
        self._arrived.append(event)
        self._wakeup.set()


@dataclass(frozen=True, slots=True, eq=False)
class _Attached:
    """One attachment; the same sink may be attached twice and detached once."""

    sink: Sink


class EventBroadcaster:
    """Hands each published event to all sinks, then to all subscriptions."""

    def __init__(self, *, failpoints: Failpoints | None = None) -> None:
        """Nobody listens yet.

        Args:
            failpoints: Where a test lets the readers of subscriptions be slow.
        """
        self._failpoints = failpoints
        self._sinks: list[_Attached] = []
        self._subscriptions: list[Subscription] = []
        self._pending: deque[Event] = deque()
        self._publishing = False
        self._closed = False

    def attach(self, sink: Sink) -> Callable[[], None]:
        """Call `sink` with every event from now on, after the sinks attached before it.

        Returns:
            What detaches it again.
        """
        attached = _Attached(sink)
        self._sinks.append(attached)

        def detach() -> None:
            if attached in self._sinks:
                self._sinks.remove(attached)

        return detach

    def subscribe(self, *, capacity: int = 1024, after: int = 0) -> Subscription:
        """Events from now on, for a reader with its own pace.

        Args:
            capacity: How many events may wait for the reader; beyond it the oldest are
                dropped, and the reader gets a `Lagged` in their place.
            after: Leave out events with this sequence number or an earlier one.

        Raises:
            UsageError: `capacity` is less than 1.
        """
        if capacity < 1:
            raise UsageError(f"a subscription's capacity must be 1 or more, got {capacity!r}")
        kind = Subscription if self._failpoints is None else self._failpoints.subscription()
        subscription = kind(capacity=capacity, after=after, on_close=self._subscriptions.remove)
        self._subscriptions.append(subscription)
        if self._closed:
            subscription.close()
        return subscription

    def publish(self, *events: Event) -> None:
        """Hand `events` to everybody; never waits, and a failing sink hurts nobody.

        A sink may itself cause an event. That one is handed out after these have
        reached everybody, so all listeners see one order.

        Raises:
            BaseException: What a sink raised that is no `Exception`, such as `Abort`, once
                everybody has the events.
        """
        self._pending.extend(events)
        if self._publishing:
            return
        passing: BaseException | None = None
        self._publishing = True
        try:
            while self._pending:
                current = self._pending.popleft()
                for attached in tuple(self._sinks):
                    passing = _deliver(current, attached.sink) or passing
                for subscription in tuple(self._subscriptions):
                    subscription._push(current)
        finally:
            self._publishing = False
        if passing is not None:
            raise passing

    def close(self) -> None:
        """End every subscription, the later ones too; sinks stay. May be called again."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.close()


def _deliver(event: Event, sink: Sink) -> BaseException | None:
    """Call `sink`, and hand back what it raised if that must not be absorbed here."""
    try:
        sink(event)
    except Exception:  # noqa: BLE001 - the event is a fact, its publisher is innocent
        name = getattr(sink, "__qualname__", repr(sink))
        _log.exception("event sink %s failed on event %d (%s)", name, event.seq, event.kind)
    except BaseException as passing:  # noqa: BLE001 - raised again when everybody has the event
        return passing
    return None
