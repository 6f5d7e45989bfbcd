"""Errors of work items, their queue and their results."""

from __future__ import annotations

from mnemosyne_core.errors._base import MnemosyneError


class WorkError(MnemosyneError):
    """A work item cannot go where it was sent."""

    code = "work"


class InvalidWorkItemError(WorkError):
    """What was submitted is no work item; nothing of it was stored.

    Attributes:
        problems: One `(field, what is wrong)` pair for each finding.
    """

    code = "invalid_work_item"

    def __init__(self, *, problems: tuple[tuple[str, str], ...]) -> None:
        self.problems = problems
        listed = "; ".join(f"{field}: {problem}" for field, problem in problems)
        super().__init__(
            f"not a work item: {listed}; nothing was stored, correct it and submit again"
        )


class DuplicateWorkItemError(WorkError):
    """An item with this id has been submitted before.

    Attributes:
        item_id: The id that is taken.
    """

    code = "duplicate_work_item"

    def __init__(self, *, item_id: str) -> None:
        self.item_id = item_id
        super().__init__(
            f"a work item {item_id!r} was submitted before; give the new one an id of its own, "
            "or leave the id out to have one minted"
        )


class UnknownDependencyError(WorkError):
    """An item waits for ids that nobody has submitted.

    Attributes:
        item_id: The waiting item.
        missing: The ids that do not exist.
    """

    code = "unknown_dependency"

    def __init__(self, *, item_id: str, missing: tuple[str, ...]) -> None:
        self.item_id = item_id
        self.missing = missing
        super().__init__(
            f"work item {item_id!r} depends on {', '.join(map(repr, missing))}, which "
            f"{'was' if len(missing) == 1 else 'were'} never submitted; submit dependencies first"
        )


class DependencyCycleError(WorkError):
    """Work items wait for each other in a circle, so none can ever start.

    Attributes:
        cycle: The ids in waiting order; the last one waits for the first.
    """

    code = "dependency_cycle"

    def __init__(self, *, cycle: tuple[str, ...]) -> None:
        self.cycle = cycle
        super().__init__(
            f"work items wait for each other: {' -> '.join((*cycle, cycle[0]))}; "
            "remove one of these dependencies"
        )


class IllegalPhaseTransitionError(WorkError):
    """The project cannot go from one phase straight to the other.

    Attributes:
        current: The phase it is in.
        wanted: The phase that was asked for.
        legal: The phases that may follow `current`.
    """

    code = "illegal_phase_transition"

    def __init__(self, *, current: str, wanted: str, legal: tuple[str, ...]) -> None:
        self.current = current
        self.wanted = wanted
        self.legal = legal
        follow = f"only {', '.join(legal)} may follow" if legal else "it is the last one"
        super().__init__(f"phase {current} cannot turn into {wanted}; {follow}")


class QueueFullError(WorkError):
    """The queue has no room for what was submitted; nothing of it was taken.

    Attributes:
        capacity: The bound on live items.
        live: How many items are waiting or under way.
        offered: How many were submitted together.
    """

    code = "queue_full"

    def __init__(self, *, capacity: int, live: int | None = None, offered: int = 1) -> None:
        self.capacity = capacity
        self.live = capacity if live is None else live
        self.offered = offered
        super().__init__(
            f"{self.live} work items are already waiting or under way and {offered} more would "
            f"exceed the queue's {capacity}; "
            "await some results first or raise SupervisionConfig.queue_capacity"
        )


class UnknownWorkItemError(WorkError):
    """Nobody has submitted an item with this id.

    Attributes:
        item_id: The id that does not exist.
    """

    code = "unknown_work_item"

    def __init__(self, *, item_id: str) -> None:
        self.item_id = item_id
        super().__init__(f"there is no work item {item_id!r}; submit it first")


class IllegalWorkStateError(WorkError):
    """What was asked of a work item does not go with the state it is in.

    Attributes:
        item_id: The item.
        state: The state it is in.
        wanted: What was asked for, such as `complete`.
        legal: The states in which that can be asked.
    """

    code = "illegal_work_state"

    def __init__(self, *, item_id: str, state: str, wanted: str, legal: tuple[str, ...]) -> None:
        self.item_id = item_id
        self.state = state
        self.wanted = wanted
        self.legal = legal
        super().__init__(
            f"cannot {wanted} work item {item_id!r}: it is {state}, not {' or '.join(legal)}"
        )


class StaleClaimError(WorkError):
    """Somebody still works on an attempt that is over; what came of it does not count.

    Attributes:
        item_id: The item.
        attempt: The attempt that the caller holds.
        current: The item's attempt by now.
        state: The state the item is in.
    """

    code = "stale_claim"

    def __init__(self, *, item_id: str, attempt: int, current: int, state: str) -> None:
        self.item_id = item_id
        self.attempt = attempt
        self.current = current
        self.state = state
        super().__init__(
            f"attempt {attempt} at work item {item_id!r} is not under way: the item is {state} "
            f"in attempt {current}; drop what came of the other attempt"
        )


class ResultTimeoutError(WorkError, TimeoutError):
    """A caller stopped waiting for a result; the item itself goes on.

    Attributes:
        item_id: The item that was waited for.
        timeout_s: How long, in seconds.
        state: The item's state when the patience ended.
    """

    code = "result_timeout"

    def __init__(self, *, item_id: str, timeout_s: float, state: str) -> None:
        self.item_id = item_id
        self.timeout_s = timeout_s
        self.state = state
        super().__init__(
            f"no result of work item {item_id!r} within {timeout_s:g} s; it is still {state} "
            "and goes on (await the handle again, or give the item itself a timeout_s)"
        )


class StateTimeoutError(WorkError, TimeoutError):
    """The system did not come into the state that was waited for.

    Attributes:
        timeout_s: How long was waited, in seconds.
        found: The state when the patience ended, in words.
    """

    code = "state_timeout"

    def __init__(self, *, timeout_s: float, found: str) -> None:
        self.timeout_s = timeout_s
        self.found = found
        super().__init__(f"the state waited for did not come within {timeout_s:g} s; now: {found}")
