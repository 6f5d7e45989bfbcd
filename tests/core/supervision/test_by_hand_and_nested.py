"""Children started and stopped by hand, trees of supervisors, and what can be asked of them."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from mnemosyne_core.errors import (
    Abort,
    ActorDownError,
    ActorStateError,
    ChildSpecError,
    RestartIntensityError,
    StartError,
    UnknownChildError,
)
from mnemosyne_core.events import ChildTerminated
from mnemosyne_core.supervision import (
    ChildCount,
    ChildInfo,
    ChildKind,
    ChildSpec,
    ChildState,
    Context,
    Restart,
    RestartIntensity,
    Supervisor,
)
from tests.core.supervision.conftest import MakeSupervisor
from tests.core.supervision.support import (
    Boom,
    Crash,
    Echo,
    Gate,
    MemoryRecorder,
    Puppet,
    Quit,
    Run,
    child,
)


class NeverStarts(Puppet):
    async def started(self, context: Context) -> None:
        raise Boom("not today")


# --- by hand ---------------------------------------------------------------------------


async def test_a_child_is_added_as_the_last_one(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"))
    info = await supervisor.start_child(child("b"), by=9)

    assert info == ChildInfo(
        id="b",
        path="b",
        kind=ChildKind.WORKER,
        state=ChildState.RUNNING,
        incarnation=1,
        restarts=0,
        last_exit=None,
    )
    assert recorder.events[-1].by == 9
    await supervisor.stop()
    assert recorder.story[-2:] == ["ended b#1 (shutdown)", "ended a#1 (shutdown)"]


async def test_a_child_that_does_not_start_is_not_kept(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(child("a"))

    with pytest.raises(StartError, match=r"b did not start: Boom: not today$"):
        await supervisor.start_child(child("b", NeverStarts))

    assert [info.id for info in supervisor.which_children()] == ["a"]
    assert supervisor.is_running


async def test_an_id_is_used_once(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(child("a"))
    with pytest.raises(ChildSpecError, match="'a', which is running"):
        await supervisor.start_child(child("a"))
    await supervisor.terminate_child("a")
    with pytest.raises(ChildSpecError, match="'a', which is stopped; use restart_child"):
        await supervisor.start_child(child("a"))


async def test_a_terminated_child_is_kept_and_can_be_started_again(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    supervisor = await supervise(child("a"), max_restarts=0)
    await supervisor.terminate_child("a", by=5)
    with pytest.raises(ActorDownError, match="stopped, last exit: shutdown"):
        supervisor.whereis("a")
    info = await supervisor.restart_child("a", by=6)

    assert (info.incarnation, info.restarts) == (2, 0)
    assert [event.by for event in recorder.events] == [None, 5, 6]
    assert await supervisor.whereis("a").ask(Echo("back")) == "back"


async def test_only_a_stopped_child_is_restarted_or_deleted(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(child("a"))
    with pytest.raises(ActorStateError, match="a is running; await terminate_child first"):
        await supervisor.restart_child("a")
    with pytest.raises(ActorStateError, match="a is running; await terminate_child first"):
        await supervisor.delete_child("a")

    await supervisor.terminate_child("a")
    await supervisor.terminate_child("a")
    await supervisor.delete_child("a")
    assert supervisor.which_children() == ()


async def test_a_restart_by_hand_that_fails_keeps_the_spec(supervise: MakeSupervisor) -> None:
    starts: list[Puppet] = []

    def make() -> Puppet:
        starts.append(NeverStarts() if starts else Puppet())
        return starts[-1]

    supervisor = await supervise(child("a", make))
    await supervisor.terminate_child("a")
    with pytest.raises(StartError, match="not today"):
        await supervisor.restart_child("a")

    (info,) = supervisor.which_children()
    assert (info.state, info.last_exit) == (ChildState.STOPPED, "Boom: not today")


async def test_an_unknown_child_is_named_with_those_that_exist(supervise: MakeSupervisor) -> None:
    supervisor = await supervise(child("a"), child("b"))

    with pytest.raises(UnknownChildError, match="no child 'z'; its children are a, b"):
        await supervisor.terminate_child("z")
    with pytest.raises(UnknownChildError, match="no child 'z'"):
        supervisor.whereis("z")
    with pytest.raises(UnknownChildError, match="no child 'z'"):
        supervisor.get_childspec("z")


async def test_requests_by_hand_need_a_supervisor_that_runs(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    with pytest.raises(ActorStateError, match="has not started"):
        await Supervisor(recorder=recorder).start_child(child("a"))
    supervisor = await supervise()
    await supervisor.stop()
    with pytest.raises(ActorDownError, match="shutdown"):
        await supervisor.start_child(child("a"))


async def test_a_request_is_finished_though_its_caller_is_cancelled(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()

    class Slow(Puppet):
        async def started(self, context: Context) -> None:
            await gate.wait()

    supervisor = await supervise()
    calling = asyncio.create_task(supervisor.start_child(child("a", Slow)))
    await gate.reached.wait()
    calling.cancel()
    await asyncio.wait((calling,))
    gate.open()
    await recorder.wait_for("started a#1")

    assert calling.cancelled()
    assert supervisor.count_children().active == 1


async def test_a_request_that_waits_when_the_supervisor_ends_fails(
    supervise: MakeSupervisor,
) -> None:
    gate = Gate()
    supervisor = await supervise(child("a"))
    await supervisor.whereis("a").send(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    stopping = asyncio.create_task(supervisor.stop())
    calling = asyncio.create_task(supervisor.start_child(child("b")))
    await asyncio.sleep(0)
    gate.open()
    await stopping

    with pytest.raises(ActorDownError, match="tree is down"):
        await calling


async def test_an_abort_in_a_start_by_hand_reaches_the_caller_and_ends_the_supervisor(
    supervise: MakeSupervisor,
) -> None:
    class Aborts(Puppet):
        async def started(self, context: Context) -> None:
            raise Abort("no run")

    supervisor = await supervise(child("a"))

    with pytest.raises(Abort):
        await supervisor.start_child(child("b", Aborts))
    with pytest.raises(Abort):
        await supervisor.wait()


@pytest.mark.parametrize(
    "error",
    [
        UnknownChildError(supervisor="tree", child="z", known=("a",)),
        ActorStateError(path="a", state="running", hint="wait"),
        StartError(path="a", reason="boom", undone=False),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_errors_survive_pickling(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


# --- what there is ---------------------------------------------------------------------


async def test_children_are_shown_with_what_happened_to_them(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    spec = child("a")
    supervisor = await supervise(spec, child("t", restart=Restart.TRANSIENT), nested("n"))
    await supervisor.whereis("a").send(Crash())
    await recorder.wait_for("started a#2")
    await supervisor.whereis("t").ask(Quit())
    await recorder.wait_for("ended t#1 (normal)")

    children = supervisor.which_children()
    shown = [(i.path, i.state, i.incarnation, i.restarts, i.last_exit) for i in children]
    assert shown == [
        ("a", ChildState.RUNNING, 2, 1, "Boom: boom"),
        ("t", ChildState.STOPPED, 1, 0, "normal"),
        ("n", ChildState.RUNNING, 1, 0, None),
    ]
    assert supervisor.count_children() == ChildCount(specs=3, active=2, supervisors=1, workers=2)
    assert supervisor.get_childspec("a") is spec


# --- supervisors of supervisors --------------------------------------------------------


def nested(
    child_id: str,
    *children: ChildSpec,
    max_restarts: int = 1,
    restart: Restart = Restart.PERMANENT,
) -> ChildSpec:
    return ChildSpec(
        id=child_id,
        start=lambda: Supervisor(
            children, intensity=RestartIntensity(max_restarts=max_restarts, period_s=10.0)
        ),
        kind=ChildKind.SUPERVISOR,
        restart=restart,
    )


async def test_paths_lead_through_nested_supervisors(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    root = await supervise(nested("n", child("a"), nested("m", child("b"))), child("c"))

    assert root.whereis("n/a").path == "n/a"
    assert await root.whereis("n/m/b").ask(Echo("deep")) == "deep"
    assert root.nested("n/m").path == "n/m"
    assert root.nested("n").which_children()[0].path == "n/a"
    await root.stop()
    assert recorder.story == [
        "started n/a#1",
        "started n/m/b#1",
        "started n/m#1",
        "started n#1",
        "started c#1",
        "ended c#1 (shutdown)",
        "ended n/m/b#1 (shutdown)",
        "ended n/m#1 (shutdown)",
        "ended n/a#1 (shutdown)",
        "ended n#1 (shutdown)",
    ]


async def test_a_name_that_is_no_actor_has_no_ref(supervise: MakeSupervisor) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    root = await supervise(nested("n"), ChildSpec(id="w", start=work))

    with pytest.raises(ActorStateError, match="n is a supervisor"):
        root.whereis("n")
    with pytest.raises(ActorStateError, match="w is a plain coroutine"):
        root.whereis("w")
    with pytest.raises(ActorStateError, match="w is a worker"):
        root.whereis("w/x")
    with pytest.raises(UnknownChildError, match="supervisor n has no child 'x'"):
        root.whereis("n/x")


async def test_a_nested_start_that_fails_fails_the_whole(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    with pytest.raises(StartError, match="n did not start: StartError: n/b did not start: Boom"):
        await supervise(child("a"), nested("n", child("b", NeverStarts)))
    assert recorder.story[-1] == "ended a#1 (shutdown)"


async def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    root = await supervise(nested("n", child("a"), child("b"), max_restarts=0))
    await root.whereis("n/a").send(Crash())
    await recorder.wait_for("started n#2")

    error = RestartIntensityError(path="n", max_restarts=0, period_s=10.0, reason="n/a: Boom: boom")
    assert recorder.story[3:7] == [
        "ended n/a#1 (Boom: boom)",
        "restart_intensity_reached n",
        "ended n/b#1 (shutdown)",
        f"ended n#1 (shutdown (RestartIntensityError: {error}))",
    ]
    ended, reached = recorder.of("child_terminated")[-1], recorder.of("restart_intensity_reached")
    assert ended.by == reached[0].seq
    assert root.nested("n").is_running


async def test_an_actor_below_a_restarted_supervisor_can_be_waited_for(
    supervise: MakeSupervisor,
) -> None:
    root = await supervise(nested("n", child("a"), max_restarts=0))
    first = root.whereis("n/a")
    await first.send(Crash())
    second = await root.wait_restarted("n/a", first)

    assert second.path == "n/a"
    assert await second.ask(Echo("new")) == "new"


async def test_giving_up_climbs_to_the_root(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    root = await supervise(nested("n", child("a"), max_restarts=0), max_restarts=0)
    await root.whereis("n/a").send(Crash())

    with pytest.raises(RestartIntensityError, match="supervisor tree gave up"):
        await root.wait()


async def test_a_transient_supervisor_that_gives_up_is_left_be(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    root = await supervise(
        nested("n", child("a"), max_restarts=0, restart=Restart.TRANSIENT), child("c")
    )
    await root.whereis("n/a").send(Crash())
    await recorder.wait_for("restart_intensity_reached n")
    await root.terminate_child("c")

    assert root.is_running
    assert root.which_children()[0].state is ChildState.STOPPED
    (ended,) = [event for event in recorder.of("child_terminated") if event.agent == "n"]
    assert isinstance(ended.fact, ChildTerminated)
    assert ended.fact.abnormal


async def test_an_abort_climbs_through_every_supervisor(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    abort = Abort("no recording of this call")
    root = await supervise(child("c"), nested("n", nested("m", child("a"))))
    await root.whereis("n/m/a").send(Crash(abort))

    with pytest.raises(Abort) as raised:
        await root.wait()
    assert raised.value is abort
    assert "started n/m/a#2" not in recorder.story
    assert recorder.story[-1] == "ended c#1 (shutdown)"


async def test_a_nested_supervisor_that_overruns_is_cancelled_with_its_children(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    gate = Gate()
    spec = ChildSpec(
        id="n",
        start=lambda: Supervisor([child("a"), child("b", shutdown=60)]),
        kind=ChildKind.SUPERVISOR,
        shutdown=0.001,
    )
    root = await supervise(spec)
    await root.whereis("n/b").send(Run(lambda _: gate.wait()))
    await gate.reached.wait()
    await root.stop()

    assert recorder.story[-4:] == [
        "ended n/b#1 (killed)",
        "ended n/a#1 (killed)",
        "ended n#1 (killed)",
        "stopped badly n (killed)",
    ]


async def test_one_supervisor_object_is_not_started_twice(
    supervise: MakeSupervisor, recorder: MemoryRecorder
) -> None:
    only_one = Supervisor([child("a")], intensity=RestartIntensity(max_restarts=0))
    spec = ChildSpec(id="n", start=lambda: only_one, kind=ChildKind.SUPERVISOR)
    root = await supervise(spec, max_restarts=1)
    await root.whereis("n/a").send(Crash())

    with pytest.raises(RestartIntensityError, match="make a new one for each start"):
        await root.wait()
