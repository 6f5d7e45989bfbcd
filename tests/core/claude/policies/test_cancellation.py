"""All policies, calls at the same time, and callers who leave at any moment: the books balance."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core import lane
from mnemosyne_core.claude import Block, ClaudeClient, Prompt, Reply
from mnemosyne_core.claude.policies import (
    BudgetSettings,
    CircuitSettings,
    DeadlineSettings,
    PolicySettings,
    Price,
    RateLimitSettings,
    RetrySettings,
    with_policies,
)
from mnemosyne_core.errors import (
    BudgetExceededError,
    ClaudeDeadlineError,
    ClaudeError,
    ClaudeRequestError,
    ClaudeStreamError,
)
from pytest_mnemosyne.simulation import VirtualClock
from pytest_mnemosyne.simulation.loop import VirtualLoop, leftovers
from pytest_mnemosyne.simulation.schedules import Replay, Schedule, Tape
from pytest_mnemosyne.strategies import schedule_tapes
from tests.core.agents.script import events_of
from tests.core.bridge.doubles import EventList
from tests.core.claude.policies.doubles import (
    HELLO,
    LOST,
    MODEL,
    Answer,
    Broken,
    all_of,
    prompt,
    status,
)

NEVER_S = 1e6
TOO_MUCH = 1_000_000_000
QUICK_S = 0.25
HORIZON_S = 1_000.0
"""When everybody is gone who would wait for ever."""

LONG_AFTER_S = 3_600.0
"""When every limit is lifted, and every circuit may be tried."""


# --- a provider ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How the provider treats one request."""

    answer: Answer = HELLO
    took_s: float = 0.0
    step_s: float = 0.0
    leaving_s: float = 0.0
    """How long it takes to abandon it."""


@dataclass
class Provider:
    """A Claude that goes through its turns again and again, and keeps a book of its own."""

    turns: Sequence[Turn]
    asked: Counter[int] = field(default_factory=Counter)
    """How often on behalf of which call."""

    gone: set[int] = field(default_factory=set)
    """The calls whose callers have left."""

    asked_for_nobody: list[int] = field(default_factory=list)
    used: int = 0
    """Tokens, as far as anybody was told."""

    at_once: int = 0
    most_at_once: int = 0

    async def open(self) -> None:
        pass

    async def send(self, prompt: Prompt) -> Reply:
        turn = self._begin(prompt)
        try:
            await asyncio.sleep(turn.took_s)
        except asyncio.CancelledError:
            await asyncio.sleep(turn.leaving_s)
            raise
        finally:
            self.at_once -= 1
        if isinstance(turn.answer, Broken):
            raise turn.answer.error
        if isinstance(turn.answer, BaseException):
            raise turn.answer
        self.used += _tokens(turn.answer)
        return turn.answer

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        turn = self._begin(prompt)
        try:
            await asyncio.sleep(turn.took_s)
            if isinstance(turn.answer, BaseException):
                raise turn.answer
            broken = turn.answer if isinstance(turn.answer, Broken) else None
            reply = turn.answer if isinstance(turn.answer, Reply) else HELLO
            given = None if broken is None else broken.after
            for event in events_of(reply)[:given]:
                await asyncio.sleep(turn.step_s)
                # What was handed out was counted, whatever becomes of the reader.
                self.used += _tokens_told_by(event, reply)
                yield event
            if broken is not None:
                raise broken.error
        except (asyncio.CancelledError, GeneratorExit):
            await asyncio.sleep(turn.leaving_s)
            raise
        finally:
            self.at_once -= 1

    async def aclose(self) -> None:
        pass

    def _begin(self, prompt: Prompt) -> Turn:
        number = int(str(prompt.messages[0]["content"]))
        turn = self.turns[self.asked.total() % len(self.turns)]
        self.asked[number] += 1
        if number in self.gone:
            self.asked_for_nobody.append(number)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        return turn


def _tokens(reply: Reply) -> int:
    return reply.usage.input_tokens + reply.usage.output_tokens


def _tokens_told_by(event: Block, reply: Reply) -> int:
    """What this event adds to what the ones before it have said."""
    match event["type"]:
        case "message_start":
            return reply.usage.input_tokens + 1
        case "message_delta":
            return reply.usage.output_tokens - 1
        case _:
            return 0


# --- callers ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who calls, and perhaps does not wait for the end."""

    begins_s: float
    stream: bool
    reads_s: float
    """What a reader takes for each event of a stream."""

    reads: int | None
    """After how many events a reader has enough."""

    closes: bool
    """Whether such a reader closes the stream, or drops it."""

    patience_s: float | None
    """When the caller is cancelled."""

    is_cancelled_again: bool
    """Whether that happens once more, a moment later."""


class Call:
    """One call under way, and what came of it."""

    def __init__(self, number: int, caller: Caller, provider: Provider) -> None:
        self.number = number
        self.name = f"call-{number}"
        self.caller = caller
        self._provider = provider
        self.begun_s = inf
        self.waits_since_s = inf
        """When Claude was last waited for; a reader may take longer than the time there is."""
        self.ended_s = inf
        self.was_cancelled = False

    async def run(self, client: ClaudeClient) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.caller.begins_s)
        self.begun_s = self.waits_since_s = loop.time()
        try:
            with lane.entered(lane.Lane(self.name)):
                if self.caller.stream:
                    await self._read(client.stream(prompt(str(self.number))))
                else:
                    await client.send(prompt(str(self.number)))
        finally:
            self.ended_s = loop.time()

    async def _read(self, events: AsyncGenerator[Block, None]) -> None:
        read = 0
        try:
            async for _ in events:
                try:
                    await asyncio.sleep(self.caller.reads_s)
                finally:
                    self.waits_since_s = asyncio.get_running_loop().time()
                read += 1
                if read == self.caller.reads:
                    break
        except BaseException:
            await events.aclose()
            raise
        if self.caller.closes:
            await events.aclose()

    async def leave(self, task: asyncio.Task[None]) -> None:
        """Cancel the call when the caller's patience ends, unless it is over by then."""
        await asyncio.sleep(self.caller.patience_s or 0.0)
        self.cancel(task)
        if self.caller.is_cancelled_again:
            await asyncio.sleep(0.5)
            task.cancel()

    def cancel(self, task: asyncio.Task[None]) -> None:
        if task.cancel():
            self.was_cancelled = True
            self._provider.gone.add(self.number)


# --- what may happen -------------------------------------------------------------------

# Few numbers, so that things happen at the same moment.
MOMENTS_S = st.sampled_from((0.0, 0.5, 1.0, 2.0, 5.0))


def turns() -> SearchStrategy[Turn]:
    troubles = st.sampled_from(
        (
            status(529),
            status(529, retry_after_s=5.0),
            status(429, "rate_limit_error"),
            status(429, "rate_limit_error", retry_after_s=2.0),
            status(429, "rate_limit_error", retry_after_s=60.0),
            LOST,
            ClaudeRequestError(status=400, error_type="invalid_request_error", message="no"),
            Broken(0, ClaudeStreamError(reason="cut")),
            Broken(1, LOST),
            Broken(3, LOST),
            Broken(4, status(200, "overloaded_error")),
        )
    )
    return st.builds(
        Turn,
        answer=st.just(HELLO) | troubles,
        took_s=MOMENTS_S | st.sampled_from((0.0, NEVER_S)),
        step_s=st.sampled_from((0.0, 0.5, 1.0, NEVER_S)),
        leaving_s=st.sampled_from((0.0, 0.5)),
    )


def callers() -> SearchStrategy[Caller]:
    return st.builds(
        Caller,
        begins_s=MOMENTS_S | st.sampled_from((6.0, 30.0, 31.0)),
        stream=st.booleans(),
        reads_s=st.sampled_from((0.0, 0.5, 30.0)),
        reads=st.none() | st.integers(1, 5),
        closes=st.booleans(),
        patience_s=st.none() | MOMENTS_S | st.sampled_from((10.0, 60.0)),
        is_cancelled_again=st.booleans(),
    )


def policies() -> SearchStrategy[PolicySettings]:
    return st.builds(
        PolicySettings,
        deadline=st.none() | st.builds(DeadlineSettings, call_s=st.sampled_from((1.0, 5.0, 60.0))),
        retry=st.none()
        | st.builds(
            RetrySettings,
            max_retries=st.integers(1, 3),
            jitter=st.sampled_from((0.0, 0.5)),
            max_retry_after_s=st.sampled_from((60.0, 10.0)),
            budget_ratio=st.sampled_from((0.0, 0.2, 1.0)),
            budget_max=st.integers(1, 3),
        ),
        circuit=st.none()
        | st.builds(
            CircuitSettings,
            consecutive_failures=st.integers(1, 2),
            open_s=st.sampled_from((1.0, 5.0)),
        ),
        budget=st.none()
        | st.builds(BudgetSettings, tokens=st.integers(50, 150))
        | st.builds(
            BudgetSettings,
            tokens=st.just(150),
            money=st.floats(50.0, 150.0),
            prices=st.just({MODEL: Price(input=1e6, output=1e6)}),
        ),
        rate_limit=st.none()
        | st.builds(
            RateLimitSettings,
            requests_per_minute=st.none() | st.integers(2, 3),
            max_concurrent=st.none() | st.integers(1, 2),
            max_wait_s=st.sampled_from((300.0, 5.0)),
        ),
    )


@pytest.mark.slow
@settings(max_examples=200)
@given(
    policies=policies(),
    turns=st.lists(turns(), min_size=1, max_size=4),
    callers=st.lists(callers(), min_size=1, max_size=6),
    tape=schedule_tapes(),
)
def test_whoever_leaves_at_whatever_moment_the_books_balance(
    policies: PolicySettings, turns: Sequence[Turn], callers: Sequence[Caller], tape: Tape
) -> None:
    def loop() -> VirtualLoop:
        return VirtualLoop(order=Schedule(Replay(tape)))

    async def main() -> None:
        audit = Audit(policies, Provider(turns))
        await audit.watch(callers)
        await audit.check_books()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


# --- what has to hold ------------------------------------------------------------------

CIRCUIT = {
    ("closed", "opened"),
    ("opened", "half_opened"),
    ("half_opened", "opened"),
    ("half_opened", "closed"),
    # Whoever tried has left.
    ("half_opened", "half_opened"),
}
"""What may follow what."""


class Audit:
    """A stack of policies in front of a provider, and its books."""

    def __init__(self, policies: PolicySettings, provider: Provider) -> None:
        self.policies = policies
        self.provider = provider
        self.log = EventList()
        self.clock = VirtualClock.of_running_loop()
        self.client = with_policies(
            provider, policies, recorder=self.log, clock=self.clock, random=Random(0)
        )

    async def watch(self, callers: Sequence[Caller]) -> None:
        """Have all of them call, and look at what becomes of each."""
        calls = [Call(number, caller, self.provider) for number, caller in enumerate(callers, 1)]
        tasks = [asyncio.create_task(call.run(self.client), name=call.name) for call in calls]
        leaving = [
            asyncio.create_task(call.leave(task))
            for call, task in zip(calls, tasks, strict=True)
            if call.caller.patience_s is not None
        ]
        await asyncio.wait((*tasks, *leaving), timeout=HORIZON_S)
        for call, task in zip(calls, tasks, strict=True):
            call.cancel(task)
        await asyncio.wait((*tasks, *leaving))
        for call, task in zip(calls, tasks, strict=True):
            self._check_end(call, task)
        self._check_all(len(calls))

    def _check_end(self, call: Call, task: asyncio.Task[None]) -> None:
        """It ends as its caller wanted, or of a typed error, and in time."""
        assert task.cancelled() == call.was_cancelled
        error = None if task.cancelled() else task.exception()
        assert error is None or isinstance(error, ClaudeError)
        if (deadline := self.policies.deadline) is not None:
            leaving_s = max(turn.leaving_s for turn in self.provider.turns)
            late_s = max(call.begun_s + deadline.call_s, call.waits_since_s)
            # Timers that ring within one nanosecond ring together.
            assert call.ended_s <= late_s + leaving_s + 1e-9
        told = Counter(event.kind for event in self.log.events if event.agent == call.name)
        is_late = isinstance(error, ClaudeDeadlineError)
        # A caller may leave while a late call is being abandoned.
        assert told["claude_deadline_exceeded"] <= (is_late or call.was_cancelled)
        assert told["claude_deadline_exceeded"] >= is_late
        assert told["claude_retry_refused"] <= 1
        # Less if a retry is refused further in, or its caller leaves before it.
        assert self.provider.asked[call.number] <= 1 + told["claude_retried"]

    def _check_all(self, calls: int) -> None:
        assert self.provider.asked_for_nobody == []
        told = Counter(self.log.kinds)
        if (limits := self.policies.rate_limit) is not None and limits.max_concurrent is not None:
            assert self.provider.most_at_once <= limits.max_concurrent
        if (retry := self.policies.retry) is not None:
            assert told["claude_retried"] <= retry.budget_max + retry.budget_ratio * calls
        accounts = len(self._limits())
        assert max(told["budget_exhausted"], told["budget_warned"]) <= accounts
        circuit = [
            kind.removeprefix("circuit_") for kind in self.log.kinds if kind.startswith("circuit_")
        ]
        assert set(pairwise(("closed", *circuit))) <= CIRCUIT

    # --- the books ---

    async def check_books(self) -> None:
        """Nothing is kept for those who are gone: all that is left can be had at once."""
        await asyncio.sleep(LONG_AFTER_S)
        assert self.provider.at_once == 0
        assert leftovers(self.clock.loop) == ()
        self.provider.turns = [Turn(took_s=QUICK_S)]
        estimate, room = await self._check_budget()
        if room < 1:
            return
        # The circuit, if it was open, is closed by this.
        assert await self._take([room]) == QUICK_S
        await self._check_line(room - _tokens(HELLO))
        await self._check_concurrency(room - 3 * _tokens(HELLO), estimate)
        assert leftovers(self.clock.loop) == ()

    async def _check_budget(self) -> tuple[int, int]:
        """What a question costs at least, and how long an answer may be that is still paid for."""
        limits = self._limits()
        if not limits:
            return 0, 1_000
        with pytest.raises(BudgetExceededError) as caught:
            await self.client.send(prompt("0", max_tokens=TOO_MUCH))
        assert caught.value.spent == self.provider.used
        estimate = int(caught.value.needed) - TOO_MUCH
        return estimate, int(min(limits)) - self.provider.used - estimate

    async def _check_line(self, room: int) -> None:
        """Who waits for what another call has is let in in the moment in which that is over."""
        # So much is left for the second one only when the first has not used what it might have.
        most = room - _tokens(HELLO)
        if most < 1:
            return
        limits = self.policies.rate_limit
        one_by_one = self._limits() or (limits is not None and limits.max_concurrent == 1)
        assert await self._take([most, most]) == QUICK_S * (2 if one_by_one else 1)

    async def _check_concurrency(self, room: int, estimate: int) -> None:
        """As many calls as may be are under way at the same time."""
        limits = self.policies.rate_limit
        if limits is None or limits.max_concurrent is None:
            return
        if room >= limits.max_concurrent * (estimate + 1):
            self.provider.most_at_once = 0
            assert await self._take([1] * limits.max_concurrent) == QUICK_S
            assert self.provider.most_at_once == limits.max_concurrent

    async def _take(self, max_tokens: Sequence[int]) -> float:
        """How long calls take that are made at the same time, with as many tokens as these."""
        # The requests of the minute before are there again.
        await asyncio.sleep(60.0)
        began_s = self.clock.monotonic()
        asked = [prompt("0", max_tokens=most) for most in max_tokens]
        assert await all_of(self.client, asked) == [HELLO] * len(asked)
        return self.clock.monotonic() - began_s

    def _limits(self) -> list[float]:
        budget = self.policies.budget
        if budget is None:
            return []
        return [limit for limit in (budget.tokens, budget.money) if limit is not None]
