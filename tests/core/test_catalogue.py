"""The catalogue of errors: each row is provoked for real, and the page in the docs shows it."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from anthropic import AsyncAnthropic

from mnemosyne_core.agents import (
    Agent,
    AgentPlace,
    AgentSettings,
    create_agent,
    default_agent,
)
from mnemosyne_core.bridge import (
    AgentGoneError,
    AgentSource,
    ClaudeAgentBridge,
    SubprocessTransport,
    TaskTransport,
    Transport,
)
from mnemosyne_core.claude import AnthropicClient, ClaudeClient
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.errors import (
    AgentUnavailableError,
    BridgeSpawnError,
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
    MissingKeyError,
    MissingSdkError,
    MnemosyneError,
    Recovery,
    RefusalError,
    UnusableAnswerError,
    WorkTimeoutError,
)
from mnemosyne_core.hooks import plugin_manager
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.work import AgentRole, Failure, WorkItem
from tests.core.agents.script import HangingClient, ScriptedClient, calling, reply, said, use
from tests.core.bridge.doubles import EventList

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
ITEM = WorkItem(id="a", description="Look around.", timeout_s=30)


class Stage:
    """What a row may use to go wrong."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.patch = patch
        self.folder = folder

    def take_keys_away(self) -> None:
        for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"):
            self.patch.delenv(name, raising=False)
        for name in ("HOME", "XDG_CONFIG_HOME"):
            self.patch.setenv(name, str(self.folder))

    async def start(self, make: Callable[[], Agent]) -> Failure:
        """What the bridge says of an agent that cannot start."""
        return await self.start_over(TaskTransport(make))

    async def start_over(self, transport: Transport) -> Failure:
        bridge = ClaudeAgentBridge("executor", recorder=EventList(), transport=transport)
        with pytest.raises(BridgeSpawnError) as caught:
            await bridge.spawn()
        return Failure.of(caught.value)

    async def work(
        self,
        client: ClaudeClient,
        *,
        role: AgentRole = AgentRole.EXECUTOR,
        settings: AgentSettings | None = None,
        timeout_s: float = 30,
    ) -> Failure:
        """What an agent on `client` fails of."""
        transport = TaskTransport(lambda: create_agent(role, client=client, settings=settings))
        bridge = ClaudeAgentBridge(role, recorder=EventList(), transport=transport)
        async with bridge:
            result = await bridge.send_work(ITEM.model_copy(update={"timeout_s": timeout_s}))
        assert result.error is not None
        return result.error

    async def answered(self, status: int, error_type: str) -> Failure:
        """What an agent fails of whose API answers so."""
        body = {"type": "error", "error": {"type": error_type, "message": "because"}}
        return await self.requested(lambda _: httpx2.Response(status, json=body))

    async def requested(self, handler: Callable[[httpx2.Request], httpx2.Response]) -> Failure:
        """What an agent fails of whose requests are handled so."""
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
        async with AsyncAnthropic(
            api_key="key", base_url="http://claude.invalid", max_retries=0, http_client=http
        ) as sdk:
            return await self.work(AnthropicClient(sdk))


async def no_module(stage: Stage) -> Failure:
    return await stage.start(lambda: importlib.import_module("no_such_agents").Agent())


async def no_sdk(stage: Stage) -> Failure:
    stage.patch.setitem(sys.modules, "anthropic", None)
    return await stage.start(lambda: create_agent("executor", client=AnthropicClient()))


async def no_sdk_alone(stage: Stage) -> Failure:
    stage.patch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(MissingSdkError) as caught:
        await AnthropicClient().open()
    return Failure.of(caught.value)


async def no_key(stage: Stage) -> Failure:
    stage.take_keys_away()
    return await stage.start(lambda: create_agent("executor", client=AnthropicClient()))


async def no_key_alone(stage: Stage) -> Failure:
    stage.take_keys_away()
    with pytest.raises(MissingKeyError) as caught:
        await AnthropicClient().open()
    return Failure.of(caught.value)


async def no_workspace(stage: Stage) -> Failure:
    folder = stage.folder / "gone"
    client = ScriptedClient()
    return await stage.start(lambda: create_agent("executor", client=client, workspace=folder))


async def no_interpreter(stage: Stage) -> Failure:
    place = AgentPlace(
        path="executor",
        role=AgentRole.EXECUTOR,
        client=ScriptedClient(),
        workspace=stage.folder,
        settings=AgentSettings(),
        ids=CountedIds(),
        clock=LoopClock(),
        plugins=plugin_manager(load_entry_points=False),
    )
    source = AgentSource.of(default_agent, place)
    program = (str(stage.folder / "python"),)
    return await stage.start_over(SubprocessTransport(source, program=program))


async def nobody_there(stage: Stage) -> Failure:
    transport = TaskTransport(lambda: create_agent("executor", client=ScriptedClient()))
    bridge = ClaudeAgentBridge("executor", recorder=EventList(), transport=transport)
    with pytest.raises(AgentUnavailableError) as caught:
        await bridge.send_work(ITEM)
    return Failure.of(caught.value)


async def gone(stage: Stage) -> Failure:
    client = HangingClient()
    transport = TaskTransport(lambda: create_agent("executor", client=client))
    bridge = ClaudeAgentBridge("executor", recorder=EventList(), transport=transport)
    await bridge.spawn()
    working = asyncio.create_task(bridge.send_work(ITEM))
    await client.asked.wait()
    await bridge.shutdown()
    error = (await working).error
    assert error is not None
    return error


class Garbled(TaskTransport):
    async def execute(self, envelope: bytes) -> bytes:
        return (await super().execute(envelope))[:-20]


async def garbled(stage: Stage) -> Failure:
    transport = Garbled(lambda: create_agent("executor", client=ScriptedClient(said("Done."))))
    bridge = ClaudeAgentBridge("executor", recorder=EventList(), transport=transport)
    async with bridge:
        result = await bridge.send_work(ITEM)
    assert result.error is not None
    return result.error


def lost(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadError("connection reset", request=request)


def cut(_: httpx2.Request) -> httpx2.Response:
    message: dict[str, object] = {
        "id": "m",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "usage": {},
    }
    return httpx2.Response(200, json={"type": "message", "role": "assistant", **message})


@dataclass(frozen=True)
class Row:
    """One line of the catalogue."""

    happens: str
    kind: type[MnemosyneError]
    recovery: Recovery
    hint: str
    provoke: Callable[[Stage], Awaitable[Failure]]

    @property
    def line(self) -> str:
        cells = (self.happens, f"`{self.kind.__name__}`", f"`{self.kind.code}`")
        return f"| {' | '.join((*cells, f'`{self.recovery}`', self.hint))} |"


def answered(status: int, error_type: str) -> Callable[[Stage], Awaitable[Failure]]:
    return lambda stage: stage.answered(status, error_type)


def row(
    happens: str,
    kind: type[MnemosyneError],
    provoke: Callable[[Stage], Awaitable[Failure]],
    *,
    hint: str | None = None,
) -> Row:
    return Row(happens, kind, kind.recovery, kind.hint if hint is None else hint, provoke)


ROWS = (
    row(
        "a module of the agent is missing",
        BridgeSpawnError,
        no_module,
        hint="install the package that it comes from",
    ),
    row("the SDK is missing", MissingSdkError, no_sdk_alone),
    row(
        "the SDK is missing when an agent starts",
        BridgeSpawnError,
        no_sdk,
        hint="pip install anthropic",
    ),
    row("there is no key", MissingKeyError, no_key_alone),
    row(
        "there is no key when an agent starts",
        BridgeSpawnError,
        no_key,
        hint="set ANTHROPIC_API_KEY",
    ),
    row(
        "the workspace cannot be used",
        BridgeSpawnError,
        no_workspace,
        hint="create it, or name another one",
    ),
    row(
        "there is no interpreter for the agent's process",
        BridgeSpawnError,
        no_interpreter,
        hint="create it, or name another one",
    ),
    row(
        "work is sent to an agent that is not there",
        AgentUnavailableError,
        nobody_there,
        hint="start its bridge, or await tree.restart_agent(role)",
    ),
    row("the agent ended while it worked", AgentGoneError, gone),
    row("what came over the bridge is garbage", EnvelopeError, garbled),
    row("400: wrong arguments", ClaudeRequestError, answered(400, "invalid_request_error")),
    row(
        "401: the key is invalid", ClaudeAuthenticationError, answered(401, "authentication_error")
    ),
    row("402: the account has not paid", ClaudePermissionError, answered(402, "billing_error")),
    row("403: the key may not do this", ClaudePermissionError, answered(403, "permission_error")),
    row("404: no such model", ClaudeNotFoundError, answered(404, "not_found_error")),
    row("413: the request is too large", ClaudeRequestError, answered(413, "request_too_large")),
    row("422: wrong arguments", ClaudeRequestError, answered(422, "unprocessable")),
    row("429: the rate limit is reached", ClaudeRateLimitError, answered(429, "rate_limit_error")),
    row("500 and other errors of the API", ClaudeStatusError, answered(500, "api_error")),
    row("529: the API is overloaded", ClaudeOverloadedError, answered(529, "overloaded_error")),
    row("the connection is lost", ClaudeConnectionError, lambda stage: stage.requested(lost)),
    row("an answer is cut", ClaudeStreamError, lambda stage: stage.requested(cut)),
    row(
        "the work takes too long",
        WorkTimeoutError,
        lambda stage: stage.work(HangingClient(), timeout_s=0.01),
    ),
    row(
        "an answer cannot be used",
        UnusableAnswerError,
        lambda stage: stage.work(ScriptedClient(said("Fine!")), role=AgentRole.REVIEWER),
    ),
    row(
        "Claude declines",
        RefusalError,
        lambda stage: stage.work(ScriptedClient(reply(stop_reason="refusal"))),
    ),
    row(
        "the turns are used up",
        IterationLimitError,
        lambda stage: stage.work(
            ScriptedClient(calling(use("list_files"))), settings=AgentSettings(max_turns=1)
        ),
    ),
)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.happens) for row in ROWS])
async def test_an_error_of_the_catalogue_is_typed_and_says_who_can_mend_it_and_how(
    row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failure = await row.provoke(Stage(monkeypatch, tmp_path))

    assert (failure.code, failure.recovery) == (row.kind.code, row.recovery)
    assert failure.hint == row.hint != ""
    assert failure.recovery is not Recovery.NONE


def test_the_page_of_errors_shows_the_catalogue() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    shown = [line for line in lines if line.startswith("| ") and "Error`" in line]
    assert shown == [row.line for row in ROWS]


def test_a_failure_of_an_older_database_can_still_be_read() -> None:
    old = '{"code": "crash", "message": "it broke", "retryable": true}'
    assert Failure.model_validate_json(old) == Failure(code="crash", message="it broke")


def test_an_exception_that_nobody_foresaw_asks_for_a_new_agent() -> None:
    assert Failure.of(RuntimeError("boom")).recovery is Recovery.RESTART
