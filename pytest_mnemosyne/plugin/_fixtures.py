"""The fixtures. What they need is imported when a test asks for them.

What has to be awaited at the end (clients, bridges, trees) is pushed on one exit stack
per test. The stack lives on the loop that the test itself runs on, whatever loop scope
that is: a plain async fixture of function scope would sit on another loop when the test
runs on its module's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

import pytest
import pytest_asyncio

from pytest_mnemosyne.plugin._environment import DUMMY_KEY
from pytest_mnemosyne.plugin._loop_scopes import LOOP_SCOPES, LoopScope, loop_scope_of
from pytest_mnemosyne.plugin._plainly import PLAINLY
from pytest_mnemosyne.plugin._session import Run, run_of

if TYPE_CHECKING:
    from pathlib import Path

    from anthropic import Anthropic, AsyncAnthropic

    from mnemosyne_core.events import Fact
    from mnemosyne_core.ids import CountedIds
    from mnemosyne_core.tree import SupervisionTree
    from mnemosyne_core.work import WorkItem
    from pytest_mnemosyne.cassette import Cassette
    from pytest_mnemosyne.plugin._event_log import EventLog
    from pytest_mnemosyne.plugin._faults import FaultInjector
    from pytest_mnemosyne.plugin._systems import BridgeMaker, TreeMaker
    from pytest_mnemosyne.simulation import ScriptedClaude


class _Manners(TypedDict):
    """How the systems of a test are ended, as far as the run decides it."""

    counts_sockets: bool
    has_refused: Callable[[], bool]
    faults: FaultInjector | None
    redact: Callable[[Fact], Fact]


# --- Claude ----------------------------------------------------------------------------


class ClaudeFixtures:
    """The fixtures that give a test its Claude; registered as a plug-in of its own.

    They are methods, so that they need no `request`: pytest makes each one anew, by
    inspecting a signature, which costs more than playing an answer does.
    """

    def __init__(self, config: pytest.Config) -> None:
        """Take the config, which has no run yet when fixtures are registered."""
        self._config = config

    @pytest.fixture
    def claude_cassette(self) -> Cassette:
        """This test's cassette: `turns`, `played`, `unplayed()`, `path`."""
        return self._open_cassette()

    @pytest.fixture
    def claude(self) -> AsyncAnthropic:
        """An `anthropic.AsyncAnthropic` on this test's cassette; needs no key to replay."""
        if not self._open_cassette().mode.forwards:
            return self._run.clients.for_async(DUMMY_KEY)
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
        from httpx2 import Limits

        # No connection is kept: a test may have asked on a loop of its own, on which nothing
        # can be closed any more when the test is over.
        limits = Limits(max_keepalive_connections=0)
        client = AsyncAnthropic(http_client=DefaultAsyncHttpxClient(limits=limits))
        request = self._run.running.item._request  # type: ignore[attr-defined]
        _async_cleanup(request).push_async_callback(client.close)
        return client

    @pytest.fixture
    def claude_sync(self) -> Iterator[Anthropic]:
        """An `anthropic.Anthropic` on this test's cassette; needs no key to replay."""
        if not self._open_cassette().mode.forwards:
            yield self._run.clients.for_sync(DUMMY_KEY)
            return
        from anthropic import Anthropic

        with Anthropic() as client:
            yield client

    @property
    def _run(self) -> Run:
        return run_of(self._config)

    def _open_cassette(self) -> Cassette:
        with PLAINLY:
            return self._run.open_cassette()


@pytest.fixture
def scripted_claude(request: pytest.FixtureRequest) -> Iterator[ScriptedClaude]:
    """A stand-in for Claude that plays a script.

    With `--mnemosyne-upstream=scripted` it answers what this test forwards; in replay
    nothing reaches it, because the cassette answers. Its server starts when `url` is
    first asked for. A request that the script does not provide for fails the test.
    """
    scripted = run_of(request.config).scripted()
    yield scripted
    if scripted.unscripted:
        asked = "\n".join(f"  {each}" for each in scripted.unscripted)
        pytest.fail(f"the script has no answer for what was asked:\n{asked}", pytrace=False)


@pytest.fixture
def fault_plan(
    request: pytest.FixtureRequest,
    claude_cassette: Cassette,  # noqa: ARG001 - opened, so that its door is there
) -> Iterator[FaultInjector]:
    """What goes wrong in this test: `fault_plan.status(529, agent="executor")`.

    Between the test and Claude it stands in front of the cassette: an error that it gives
    consumes no recorded answer and is never recorded. What goes wrong in actors, supervisors
    and processes is met by the trees and bridges of the other fixtures; a supervisor of your
    own takes `failpoints=fault_plan.failpoints`. A fault that is never met fails the test,
    unless it is left to chance, to a time window, or `optional=True`.
    """
    from pytest_mnemosyne.plugin._faults import injecting

    run = run_of(request.config)
    cleanup = _async_cleanup(request) if pytest_asyncio.is_async_test(request.node) else None
    yield from injecting(run.door, run.running, cleanup)


# --- work and events -------------------------------------------------------------------


@pytest.fixture
def _mnemosyne_ids() -> CountedIds:
    """The ids of this test: work items made here and there never share one."""
    from mnemosyne_core.ids import CountedIds

    return CountedIds()


@pytest.fixture
def work_item(_mnemosyne_ids: CountedIds) -> Callable[..., WorkItem]:
    """Makes work items: `work_item("do this", priority=9)`; ids are counted, `work-1` first."""
    from mnemosyne_core.work import WorkItem

    def make(description: str = "do something useful", **fields: Any) -> WorkItem:
        given = {"description": description, **fields}
        if "id" not in given:
            given["id"] = _mnemosyne_ids.mint("work")
        return WorkItem.parse(given)

    return make


@pytest.fixture
def event_log() -> EventLog:
    """What happened in this test's trees and bridges, to wait for and to assert on."""
    from pytest_mnemosyne.plugin._event_log import EventLog

    return EventLog()


# --- trees and bridges -----------------------------------------------------------------


@pytest.fixture
def make_supervision_tree(
    request: pytest.FixtureRequest,
    claude: AsyncAnthropic,
    event_log: EventLog,
    _mnemosyne_ids: CountedIds,
    tmp_path: Path,
) -> TreeMaker:
    """A factory of started trees; awaited, with fields of `SupervisionConfig` by name.

    Each is wired to this test's cassette, keeps everything in memory and its agents'
    files below `tmp_path`, and is stopped at the end of the test. What it leaves behind
    (tasks, threads, sockets) fails the test.
    """
    from pytest_mnemosyne.plugin._systems import TreeMaker

    return TreeMaker(
        cleanup=_async_cleanup(request),
        claude=claude,
        log=event_log,
        ids=_mnemosyne_ids,
        folder=tmp_path,
        **_manners(request),
    )


@pytest.fixture
def supervision_tree(
    request: pytest.FixtureRequest,
    make_supervision_tree: TreeMaker,  # noqa: ARG001 - made before the tree, and so ended after it
) -> SupervisionTree:
    """A started `SupervisionTree`, as `make_supervision_tree()` makes it."""
    name = f"_mnemosyne_tree_{loop_scope_of(request.node)}"
    return cast("SupervisionTree", request.getfixturevalue(name))


@pytest.fixture
def agent_bridge(
    request: pytest.FixtureRequest,
    claude: AsyncAnthropic,
    event_log: EventLog,
    _mnemosyne_ids: CountedIds,
    tmp_path: Path,
) -> BridgeMaker:
    """A factory of bridges with a spawned agent; awaited, with the role.

    They are shut down at the end of the test.
    """
    from pytest_mnemosyne.plugin._systems import BridgeMaker

    return BridgeMaker(
        cleanup=_async_cleanup(request),
        claude=claude,
        log=event_log,
        ids=_mnemosyne_ids,
        folder=tmp_path,
        **_manners(request),
    )


def _manners(request: pytest.FixtureRequest) -> _Manners:
    run = run_of(request.config)
    record = run.current
    assert record is not None, "fixtures run inside a test"
    from pytest_mnemosyne.plugin._redacted_facts import facts_without_secrets

    return {
        "counts_sockets": not run.settings.mode.forwards,
        "has_refused": lambda: bool(record.violations),
        "faults": _plan_of(request),
        "redact": facts_without_secrets(lambda: run.cassettes.redactor),
    }


def _plan_of(request: pytest.FixtureRequest) -> FaultInjector | None:
    """The test's fault plan, if it asks for one; a fixture of its own of that name is none."""
    if fault_plan.__name__ not in request.fixturenames:
        return None
    from pytest_mnemosyne.plugin._faults import FaultInjector

    found: object = request.getfixturevalue(fault_plan.__name__)
    return found if isinstance(found, FaultInjector) else None


# --- on the test's own loop ------------------------------------------------------------


def _cleanup_on(scope: LoopScope) -> object:
    @pytest_asyncio.fixture(loop_scope=scope, name=f"_mnemosyne_cleanup_{scope}")
    async def cleanup() -> AsyncIterator[AsyncExitStack]:
        async with AsyncExitStack() as stack:
            yield stack

    return cleanup


def _tree_on(scope: LoopScope) -> object:
    @pytest_asyncio.fixture(loop_scope=scope, name=f"_mnemosyne_tree_{scope}")
    async def tree(make_supervision_tree: TreeMaker) -> SupervisionTree:
        return await make_supervision_tree()

    return tree


def _async_cleanup(request: pytest.FixtureRequest) -> AsyncExitStack:
    name = f"_mnemosyne_cleanup_{loop_scope_of(request.node)}"
    return cast("AsyncExitStack", request.getfixturevalue(name))


# pytest finds fixtures as attributes of the plug-in's module, so these need names there.
ON_LOOPS: Final = {
    **{f"_mnemosyne_cleanup_{scope}": _cleanup_on(scope) for scope in LOOP_SCOPES},
    **{f"_mnemosyne_tree_{scope}": _tree_on(scope) for scope in LOOP_SCOPES},
}
globals().update(ON_LOOPS)

__all__ = [
    "_mnemosyne_ids",
    "agent_bridge",
    "event_log",
    "fault_plan",
    "make_supervision_tree",
    "scripted_claude",
    "supervision_tree",
    "work_item",
    *ON_LOOPS,
]
