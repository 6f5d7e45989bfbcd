"""Invariants of any story: order, causes, an end, and what must not be told."""

from __future__ import annotations

from collections.abc import Iterator

from mnemosyne_core.events import (
    ChildLeaked,
    Event,
    FeedbackConsolidated,
    LeakEnded,
    TreeStarted,
    TreeStopped,
    WorkCompleted,
    WorkFailed,
    WorkReturned,
    WorkReviewed,
)
from mnemosyne_core.observe import Metrics
from mnemosyne_core.work import Usage
from pytest_mnemosyne.simulation.invariants._history import Finding, History


def numbers_have_no_gap(history: History) -> Iterator[Finding]:
    """Events are numbered from 1 on, each number once, none left out."""
    for expected, event in enumerate(history.events, start=1):
        if event.seq != expected:
            yield f"event {expected} is missing or out of place", (event,)
            # All later ones are off by the same.
            return


def causes_come_first(history: History) -> Iterator[Finding]:
    """What led to an event happened before it."""
    for event in history.events:
        if event.by is not None and event.by >= event.seq:
            yield f"event {event.by} is said to have led to event {event.seq}", (event,)


def nothing_follows_the_end(history: History) -> Iterator[Finding]:
    """Once a tree says that it has stopped, nothing happens in it until it is started again."""
    stopped: Event | None = None
    for event in history.events:
        if isinstance(event.fact, TreeStarted):
            stopped = None
        elif stopped is not None and not isinstance(event.fact, LeakEnded):
            yield "something happened in a tree that had stopped", (stopped, event)
        elif isinstance(event.fact, TreeStopped):
            stopped = event


def nobody_is_left_behind(history: History) -> Iterator[Finding]:
    """Whoever is stopped ends in the time that it has, unless the test said otherwise."""
    for event in history.events:
        if isinstance(event.fact, ChildLeaked) and event.agent not in history.leaks:
            problem = (
                f"{event.agent} did not end within {event.fact.shutdown_s:g} s and goes on; "
                "let it end when it is cancelled, or declare the leak"
            )
            yield problem, (event,)


def usage_is_counted_once(history: History) -> Iterator[Finding]:
    """Tokens of an attempt, a review, a consolidation are in the metrics, each of them once."""
    counted = Metrics(history.events).snapshot().usage
    told = _usage_told(history.events)
    if counted != told:
        yield f"the events tell of {told!r}, the metrics say {counted!r}", ()


def no_secret_is_told(history: History) -> Iterator[Finding]:
    """No event holds a secret, in whatever field."""
    for event in history.events:
        # The finding must not repeat the secret.
        for place in secrets_in(event.model_dump_json(), history.secrets):
            yield f"secret {place} stands in event {event.seq}", (event,)


def secrets_in(text: str, secrets: tuple[str, ...]) -> list[int]:
    """Which of the secrets, counted from 1, stand in a text."""
    return [place for place, secret in enumerate(secrets, start=1) if secret in text]


def _usage_told(events: tuple[Event, ...]) -> Usage:
    total = Usage()
    attempts: set[tuple[str, int]] = set()
    for event in events:
        match event.fact:
            case (
                WorkReturned(item_id=item_id, result=result)
                | WorkCompleted(item_id=item_id, result=result)
                | WorkFailed(item_id=item_id, result=result)
            ):
                # A result is told when it is handed in and again when the item ends with it.
                if (item_id, result.attempt) not in attempts:
                    attempts.add((item_id, result.attempt))
                    total += result.usage
            case WorkReviewed(usage=usage) | FeedbackConsolidated(usage=usage):
                total += usage
            case _:
                pass
    return total


STORY = (
    numbers_have_no_gap,
    causes_come_first,
    nothing_follows_the_end,
    nobody_is_left_behind,
    usage_is_counted_once,
    no_secret_is_told,
)
"""The invariants here."""
