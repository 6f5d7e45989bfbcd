"""Whose fault a failure is, what that does to the agent, and when the next one comes."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from pydantic import ValidationError

from mnemosyne_core.bridge import (
    AgentGoneError,
    BridgeSettings,
    ClaudeAgentBridge,
    TaskTransport,
)
from mnemosyne_core.bridge._health import Blame, blame_for
from mnemosyne_core.bridge._pauses import Pauses
from mnemosyne_core.errors import (
    Abort,
    AgentUnavailableError,
    AnswerTooLongError,
    BridgeSpawnError,
    BudgetExceededError,
    CircuitOpenError,
    ClaudeAuthenticationError,
    ClaudeConnectionError,
    ClaudeNotFoundError,
    ClaudeOverloadedError,
    ClaudePermissionError,
    ClaudeRateLimitError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
    EnvelopeError,
    IterationLimitError,
    MessageTooLargeError,
    MissingKeyError,
    MissingSdkError,
    MnemosyneError,
    RefusalError,
    UnusableAnswerError,
    WorkTimeoutError,
)
from mnemosyne_core.events import AgentDegraded, AgentFailed, AgentRecovered
from mnemosyne_core.work import Failure, WorkItem, WorkResult
from pytest_mnemosyne.simulation import VirtualClock
from tests.core.bridge.doubles import (
    ITEM,
    Deed,
    DoingAgent,
    EventList,
    Scene,
    crash,
    succeed,
)


def status(kind: type[ClaudeStatusError], code: int) -> ClaudeStatusError:
    return kind(status=code, error_type="some_error", message="because")


BAD_KEY = status(ClaudeAuthenticationError, 401)
TOO_MANY = status(ClaudeRateLimitError, 429)


def failing(error: BaseException) -> Deed:
    return lambda item: WorkResult.failed(item, Failure.of(error))


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        pytest.param(WorkTimeoutError(item_id="a", timeout_s=1), Blame.AGENT, id="timeout"),
        pytest.param(RuntimeError("boom"), Blame.AGENT, id="crash"),
        pytest.param(EnvelopeError(problems=(("kind", "?"),)), Blame.AGENT, id="garbage"),
        pytest.param(UnusableAnswerError(problem="?", excerpt=""), Blame.AGENT, id="unusable"),
        pytest.param(ClaudeConnectionError(reason="reset"), Blame.AGENT, id="connection"),
        pytest.param(ClaudeStreamError(reason="cut"), Blame.AGENT, id="cut"),
        pytest.param(status(ClaudeStatusError, 500), Blame.AGENT, id="500"),
        pytest.param(status(ClaudeOverloadedError, 529), Blame.AGENT, id="529"),
        pytest.param(AgentGoneError("killed"), Blame.AGENT, id="gone"),
        pytest.param(MissingKeyError(looked_in=("A",)), Blame.CIRCUMSTANCES, id="no-key"),
        pytest.param(MissingSdkError(reason="?"), Blame.CIRCUMSTANCES, id="no-sdk"),
        pytest.param(BAD_KEY, Blame.CIRCUMSTANCES, id="401"),
        pytest.param(status(ClaudePermissionError, 402), Blame.CIRCUMSTANCES, id="402"),
        pytest.param(status(ClaudePermissionError, 403), Blame.CIRCUMSTANCES, id="403"),
        pytest.param(status(ClaudeNotFoundError, 404), Blame.CIRCUMSTANCES, id="404"),
        pytest.param(TOO_MANY, Blame.CIRCUMSTANCES, id="429"),
        pytest.param(status(ClaudeRequestError, 400), Blame.WORK, id="400"),
        pytest.param(status(ClaudeRequestError, 413), Blame.WORK, id="413"),
        pytest.param(RefusalError(explanation=""), Blame.WORK, id="refusal"),
        pytest.param(IterationLimitError(limit=3), Blame.WORK, id="iteration-limit"),
        pytest.param(
            AnswerTooLongError(stop_reason="max_tokens", max_tokens=9), Blame.WORK, id="too-long"
        ),
    ],
)
async def test_only_what_a_new_agent_could_do_better_counts_against_the_agent(
    error: MnemosyneError, blame: Blame
) -> None:
    assert blame_for(Failure.of(error)) is blame
    scene = Scene(DoingAgent([failing(error)]))
    async with scene.bridge as bridge:
        await bridge.send_work(ITEM)

        assert bridge.error_count == int(blame is Blame.AGENT)
        expected = "degraded" if blame is Blame.CIRCUMSTANCES else "ready"
        assert bridge.state == expected
    assert "agent_restarted" not in scene.log.kinds


def test_what_the_policies_refuse_is_not_the_agents_fault() -> None:
    refusals = {kind.code for kind in (CircuitOpenError, BudgetExceededError)}
    failures = [
        Failure(code=CircuitOpenError.code, message="x", recovery=CircuitOpenError.recovery),
        Failure(code=BudgetExceededError.code, message="x", recovery=BudgetExceededError.recovery),
    ]
    assert {each.code for each in failures} == refusals
    assert {blame_for(each) for each in failures} == {Blame.CIRCUMSTANCES}


async def test_an_invalid_key_restarts_nothing_and_says_what_to_do(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(DoingAgent([failing(BAD_KEY)] * 20), on_loop_time=True)
    async with scene.bridge as bridge:
        for _ in range(20):
            await bridge.send_work(ITEM)
        await virtual_clock.advance(3600)

        assert bridge.state == "degraded", "no time mends a key"
        assert bridge.incarnation == 1
        assert (await bridge.send_work(ITEM)).success
        assert bridge.state == "ready"

    degraded = scene.log.only("agent_degraded")
    assert isinstance(degraded.fact, AgentDegraded)
    assert degraded.fact.errors == 0
    assert degraded.fact.reason.endswith("because; set ANTHROPIC_API_KEY to a key that is valid")
    assert scene.log.cause_of(degraded) == "agent_active"
    assert scene.log.cause_of(scene.log.only("agent_recovered")) == "agent_active"


async def test_a_reached_limit_restarts_nothing_and_passes_by_itself(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(DoingAgent([failing(TOO_MANY)] * 9), on_loop_time=True)
    async with scene.bridge as bridge:
        for _ in range(9):
            await bridge.send_work(ITEM)
        assert bridge.state == "degraded"
        await virtual_clock.advance(59)
        assert bridge.state == "degraded"
        await virtual_clock.advance(32)  # the next beat after the window

    assert scene.log.only("agent_recovered").fact == AgentRecovered()
    assert bridge.incarnation == 1


async def test_another_lack_is_told_anew(virtual_clock: VirtualClock) -> None:
    scene = Scene(DoingAgent([failing(TOO_MANY), failing(BAD_KEY)]), on_loop_time=True)
    async with scene.bridge as bridge:
        await bridge.send_work(ITEM)
        await bridge.send_work(ITEM)

    reasons = [e.fact.reason for e in scene.log.events if isinstance(e.fact, AgentDegraded)]
    assert ["429" in reasons[0], "401" in reasons[1], len(reasons)] == [True, True, 2]


async def test_a_success_takes_no_error_back(virtual_clock: VirtualClock) -> None:
    scene = Scene(DoingAgent([crash, crash, succeed, crash, succeed]), on_loop_time=True)
    async with scene.bridge as bridge:
        for count in (1, 2, 2, 3, 3):
            await bridge.send_work(ITEM)
            assert bridge.error_count == count
        assert bridge.state == "degraded"


async def test_five_errors_in_ten_minutes_restart_nothing(virtual_clock: VirtualClock) -> None:
    scene = Scene(DoingAgent([crash] * 5), on_loop_time=True)
    async with scene.bridge as bridge:
        for _ in range(5):
            await bridge.send_work(ITEM)
            await virtual_clock.advance(150)

    assert {"agent_restarted", "agent_degraded"}.isdisjoint(scene.log.kinds)


async def test_five_errors_in_fifty_nine_seconds_restart_once(virtual_clock: VirtualClock) -> None:
    first, second = DoingAgent([crash] * 5), DoingAgent()
    scene = Scene(first, second, on_loop_time=True)
    async with scene.bridge as bridge:
        for number in range(5):
            await bridge.send_work(ITEM)
            assert bridge.incarnation == (1 if number < 4 else 2)
            await virtual_clock.advance(59 / 4 if number < 4 else 0)
        assert (bridge.state, bridge.error_count) == ("ready", 0)
        assert (await bridge.send_work(ITEM)).success

    log = scene.log
    restarted = log.only("agent_restarted")
    chain = [restarted]
    while chain[-1].by is not None:
        chain.append(log.events[chain[-1].by - 1])
    assert [event.kind for event in chain] == ["agent_restarted", "agent_erred", "agent_active"]
    assert log.kinds.count("agent_degraded") == 1
    assert (first.started, first.stopped, second.started, second.stopped) == (1, 1, 1, 1)


async def test_the_old_session_is_closed_before_the_new_one_is_opened() -> None:
    happened: list[str] = []

    class Noting(DoingAgent):
        async def start_session(self) -> None:
            happened.append("open")

        async def stop_session(self) -> None:
            await asyncio.sleep(0)
            happened.append("close")

    async with Scene(Noting([crash] * 5), Noting()).bridge as bridge:
        for _ in range(5):
            await bridge.send_work(ITEM)

    assert happened == ["open", "close"] * 2


async def test_what_is_too_large_for_the_bridge_is_the_works_fault_and_not_tried_again() -> None:
    class Narrow(TaskTransport):
        async def execute(self, envelope: bytes) -> bytes:
            raise MessageTooLargeError(length=len(envelope), most=10)

    transport = Narrow(DoingAgent)
    async with ClaudeAgentBridge("executor", recorder=EventList(), transport=transport) as bridge:
        result = await bridge.send_work(ITEM)
        assert (bridge.state, bridge.error_count) == ("ready", 0)

    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("message_too_large", False)


# --- pauses between agents ---------------------------------------------------------------


class Dying(DoingAgent):
    """Ends with everything that it is given."""

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        raise AssertionError("it is gone by now")


async def test_an_agent_that_dies_of_everything_is_replaced_ever_more_slowly(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(Dying(), on_loop_time=True)
    ended_s = [virtual_clock.monotonic()]
    async with scene.bridge as bridge:
        for attempt in range(1, 9):
            result = await bridge.send_work(ITEM, attempt=attempt)
            assert result.error is not None
            assert result.error.code == "agent_gone"
            ended_s.append(virtual_clock.monotonic())
        assert bridge.incarnation == 9

    pauses = [round(after - before, 6) for before, after in pairwise(ended_s)]
    assert pauses == [0, 1, 2, 4, 8, 16, 16, 16]
    reasons = [e.fact.reason for e in scene.log.events if isinstance(e.fact, AgentDegraded)]
    assert reasons[0].startswith("replaced 2 times in a row, next in 1 s; ")


async def test_an_agent_that_lived_for_a_window_is_replaced_at_once_again(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(Dying(), on_loop_time=True)
    async with scene.bridge as bridge:
        for _ in range(3):
            await bridge.send_work(ITEM)
        await virtual_clock.advance(60)
        before_s = virtual_clock.monotonic()
        await bridge.send_work(ITEM)
        assert virtual_clock.monotonic() == before_s


async def test_a_bridge_that_is_shut_down_during_a_pause_ends_at_once(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(Dying(), on_loop_time=True)
    await scene.bridge.spawn()
    await scene.bridge.send_work(ITEM)
    working = asyncio.create_task(scene.bridge.send_work(ITEM))
    await virtual_clock.settle()
    assert scene.bridge.state == "restarting"
    await scene.bridge.shutdown()

    assert (await working).error is not None
    assert virtual_clock.monotonic() == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_first_replacement_in_a_row_waits_for_nothing() -> None:
    pauses = Pauses(BridgeSettings())
    waited_s = []
    for lived_s in (5.0, 5.0, 59.9, 60.0, 1.0):
        pauses.note_end(lived_s)
        waited_s.append(pauses.before_replacement_s())
    assert waited_s == [0.0, 1.0, 2.0, 0.0, 1.0]


# --- tries of a bridge that has no agent -------------------------------------------------


class Late(DoingAgent):
    """Cannot start until its time has come."""

    def __init__(self, error: BaseException, *, until: int) -> None:
        super().__init__()
        self.error = error
        self.until = until

    async def start_session(self) -> None:
        await super().start_session()
        if self.started <= self.until:
            raise self.error


NO_KEY = MissingKeyError(looked_in=("ANTHROPIC_API_KEY",))


async def test_an_agent_that_could_not_start_is_tried_again_until_it_can(
    virtual_clock: VirtualClock,
) -> None:
    agent = Late(NO_KEY, until=3)
    scene = Scene(agent, on_loop_time=True)
    await scene.bridge.spawn(keep_trying=True)
    assert scene.bridge.state == "failed"
    with pytest.raises(AgentUnavailableError, match="no API key") as caught:
        await scene.bridge.send_work(ITEM)
    assert caught.value.hint == "set ANTHROPIC_API_KEY"
    for waited_s, tries in ((4.9, 1), (0.2, 2), (10, 3), (19.8, 3), (0.2, 4)):
        await virtual_clock.advance(waited_s)
        assert agent.started == tries
    assert scene.bridge.state == "ready"
    assert (await scene.bridge.send_work(ITEM)).success
    await virtual_clock.advance(3600)
    assert agent.started == 4
    await scene.bridge.shutdown()

    failed = scene.log.only("agent_failed")
    assert isinstance(failed.fact, AgentFailed)
    assert failed.fact.tries_again
    assert scene.log.cause_of(scene.log.only("agent_registered")) == "agent_failed"


async def test_no_pause_between_two_tries_is_longer_than_the_settings_say(
    virtual_clock: VirtualClock,
) -> None:
    agent = Late(NO_KEY, until=10**6)
    scene = Scene(
        agent, settings=BridgeSettings(respawn_after_s=10, respawn_max_s=40), on_loop_time=True
    )
    await scene.bridge.spawn(keep_trying=True)
    await virtual_clock.advance(10 + 20 + 40 * 10 + 1)
    assert agent.started == 1 + 2 + 10
    await scene.bridge.shutdown()
    await virtual_clock.advance(3600)
    assert agent.started == 13
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_is_not_installed_is_not_looked_for_again(virtual_clock: VirtualClock) -> None:
    for error in (MissingSdkError(reason="no"), ModuleNotFoundError("no", name="agents")):
        agent = Late(error, until=99)
        scene = Scene(agent, on_loop_time=True)
        await scene.bridge.spawn(keep_trying=True)
        await virtual_clock.advance(3600)
        await scene.bridge.shutdown()
        assert agent.started == 1
        failed = scene.log.only("agent_failed").fact
        assert isinstance(failed, AgentFailed)
        assert not failed.tries_again


async def test_trying_ends_when_it_turns_out_that_it_cannot_help(
    virtual_clock: VirtualClock,
) -> None:
    agent = Late(NO_KEY, until=99)
    scene = Scene(agent, on_loop_time=True)
    await scene.bridge.spawn(keep_trying=True)
    agent.error = MissingSdkError(reason="gone")
    await virtual_clock.advance(3600)
    await scene.bridge.shutdown()

    assert agent.started == 2
    facts = [e.fact for e in scene.log.events if isinstance(e.fact, AgentFailed)]
    assert [fact.tries_again for fact in facts] == [True, False]


async def test_trying_can_be_turned_off(virtual_clock: VirtualClock) -> None:
    agent = Late(NO_KEY, until=99)
    scene = Scene(agent, settings=BridgeSettings(respawn_after_s=None), on_loop_time=True)
    await scene.bridge.spawn(keep_trying=True)
    await virtual_clock.advance(3600)
    await scene.bridge.shutdown()
    assert agent.started == 1


async def test_whoever_wants_to_hear_of_a_failed_start_hears_of_it_and_nothing_goes_on(
    virtual_clock: VirtualClock,
) -> None:
    scene = Scene(Late(NO_KEY, until=99), on_loop_time=True)
    with pytest.raises(BridgeSpawnError, match="no API key"):
        await scene.bridge.spawn()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_spawning_by_hand_ends_the_tries(virtual_clock: VirtualClock) -> None:
    agent = Late(NO_KEY, until=1)
    scene = Scene(agent, on_loop_time=True)
    await scene.bridge.spawn(keep_trying=True)
    await scene.bridge.spawn()
    assert scene.bridge.state == "ready"
    await virtual_clock.advance(3600)
    assert agent.started == 2
    await scene.bridge.shutdown()


async def test_a_replacement_that_cannot_start_is_tried_again(virtual_clock: VirtualClock) -> None:
    second = Late(RuntimeError("not yet"), until=1)
    scene = Scene(DoingAgent([crash] * 5), second, on_loop_time=True)
    async with scene.bridge as bridge:
        for _ in range(5):
            await bridge.send_work(ITEM)
        assert bridge.state == "failed"
        await virtual_clock.advance(5)
        assert bridge.state == "ready"
        assert (await bridge.send_work(ITEM)).success

    log = scene.log
    registered = [event for event in log.events if event.kind == "agent_registered"]
    assert log.cause_of(registered[1]) == "agent_failed"


async def test_an_abort_of_a_try_reaches_whoever_owns_the_bridge(
    virtual_clock: VirtualClock,
) -> None:
    agent = Late(NO_KEY, until=99)
    scene = Scene(agent, on_loop_time=True)
    await scene.bridge.spawn(keep_trying=True)
    owner = asyncio.create_task(scene.bridge.until_broken())
    agent.error = Abort("no recording")
    await virtual_clock.advance(5)

    assert owner.done()
    with pytest.raises(Abort, match="no recording"):
        await owner
    await scene.bridge.shutdown()


def test_a_first_pause_beyond_the_longest_is_refused() -> None:
    with pytest.raises(ValidationError, match="respawn_after_s"):
        BridgeSettings(respawn_after_s=10, respawn_max_s=5)
