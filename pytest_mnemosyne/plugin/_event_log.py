"""What happened in the test's trees, to wait for and to assert on; nothing here sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mnemosyne_core.events import Event

    What: TypeAlias = str | type[BaseModel] | Callable[[Event], object]

_SHOWN = 40


class EventLog:
    """The events of a test's trees, in the order in which they happened.

    `what` names events in every method: by kind (`"work_completed"`), by class of fact
    (`WorkCompleted`), or by a function of the event.
    """

    def __init__(self) -> None:
        """An empty log; a tree's sink feeds it."""
        self._events: list[Event] = []
        self._waiting: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []

    def feed(self, event: Event) -> None:
        """Append an event and wake whoever waits for it; called on the tree's loop."""
        self._events.append(event)
        for matches, seen in self._waiting:
            if not seen.done() and matches(event):
                seen.set_result(event)

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self._events))

    def __len__(self) -> int:
        return len(self._events)

    @property
    def kinds(self) -> list[str]:
        """The kind of each event."""
        return [event.kind for event in self._events]

    def of(self, what: What) -> list[Event]:
        """The events so far that are `what`."""
        matches = _matcher(what)
        return [event for event in self._events if matches(event)]

    async def wait_for(
        self, what: What, *, within_s: float = 5.0, after: Event | None = None
    ) -> Event:
        """The first event that is `what`, as soon as there is one.

        Args:
            what: Which event.
            within_s: Seconds of the running loop's time to wait at most.
            after: Only events later than this one count; without it those that have
                happened already count too.

        Raises:
            AssertionError: There was none in time.
        """
        matches = _matcher(what)
        start = 0 if after is None else self._place(after) + 1
        for event in self._events[start:]:
            if matches(event):
                return event
        seen: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        entry = (matches, seen)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(within_s):
                return await seen
        except TimeoutError:
            raise AssertionError(
                f"no {_name(what)} within {within_s:g} s; {self._story()}"
            ) from None
        finally:
            self._waiting.remove(entry)

    def none(self, what: What) -> None:
        """Check that nothing so far is `what`.

        Raises:
            AssertionError: Something is.
        """
        found = self.of(what)
        if found:
            raise AssertionError(
                f"expected no {_name(what)}, but there is {_described(found[0])}; {self._story()}"
            )

    def assert_order(self, *whats: What, exact: bool = False) -> list[Event]:
        """Check that these events happened in this order, and hand them back.

        Args:
            *whats: Which events, each after the one before it.
            exact: Whether nothing else may have happened between the first and the last
                of them, nor before or after; otherwise other events are passed over.

        Raises:
            AssertionError: They did not.
        """
        return self._exact(whats) if exact else self._partial(whats)

    def _partial(self, whats: tuple[What, ...]) -> list[Event]:
        found: list[Event] = []
        rest = iter(self._events)
        for what in whats:
            matches = _matcher(what)
            event = next((event for event in rest if matches(event)), None)
            if event is None:
                place = f"after {_described(found[-1])}" if found else "at all"
                raise AssertionError(f"no {_name(what)} {place}; {self._story()}")
            found.append(event)
        return found

    def _exact(self, whats: tuple[What, ...]) -> list[Event]:
        for place, (what, event) in enumerate(zip(whats, self._events, strict=False), start=1):
            if not _matcher(what)(event):
                raise AssertionError(
                    f"event {place} should be {_name(what)}, but is {_described(event)}; "
                    f"{self._story()}"
                )
        if len(whats) != len(self._events):
            raise AssertionError(
                f"expected {len(whats)} events, there are {len(self._events)}; {self._story()}"
            )
        return list(self._events)

    def _place(self, event: Event) -> int:
        for place, mine in enumerate(self._events):
            if mine is event:
                return place
        raise AssertionError(f"{_described(event)} is not in this log; {self._story()}")

    def _story(self) -> str:
        if not self._events:
            return "nothing has happened yet"
        shown = [f"  {_described(event)}" for event in self._events[-_SHOWN:]]
        left_out = len(self._events) - len(shown)
        head = f"what happened (the last {_SHOWN}):" if left_out else "what happened:"
        return "\n".join((head, *shown))


def _matcher(what: What) -> Callable[[Event], bool]:
    if isinstance(what, str):
        return lambda event: event.kind == what
    if isinstance(what, type):
        return lambda event: isinstance(event.fact, what)
    return lambda event: bool(what(event))


def _name(what: What) -> str:
    if isinstance(what, str):
        return what
    return getattr(what, "__name__", repr(what))


def _described(event: Event) -> str:
    return f"{event.seq}: {event.kind} of {event.agent} (attempt {event.attempt})"
