"""How an agent's process can end, and what is told of it."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal

import pytest

from mnemosyne_core.bridge import (
    AgentProcessGoneError,
    AgentProcessSpawnError,
    AgentSource,
    BridgeSettings,
    ClaudeAgentBridge,
    ProcessEnd,
    SubprocessTransport,
    _process,
)
from mnemosyne_core.bridge._frames import MAX_BYTES, frame
from mnemosyne_core.bridge._messages import VERSION, Hello, Ready, encode
from mnemosyne_core.errors import (
    BridgeSpawnError,
    MessageTooLargeError,
    ProtocolVersionError,
)
from tests.core.bridge.conformance.agents import ObedientAgent
from tests.core.bridge.conformance.harness import PATH, Line, source_of
from tests.core.bridge.doubles import ITEM, EventList

QUICK = BridgeSettings(cancel_s=0.05, shutdown_s=0.05)
OURS = ".".join(map(str, VERSION))
READY = encode(Hello(pid=1, python="3.11")) + encode(Ready())

# A program that says something on the pipe, then goes on as it is told.
SAYING = "import os, sys; os.write(int(sys.argv[-3]), bytes.fromhex(sys.argv[1])); "


async def up(line: Line | None = None) -> Line:
    line = line or Line.to("subprocess")
    await line.start()
    return line


async def refused(line: Line) -> AgentProcessSpawnError:
    with pytest.raises(AgentProcessSpawnError) as caught:
        await line.start()
    assert not line.transport.is_up
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return caught.value


# --- while it works --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV"])
async def test_a_signal_that_kills_it_is_named(name: str) -> None:
    line = await up()
    with pytest.raises(AgentProcessGoneError, match=f"was killed by {name}") as caught:
        await line.work("kill_itself", signal=name)

    assert caught.value.signal == name
    assert caught.value.returncode == -signal.Signals[name]
    assert not line.transport.is_up
    assert await line.stop()


@pytest.mark.parametrize("status", [0, 3])
async def test_an_exit_in_the_middle_of_work_is_told_with_the_end_of_its_log(status: int) -> None:
    line = await up()
    others = asyncio.create_task(line.work("wait", name="ever"))
    with pytest.raises(AgentProcessGoneError, match="leaving now") as caught:
        await line.work("exit", status=status)

    assert caught.value.returncode == status
    assert caught.value.signal is None
    assert caught.value.log == ("leaving now",)
    with pytest.raises(AgentProcessGoneError):
        await others
    with pytest.raises(AgentProcessGoneError, match=f"exit status {status}"):
        await line.work()
    assert await line.stop()


async def test_an_agent_that_leaves_its_interpreter_is_gone() -> None:
    line = await up()
    with pytest.raises(AgentProcessGoneError, match="exit status 5"):
        await line.work("leave", status=5)
    assert await line.stop()


@pytest.mark.slow
async def test_it_can_be_started_again_after_it_died() -> None:
    line = await up()
    with pytest.raises(AgentProcessGoneError):
        await line.work("exit", status=1)
    assert await line.stop()
    await line.start()

    assert (await line.work()).success
    assert await line.stop()


async def test_work_that_ignores_its_cancellation_ends_with_the_process() -> None:
    line = await up(Line.to("subprocess", settings=QUICK))
    work = asyncio.create_task(line.work("ignore"))
    other = asyncio.create_task(line.work("wait", name="ever"))
    while await line.data("recall") != ["waits for ever"]:
        await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    with pytest.raises(AgentProcessGoneError, match=r"did not end within 0\.05 s") as caught:
        await other
    assert caught.value.signal == "SIGKILL"
    assert not line.transport.is_up
    assert await line.stop()


@pytest.mark.slow
async def test_work_that_is_cancelled_before_it_began_does_not_cost_the_process() -> None:
    line = await up()
    itself = await line.data("look_at_itself")
    assert isinstance(itself, dict)
    pid = int(str(itself["pid"]))
    os.kill(pid, signal.SIGSTOP)
    work = asyncio.create_task(line.work("wait", name="ever"))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.sleep(0)
    # It reads the work and its cancellation in one go.
    os.kill(pid, signal.SIGCONT)
    with pytest.raises(asyncio.CancelledError):
        await work

    assert (await line.work()).success
    assert await line.stop()


async def test_an_agent_that_had_to_be_ended_at_a_timeout_is_replaced_at_once() -> None:
    log = EventList()
    stubborn = ITEM.model_copy(update={"context": {"do": "ignore"}, "timeout_s": 0.2})
    async with ClaudeAgentBridge(
        "executor", recorder=log, transport=SubprocessTransport(source_of()), settings=QUICK
    ) as bridge:
        late = await bridge.send_work(stubborn)
        assert (await bridge.send_work(ITEM)).success
        assert bridge.incarnation == 2

    assert late.error is not None
    assert late.error.code == "work_timeout"
    assert log.kinds.count("agent_restarted") == 1


async def test_a_process_that_is_busy_is_stopped_in_bounded_time() -> None:
    line = await up(Line.to("subprocess", settings=QUICK))
    work = asyncio.create_task(line.work("block"))
    await asyncio.sleep(0)

    assert await line.stop()
    with pytest.raises(Exception, match="stopped"):
        await work
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_work_that_does_not_end_does_not_keep_the_process_from_stopping() -> None:
    line = await up(Line.to("subprocess", settings=QUICK))
    work = asyncio.create_task(line.work("ignore"))
    await asyncio.sleep(0)

    assert await line.stop()
    with pytest.raises(Exception, match="stopped"):
        await work


async def test_a_cancelled_stop_kills_the_process() -> None:
    line = await up(Line.to("subprocess"))
    work = asyncio.create_task(line.work("block"))
    stopping = asyncio.create_task(line.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    with pytest.raises(Exception, match="stopped"):
        await work
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- what it says ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(b"Traceback (most recent call last)", "begin with a length", id="garbage"),
        pytest.param(frame(b'{"kind": "sing"}'), "sing", id="unknown-kind"),
        pytest.param(frame(b"no JSON"), "JSON", id="no-json"),
        pytest.param(b"\xff\xff\xff\xff", "begin with a length", id="too-long"),
        pytest.param(frame(b"no head")[:4] + b"nothing!", "one line", id="no-head"),
    ],
)
async def test_a_process_that_says_no_message_is_killed_and_the_work_fails(
    words: bytes, problem: str
) -> None:
    code = SAYING + (
        "os.read(int(sys.argv[-4]), 100000); "
        "os.write(int(sys.argv[-3]), bytes.fromhex(sys.argv[2])); import time; time.sleep(600)"
    )
    line = await up(Line.to_program(code, READY.hex(), words.hex()))
    with pytest.raises(AgentProcessGoneError, match=problem) as caught:
        await line.work()

    assert caught.value.signal == "SIGKILL"
    assert await line.stop()


async def test_what_is_too_large_to_cross_is_told_on_either_side_and_nobody_is_hurt() -> None:
    line = await up()
    with pytest.raises(MessageTooLargeError) as caught:
        await line.work("fill", length=MAX_BYTES)
    assert caught.value.most == MAX_BYTES
    with pytest.raises(MessageTooLargeError, match="name a file in the workspace"):
        await line.transport.execute(bytes(MAX_BYTES))

    assert (await line.work()).success
    assert await line.stop()


async def test_half_a_message_at_the_end_is_told() -> None:
    code = SAYING + "os.read(int(sys.argv[-4]), 100000); os.write(int(sys.argv[-3]), b'\\0\\0')"
    line = await up(Line.to_program(code, READY.hex()))
    with pytest.raises(AgentProcessGoneError, match="middle of a message, after 2 bytes"):
        await line.work()
    assert await line.stop()


async def test_a_process_that_closes_its_pipe_and_goes_on_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_process, "_EXIT_S", 0.05)
    code = SAYING + "os.close(int(sys.argv[-3])); import time; time.sleep(600)"
    line = await up(Line.to_program(code, READY.hex()))
    with pytest.raises(AgentProcessGoneError, match="closed its pipe and went on"):
        await line.work()
    assert await line.stop()


# --- before it is ready ----------------------------------------------------------------


async def test_a_process_that_ends_before_it_is_ready_is_told_with_its_log() -> None:
    code = "import sys; print('no luck today', file=sys.stderr); sys.exit(4)"
    error = await refused(Line.to_program(code))

    assert str(error).startswith("the executor agent cannot start: its process ")
    assert "ended with exit status 4; its log ends:\n    no luck today" in str(error)
    assert (error.returncode, error.log) == (4, ("no luck today",))


async def test_a_process_that_says_no_message_at_first_does_not_start() -> None:
    code = SAYING + "import time; time.sleep(600)"
    error = await refused(Line.to_program(code, b"Hello, world!".hex()))

    assert "it begins 'Hello, world!'" in str(error)
    assert error.signal == "SIGKILL"


async def test_another_version_of_the_protocol_is_refused_by_name() -> None:
    hello = encode(Hello(version=(2, 3), pid=1, python="3.99"))
    error = await refused(Line.to_program(SAYING + "sys.stdin.read()", hello.hex()))

    assert f"speaks version 2.3 of the protocol, this one {OURS}" in str(error)
    assert "install the same release" in error.hint
    assert isinstance(error.__cause__, ProtocolVersionError)


async def test_an_agent_refuses_another_version_of_the_protocol_too() -> None:
    from mnemosyne_core.bridge import _remote

    line = Line.to("subprocess")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_remote, "Hello", lambda **facts: Hello(version=(9, 0), **facts))
        error = await refused(line)

    assert error.returncode == 71
    assert f"speaks version 9.0 of the protocol, this one {OURS}" in str(error)


async def test_a_start_that_takes_too_long_can_be_given_up() -> None:
    line = Line.to_program("import time; time.sleep(600)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await line.start()

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_interpreter_that_does_not_exist_is_named() -> None:
    transport = SubprocessTransport(source_of(), program=("/nowhere/python",))
    with pytest.raises(FileNotFoundError) as caught:
        await transport.start(PATH, QUICK, lambda: None)

    assert caught.value.filename == "/nowhere/python"


async def test_an_agent_that_only_this_process_can_make_is_refused() -> None:
    transport = SubprocessTransport(AgentSource(make=lambda: ObedientAgent(None)))
    with pytest.raises(BridgeSpawnError, match=r"bound to this.*transport 'task'") as caught:
        await transport.start(PATH, QUICK, lambda: None)

    assert not caught.value.may_pass
    assert caught.value.hint.startswith("make the agent in a function at the top of a module")


@pytest.mark.parametrize(
    "error",
    [
        AgentProcessGoneError(end=ProcessEnd(pid=7, returncode=-9, problem="no", log=("a", "b"))),
        AgentProcessSpawnError(role="executor", end=ProcessEnd(pid=7, returncode=1, log=("a",))),
    ],
)
def test_what_is_known_of_the_end_survives_pickling(
    error: AgentProcessGoneError | AgentProcessSpawnError,
) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert str(again) == str(error)
    assert again.end == error.end
    assert (again.pid, again.returncode, again.signal, again.log) == (
        error.pid,
        error.returncode,
        error.signal,
        error.log,
    )
