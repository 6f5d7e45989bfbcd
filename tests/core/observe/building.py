"""Short ways to say what these tests are about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

from hypothesis import strategies as st

from mnemosyne_core.errors import WorkTimeoutError
from mnemosyne_core.events import (
    AgentActive,
    AgentDegraded,
    AgentDied,
    AgentErred,
    AgentFailed,
    AgentHeartbeat,
    AgentIdle,
    AgentRecovered,
    AgentRegistered,
    AgentRestarted,
    AgentStale,
    AgentStopped,
    BudgetExhausted,
    BudgetWarned,
    ChildIgnored,
    ChildLeaked,
    ChildShutdownFailed,
    ChildStarted,
    ChildStartFailed,
    ChildTerminated,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    ClaudeDeadlineExceeded,
    ClaudeRateLimited,
    ClaudeRetried,
    ClaudeRetryRefused,
    Event,
    Fact,
    FeedbackConsolidated,
    LeakEnded,
    LoopBlocked,
    MessageDropped,
    Occasion,
    PhaseChanged,
    RestartDelayed,
    RestartIntensityReached,
    TreeStarted,
    TreeStopped,
    WorkBlocked,
    WorkCancelled,
    WorkClaimed,
    WorkCompleted,
    WorkFailed,
    WorkReleased,
    WorkReturned,
    WorkReviewed,
    WorkSubmitted,
)
from mnemosyne_core.work import (
    AgentRole,
    Decision,
    Failure,
    Gate,
    Phase,
    Usage,
    Verdict,
    WorkItem,
    WorkResult,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FAILURE = Failure(code="crash", message="it broke")
REVISE = Verdict(
    decision=Decision.REVISE, gates={Gate.TESTS: False}, confidence=0.5, issues=("no tests",)
)
APPROVE = Verdict(decision=Decision.APPROVE, gates={Gate.TESTS: True}, confidence=0.9)


class Story:
    """Numbers and dates facts, one second apart."""

    def __init__(self) -> None:
        self.seq = 0

    def tell(self, fact: Fact, *, agent: str = "executor", attempt: int = 1) -> Event:
        self.seq += 1
        at = EPOCH + timedelta(seconds=self.seq)
        return Event(seq=self.seq, at=at, agent=agent, attempt=attempt, fact=fact)

    def tell_all(self, *facts: Fact, agent: str = "executor") -> list[Event]:
        return [self.tell(fact, agent=agent) for fact in facts]


def work(name: str = "a", *, review: bool = True) -> WorkItem:
    return WorkItem(id=name, description=f"do {name}", review=review)


def done(
    name: str = "a",
    *,
    attempt: int = 1,
    duration_s: float = 2.0,
    tokens: int = 10,
    memory_ids: tuple[str, ...] = (),
    **metrics: float,
) -> WorkResult:
    return WorkResult(
        item_id=name,
        attempt=attempt,
        success=True,
        data={"made": [1, "two", None]},
        duration_s=duration_s,
        usage=Usage(input_tokens=tokens),
        memory_ids=memory_ids,
        metrics=metrics,
    )


def broken(name: str = "a", *, attempt: int = 1) -> WorkResult:
    error = WorkTimeoutError(item_id=name, timeout_s=1.0)
    return WorkResult.failed(work(name), Failure.of(error), attempt=attempt)


def every_fact() -> list[Fact]:
    """One of each kind."""
    return [
        TreeStarted(),
        PhaseChanged(previous=Phase.PROMPT_TO_SPEC, phase=Phase.SPEC_TO_FULL_SPEC),
        ChildStarted(child="executor", incarnation=1),
        ChildStartFailed(child="executor", reason="no"),
        ChildTerminated(child="executor", incarnation=1, reason="crash", abnormal=True),
        ChildIgnored(
            child="executor",
            incarnation=1,
            reason="nothing to do",
            supervisor="root",
            occasion=Occasion.START,
        ),
        ChildShutdownFailed(
            child="executor",
            incarnation=1,
            reason="killed",
            supervisor="root",
            occasion=Occasion.SHUTDOWN,
        ),
        ChildLeaked(child="executor", shutdown_s=1.0),
        LeakEnded(child="executor", incarnation=1, leaked=0),
        RestartDelayed(child="executor", incarnation=1, delay_s=2.0, in_a_row=1, supervisor="root"),
        RestartIntensityReached(supervisor="root", max_restarts=3, period_s=60.0),
        MessageDropped(message="Delegate", reason="restarted"),
        LoopBlocked(blocked_s=2.0, stack="in main"),
        AgentRegistered(role=AgentRole.EXECUTOR),
        AgentHeartbeat(),
        AgentActive(item_id="a"),
        AgentErred(error=FAILURE, errors=1),
        AgentDegraded(errors=3, reason="often"),
        AgentRecovered(),
        AgentStale(silent_s=75.0),
        AgentDied(silent_s=120.0),
        AgentRestarted(errors=5, reason="too often"),
        AgentIdle(),
        AgentFailed(role=AgentRole.EXECUTOR, error=FAILURE),
        AgentStopped(),
        ClaudeDeadlineExceeded(deadline_s=60.0),
        ClaudeRateLimited(reason="requests", wait_s=2.0),
        ClaudeRetried(retry=1, wait_s=0.5, error=FAILURE),
        ClaudeRetryRefused(reason="no budget", error=FAILURE),
        CircuitOpened(provider="claude", open_s=30.0, reason="529"),
        CircuitHalfOpened(provider="claude"),
        CircuitClosed(provider="claude"),
        BudgetWarned(unit="tokens", limit=100.0, spent=80.0),
        BudgetExhausted(unit="tokens", limit=100.0, spent=95.0, needed=10.0),
        WorkSubmitted(item=work("a")),
        WorkSubmitted(item=work("b")),
        WorkBlocked(item_id="a", reason="no agent"),
        WorkClaimed(item_id="a", worker="executor"),
        WorkReturned(item_id="a", result=done("a")),
        WorkReviewed(item_id="a", verdict=REVISE, usage=Usage(output_tokens=5)),
        FeedbackConsolidated(item_id="a", guidance=("add tests",)),
        WorkReleased(item_id="a", reason="revise"),
        WorkFailed(item_id="a", result=broken("a")),
        WorkCancelled(item_id="b", reason="changed my mind"),
        WorkCompleted(item_id="a", result=done("a")),
        TreeStopped(reason="shutdown"),
    ]


NAMES = ("a", "b", "c")


def facts_about(name: str, attempt: int) -> list[Fact]:
    """All that can happen to an item."""
    result = done(name, attempt=attempt, duration_s=float(attempt), turns=2.0)
    return [
        WorkSubmitted(item=work(name, review=attempt == 1)),
        WorkBlocked(item_id=name, reason="no agent"),
        WorkClaimed(item_id=name, worker="executor"),
        AgentActive(item_id=name),
        WorkReturned(item_id=name, result=result),
        WorkReturned(item_id=name, result=broken(name, attempt=attempt)),
        WorkReviewed(item_id=name, verdict=REVISE if attempt == 1 else APPROVE),
        FeedbackConsolidated(item_id=name, guidance=("add tests", "\x00 \N{SNOWMAN} '")),
        WorkReleased(item_id=name, reason="again"),
        WorkCompleted(item_id=name, result=result),
        WorkFailed(item_id=name, result=broken(name, attempt=attempt)),
        WorkCancelled(item_id=name, reason="no more"),
    ]


POOL: tuple[Fact, ...] = (
    *(fact for name in NAMES for attempt in (1, 2) for fact in facts_about(name, attempt)),
    *every_fact(),
)


def facts() -> st.SearchStrategy[Fact]:
    """Any fact; most are about one of three items."""
    return st.sampled_from(POOL)


def stories() -> st.SearchStrategy[list[Event]]:
    """Facts in any order, sensible or not, by one of three agents."""
    told = list(product(POOL, ("executor", "reviewer", "root"), (1, 2, 3)))
    return st.lists(st.sampled_from(told), max_size=30).map(_as_events)


def _as_events(told: list[tuple[Fact, str, int]]) -> list[Event]:
    story = Story()
    return [story.tell(fact, agent=agent, attempt=attempt) for fact, agent, attempt in told]
