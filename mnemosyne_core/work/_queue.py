"""The queue: which work item is next, and who has which.

Pure state. Nothing here reads a clock, touches a task or stores anything; the
caller passes the time in and records what happened. Every method either does all
that it says or raises and changes nothing.

==========  ===========================================================
state       left through
==========  ===========================================================
waiting     claim, fail, cancel
active      begin_review, release, complete, fail, cancel
reviewing   release, complete, fail, cancel
==========  ===========================================================

An item can be claimed when its dependencies are completed. Highest priority goes
first, equal priorities in order of submission; an item that was released keeps
the place that it had. One that was released with a moment (`not_before_s`) rests
until then, and the others pass it by.

A claim is a lease: whoever holds it and does not `extend` it in time is found by
`expired`. It still counts until it is released, and then its attempt number is out
of date, so two workers never finish the same item.

An item whose dependency failed or was cancelled can never run. The queue says
which ones those are and leaves it to the caller to fail them, because each of
these failures has to be stored first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from mnemosyne_core.errors import (
    IllegalWorkStateError,
    QueueFullError,
    StaleClaimError,
    UnknownWorkItemError,
    UsageError,
)
from mnemosyne_core.work._claim import Claim, Progress, QueuedItem, QueueSnapshot
from mnemosyne_core.work._graph import check_batch, reachable
from mnemosyne_core.work._line import Line, Rank
from mnemosyne_core.work._values import AgentRole, WorkItem, WorkState

_WAITING = (WorkState.WAITING,)
_ACTIVE = (WorkState.ACTIVE,)
_UNDER_WAY = (WorkState.ACTIVE, WorkState.REVIEWING)
_LIVE = (WorkState.WAITING, *_UNDER_WAY)
_NEVER_COMPLETED = (WorkState.FAILED, WorkState.CANCELLED)


@dataclass(slots=True)
class _Entry:
    item: WorkItem
    position: int
    waits_for: dict[str, None]
    attempt: int = 1
    guidance: tuple[str, ...] = ()
    state: WorkState = WorkState.WAITING
    worker: str = ""
    expires_at_s: float = 0.0
    not_before_s: float | None = None

    @property
    def rank(self) -> Rank:
        return (-self.item.priority, self.position, self.item.id)

    def is_ready(self, now_s: float) -> bool:
        return (
            self.state is WorkState.WAITING
            and not self.waits_for
            and (self.not_before_s is None or self.not_before_s <= now_s)
        )

    def claim(self) -> Claim:
        return Claim(
            item=self.item,
            attempt=self.attempt,
            worker=self.worker,
            expires_at_s=self.expires_at_s,
            guidance=self.guidance,
        )


class WorkQueue:
    """Work items, from submission to their final state."""

    def __init__(self, *, capacity: int = 1000) -> None:
        """Make an empty queue.

        Args:
            capacity: Bound on live items. Finished ones cost an id each and do not count.

        Raises:
            UsageError: `capacity` is less than 1.
        """
        if capacity < 1:
            raise UsageError(f"a queue's capacity must be 1 or more, got {capacity!r}")
        self._capacity = capacity
        self._submitted = 0
        self._live: dict[str, _Entry] = {}
        self._finished: dict[str, WorkState] = {}
        self._dependents: dict[str, list[str]] = {}
        self._under_way: dict[str, _Entry] = {}
        self._line = Line(self._live)

    # --- what comes in ---

    def add(self, items: Iterable[WorkItem]) -> tuple[str, ...]:
        """Take items, all or none; they may depend on each other in any order.

        Returns:
            The ids among them that can never run, because something that they depend on
            has failed or was cancelled. The caller fails them.

        Raises:
            DuplicateWorkItemError: An id is taken, by a live item or a finished one.
            UnknownDependencyError: An item waits for an id that nobody submitted.
            DependencyCycleError: The items wait for each other.
            QueueFullError: There would be more live items than `capacity`.
        """
        batch = tuple(items)
        self.check(batch)
        for item in batch:
            self._insert(item, attempt=1, guidance=())
        return self._never_runnable(batch)

    def check(self, items: Iterable[WorkItem]) -> None:
        """Raise what `add` would raise for these items, and take none of them."""
        batch = tuple(items)
        check_batch(batch, known=self)
        if len(self._live) + len(batch) > self._capacity:
            raise QueueFullError(capacity=self._capacity, live=len(self._live), offered=len(batch))

    def restore(
        self,
        live: Iterable[Progress],
        *,
        finished: Mapping[str, WorkState],
        not_before_s: Mapping[str, float] | None = None,
    ) -> tuple[str, ...]:
        """Take over where an earlier run stopped, before anything else is added.

        The bound on live items does not apply: what was accepted once is not refused now.

        Args:
            live: Its unfinished items, in order of submission, all of them waiting: the end
                of an attempt that was under way is recorded first.
            finished: The final states of its other items.
            not_before_s: When those that rest may be claimed, by id, in seconds of the
                caller's clock: that of the earlier run may have been another one.

        Returns:
            The ids that can never run, as `add` does.

        Raises:
            UsageError: The queue is not empty, or a moment is no finite number.
            IllegalWorkStateError: A live item is not waiting, or a finished one not final.
            DuplicateWorkItemError: As for `add`.
            UnknownDependencyError: As for `add`.
            DependencyCycleError: As for `add`.
        """
        if self._submitted or self._finished:
            raise UsageError("only an empty queue can be restored; restore first, then add")
        moments_s = not_before_s or {}
        for moment_s in moments_s.values():
            _check_moment(moment_s)
        entries = tuple(live)
        for entry in entries:
            _check_state(entry.item.id, entry.state, wanted="restore", legal=_WAITING)
        for item_id, state in finished.items():
            if not state.is_final:
                raise IllegalWorkStateError(
                    item_id=item_id,
                    state=state,
                    wanted="restore as finished",
                    legal=tuple(final for final in WorkState if final.is_final),
                )
        batch = tuple(entry.item for entry in entries)
        check_batch(batch, known=finished)
        self._finished.update(finished)
        for entry in entries:
            self._insert(
                entry.item,
                attempt=entry.attempt,
                guidance=entry.guidance,
                not_before_s=moments_s.get(entry.item.id),
            )
        return self._never_runnable(batch)

    # --- one attempt ---

    def claim(
        self,
        *,
        now_s: float,
        worker: str,
        lease_s: float,
        roles: Collection[AgentRole] | None = None,
    ) -> Claim | None:
        """Begin the next attempt, if any item is ready.

        Args:
            now_s: The time, in seconds of the caller's clock.
            worker: Path of whoever will work on it.
            lease_s: How long the worker may keep it without a sign of life, in seconds.
            roles: The roles that have an agent; items of others are passed over.
        """
        _check_lease(lease_s)
        if (item_id := self._line.pop(roles, now_s=now_s)) is None:
            return None
        entry = self._live[item_id]
        entry.state = WorkState.ACTIVE
        entry.not_before_s = None
        entry.worker = worker
        entry.expires_at_s = now_s + lease_s
        self._under_way[entry.item.id] = entry
        return entry.claim()

    def extend(self, item_id: str, *, attempt: int, now_s: float, lease_s: float) -> Claim:
        """Renew a lease; `now_s` and `lease_s` are in seconds.

        Raises:
            UnknownWorkItemError: There is no such item.
            StaleClaimError: Another attempt is under way by now.
            IllegalWorkStateError: No attempt is under way.
        """
        _check_lease(lease_s)
        entry = self._held(item_id, attempt, wanted="extend", legal=_UNDER_WAY)
        entry.expires_at_s = now_s + lease_s
        return entry.claim()

    def begin_review(
        self, item_id: str, *, attempt: int, now_s: float, reviewer: str, lease_s: float
    ) -> Claim:
        """Hand an attempt on from its worker to a reviewer, with a lease of its own.

        Raises:
            UnknownWorkItemError: There is no such item.
            StaleClaimError: Another attempt is under way by now.
            IllegalWorkStateError: No worker has it.
        """
        _check_lease(lease_s)
        entry = self._held(item_id, attempt, wanted="review", legal=_ACTIVE)
        entry.state = WorkState.REVIEWING
        entry.worker = reviewer
        entry.expires_at_s = now_s + lease_s
        return entry.claim()

    def release(
        self,
        item_id: str,
        *,
        attempt: int,
        guidance: tuple[str, ...] | None = None,
        not_before_s: float | None = None,
    ) -> int | None:
        """End an attempt that came to nothing, so that the item goes round again.

        Args:
            item_id: The item.
            attempt: The attempt that ends.
            guidance: What the next attempts should know; absent: what they knew before.
            not_before_s: When the next attempt may begin, in seconds of the caller's clock;
                absent: at once.

        Returns:
            The number of the next attempt; `None` if this was the last one that the item
            has. Then nothing has changed, and the caller fails the item.

        Raises:
            UnknownWorkItemError: There is no such item.
            StaleClaimError: Another attempt is under way by now.
            IllegalWorkStateError: No attempt is under way.
            UsageError: `not_before_s` is no finite number.
        """
        if not_before_s is not None:
            _check_moment(not_before_s)
        entry = self._held(item_id, attempt, wanted="release", legal=_UNDER_WAY)
        if entry.attempt >= entry.item.max_attempts:
            return None
        del self._under_way[item_id]
        entry.attempt += 1
        entry.state = WorkState.WAITING
        if guidance is not None:
            entry.guidance = guidance
        entry.not_before_s = not_before_s
        self._line_up(entry)
        return entry.attempt

    # --- the end of an item ---

    def complete(self, item_id: str, *, attempt: int) -> tuple[str, ...]:
        """Finish an item; what waited for nothing else is ready now.

        Returns:
            The ids that have become ready, in order of submission.

        Raises:
            UnknownWorkItemError: There is no such item.
            StaleClaimError: Another attempt is under way by now.
            IllegalWorkStateError: No attempt is under way.
        """
        self._held(item_id, attempt, wanted="complete", legal=_UNDER_WAY)
        self._finish(item_id, WorkState.COMPLETED)
        now_ready: list[str] = []
        for dependent_id in self._dependents.pop(item_id, ()):
            dependent = self._live.get(dependent_id)
            if dependent is None:
                continue
            del dependent.waits_for[item_id]
            if not dependent.waits_for:
                self._line_up(dependent)
                now_ready.append(dependent_id)
        return tuple(now_ready)

    def fail(self, item_id: str, *, attempt: int | None = None) -> tuple[str, ...]:
        """Give an item up.

        Args:
            item_id: The item.
            attempt: The attempt that failed; absent for an item that fails for a reason of
                its own, such as a dependency that failed.

        Returns:
            Every id that can never run now, directly or through others, nearest first. The
            caller fails each; what those calls return is among them already.

        Raises:
            UnknownWorkItemError: There is no such item.
            StaleClaimError: Another attempt is under way by now.
            IllegalWorkStateError: The item is finished.
        """
        if attempt is None:
            self._entry(item_id, wanted="fail", legal=_LIVE)
        else:
            self._held(item_id, attempt, wanted="fail", legal=_UNDER_WAY)
        return self._abandon(item_id, WorkState.FAILED)

    def cancel(self, item_id: str) -> tuple[str, ...]:
        """Take a live item back, whoever has it; a claim on it is void.

        Returns:
            Every id that can never run now, as `fail` does.

        Raises:
            UnknownWorkItemError: There is no such item.
            IllegalWorkStateError: The item is finished.
        """
        self._entry(item_id, wanted="cancel", legal=_LIVE)
        return self._abandon(item_id, WorkState.CANCELLED)

    # --- what can be asked ---

    def __len__(self) -> int:
        """How many items are live: waiting or under way."""
        return len(self._live)

    def __contains__(self, item_id: object) -> bool:
        """Whether an item with this id was ever submitted."""
        return item_id in self._live or item_id in self._finished

    @property
    def capacity(self) -> int:
        """The bound on live items."""
        return self._capacity

    def state(self, item_id: str) -> WorkState:
        """Where an item stands.

        Raises:
            UnknownWorkItemError: There is no such item.
        """
        if (entry := self._live.get(item_id)) is not None:
            return entry.state
        if item_id not in self._finished:
            raise UnknownWorkItemError(item_id=item_id)
        return self._finished[item_id]

    def item(self, item_id: str) -> WorkItem:
        """A live item.

        Raises:
            UnknownWorkItemError: No live item has this id.
        """
        if item_id not in self._live:
            raise UnknownWorkItemError(item_id=item_id)
        return self._live[item_id].item

    def ready(
        self, roles: Collection[AgentRole] | None = None, *, now_s: float
    ) -> tuple[WorkItem, ...]:
        """The items that could be claimed at `now_s`, next one first; of `roles` only, if given."""
        entries = (
            entry
            for entry in self._live.values()
            if entry.is_ready(now_s) and (roles is None or entry.item.role in roles)
        )
        return tuple(entry.item for entry in sorted(entries, key=lambda entry: entry.rank))

    def claims(self) -> tuple[Claim, ...]:
        """Every attempt under way, oldest claim first."""
        return tuple(entry.claim() for entry in self._under_way.values())

    def expired(self, now_s: float) -> tuple[Claim, ...]:
        """The claims whose lease has ended by `now_s` (in seconds), longest ago first."""
        # A scan will do: there are never more claims than workers.
        late = [entry for entry in self._under_way.values() if entry.expires_at_s <= now_s]
        return tuple(entry.claim() for entry in sorted(late, key=lambda entry: entry.expires_at_s))

    def next_expiry_s(self) -> float | None:
        """When the next lease ends, in seconds of the caller's clock; `None` without claims."""
        return min((entry.expires_at_s for entry in self._under_way.values()), default=None)

    def next_due_s(self, now_s: float) -> float | None:
        """When the first item that rests after `now_s` may be claimed; `None` if none does.

        Both are in seconds of the caller's clock.
        """
        return self._line.next_due_s(now_s)

    def snapshot(self) -> QueueSnapshot:
        """The whole queue, as a value."""
        counts = Counter(self._finished.values())
        counts.update(entry.state for entry in self._live.values())
        return QueueSnapshot(
            live=tuple(_shown(entry) for entry in self._live.values()),
            counts={state: counts[state] for state in WorkState},
        )

    # --- within ---

    def _insert(
        self,
        item: WorkItem,
        *,
        attempt: int,
        guidance: tuple[str, ...],
        not_before_s: float | None = None,
    ) -> None:
        waits_for = dict.fromkeys(
            dependency
            for dependency in item.dependencies
            if self._finished.get(dependency) is not WorkState.COMPLETED
        )
        self._submitted += 1
        entry = _Entry(
            item,
            self._submitted,
            waits_for=waits_for,
            attempt=attempt,
            guidance=guidance,
            not_before_s=not_before_s,
        )
        self._live[item.id] = entry
        for dependency in waits_for:
            self._dependents.setdefault(dependency, []).append(item.id)
        if not waits_for:
            self._line_up(entry)

    def _line_up(self, entry: _Entry) -> None:
        self._line.join(entry.rank, entry.item.role, not_before_s=entry.not_before_s)

    def _never_runnable(self, batch: tuple[WorkItem, ...]) -> tuple[str, ...]:
        lost = {
            dependency: None
            for item in batch
            for dependency in item.dependencies
            if self._finished.get(dependency) in _NEVER_COMPLETED
        }
        found = reachable(lost, lambda item_id: self._dependents.get(item_id, ()))
        for dependency in lost:
            del self._dependents[dependency]
        return found

    def _entry(self, item_id: str, *, wanted: str, legal: tuple[WorkState, ...]) -> _Entry:
        _check_state(item_id, self.state(item_id), wanted=wanted, legal=legal)
        return self._live[item_id]

    def _held(
        self, item_id: str, attempt: int, *, wanted: str, legal: tuple[WorkState, ...]
    ) -> _Entry:
        """The live entry whose attempt number `attempt` is under way in a `legal` state."""
        if (entry := self._live.get(item_id)) is not None and entry.attempt != attempt:
            raise StaleClaimError(
                item_id=item_id, attempt=attempt, current=entry.attempt, state=entry.state
            )
        return self._entry(item_id, wanted=wanted, legal=legal)

    def _finish(self, item_id: str, state: WorkState) -> None:
        del self._live[item_id]
        self._under_way.pop(item_id, None)
        self._finished[item_id] = state

    def _abandon(self, item_id: str, state: WorkState) -> tuple[str, ...]:
        self._finish(item_id, state)
        lost = reachable((item_id,), lambda found: self._dependents.get(found, ()))
        self._dependents.pop(item_id, None)
        return tuple(found for found in lost if found in self._live)


def _shown(entry: _Entry) -> QueuedItem:
    held = entry.state is not WorkState.WAITING
    return QueuedItem(
        item=entry.item,
        state=entry.state,
        attempt=entry.attempt,
        guidance=entry.guidance,
        waits_for=tuple(entry.waits_for),
        worker=entry.worker if held else None,
        expires_at_s=entry.expires_at_s if held else None,
        not_before_s=entry.not_before_s,
    )


def _check_state(
    item_id: str, state: WorkState, *, wanted: str, legal: tuple[WorkState, ...]
) -> None:
    if state not in legal:
        raise IllegalWorkStateError(item_id=item_id, state=state, wanted=wanted, legal=legal)


def _check_lease(lease_s: float) -> None:
    if not lease_s > 0:
        raise UsageError(f"lease_s must be positive, got {lease_s!r}")


def _check_moment(not_before_s: float) -> None:
    if not isfinite(not_before_s):
        raise UsageError(f"not_before_s must be a finite number, got {not_before_s!r}")
