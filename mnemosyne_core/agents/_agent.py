"""The agent: a session with Claude that does work items in a workspace."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pluggy import PluginManager

from mnemosyne_core.agents._behaviour import behaviour_of
from mnemosyne_core.agents._command import RUN_COMMAND
from mnemosyne_core.agents._failures import failure_of
from mnemosyne_core.agents._loop import Tally, converse
from mnemosyne_core.agents._prompts import system_prompt, work_prompt
from mnemosyne_core.agents._settings import AgentSettings
from mnemosyne_core.agents._tool import AnyTool, ToolContext
from mnemosyne_core.agents._toolset import tools_for, unambiguous
from mnemosyne_core.agents._workspace import Workspace
from mnemosyne_core.claude import AnthropicClient, ClaudeClient, Prompt
from mnemosyne_core.clock import Clock, LoopClock
from mnemosyne_core.errors import AgentError, ClaudeError, SessionNotStartedError
from mnemosyne_core.ids import IdSource, RandomIds
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult


class Agent(Protocol):
    """Whoever does work items; what runs behind a bridge."""

    @property
    def role(self) -> AgentRole:
        """Whose work it does."""
        ...

    async def start_session(self) -> None:
        """Get ready for work; harmless when repeated."""
        ...

    async def stop_session(self) -> None:
        """Give back what the session holds; harmless when repeated."""
        ...

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        """What one attempt at `item` came to; several may run at once.

        A failure of the work is a result, not an exception. Cancelling the call
        ends the attempt, its tools and what they started.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    client: ClaudeClient
    owns_client: bool
    workspace: Workspace
    temporary: tempfile.TemporaryDirectory[str] | None


class ClaudeAgent:
    """An `Agent` that puts its work to Claude and does what Claude asks of its tools."""

    def __init__(
        self,
        role: AgentRole,
        *,
        client: ClaudeClient | None,
        workspace: Path | None,
        settings: AgentSettings,
        tools: Sequence[AnyTool],
        ids: IdSource,
        clock: Clock,
        environment: Mapping[str, str],
    ) -> None:
        """Prepared by `create_agent`, which has the defaults."""
        self._role = role
        self._client = client
        self._workspace = workspace
        self._settings = settings
        can_run = bool(settings.allowed_commands)
        self._tools = tuple(tool for tool in tools if can_run or tool is not RUN_COMMAND)
        self._ids = ids
        self._clock = clock
        self._environment = environment
        self._behaviour = behaviour_of(role)
        self._session: _Session | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._role}, {'in' if self._session else 'no'} session>"

    @property
    def role(self) -> AgentRole:
        """Whose work it does."""
        return self._role

    async def start_session(self) -> None:
        """Find Claude and the workspace; a session that is open stays as it is.

        Raises:
            MissingSdkError: The client needs `anthropic`, which cannot be imported.
            MissingKeyError: The client needs an API key, and there is none.
            OSError: The workspace folder cannot be used.
        """
        if self._session is not None:
            return
        temporary = None
        folder = self._workspace
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="mnemosyne-", ignore_cleanup_errors=True)
            folder = Path(temporary.name)
        try:
            workspace = Workspace(folder, max_file_bytes=self._settings.max_file_bytes)
            # The client comes last: it is the one that would have to be closed again.
            client = AnthropicClient() if self._client is None else self._client
            await client.open()
            self._session = _Session(
                workspace=workspace,
                temporary=temporary,
                client=client,
                owns_client=self._client is None,
            )
        except BaseException:
            if temporary is not None:
                temporary.cleanup()
            raise

    async def stop_session(self) -> None:
        """Close what the session opened: a client and a workspace of its own."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            if session.owns_client:
                await session.client.aclose()
        finally:
            if session.temporary is not None:
                session.temporary.cleanup()

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        """What one attempt at `item` came to.

        Raises:
            SessionNotStartedError: There is no session.
            InvalidWorkItemError: `item` is none.
        """
        if self._session is None:
            raise SessionNotStartedError(role=self._role)
        item = WorkItem.parse(item)
        context = ToolContext(
            workspace=self._session.workspace,
            settings=self._settings,
            ids=self._ids,
            environment=self._environment,
        )
        tally = Tally()
        started_s = self._clock.monotonic()
        data, failure = None, None
        try:
            reply = await converse(
                self._session.client,
                self._prompt(item, attempt, guidance),
                tools=self._tools,
                context=context,
                tally=tally,
                max_turns=self._settings.max_turns,
                stream=self._settings.stream,
            )
            data = self._behaviour.outcome(reply, context, tally)
        except (AgentError, ClaudeError) as error:
            failure = failure_of(error)
        return WorkResult(
            item_id=item.id,
            attempt=attempt,
            success=failure is None,
            data=data,
            error=failure,
            duration_s=self._clock.monotonic() - started_s,
            memory_ids=tuple(context.memories),
            usage=tally.usage,
            metrics=tally.metrics,
        )

    def _prompt(self, item: WorkItem, attempt: int, guidance: tuple[str, ...]) -> Prompt:
        commands = self._settings.allowed_commands if RUN_COMMAND in self._tools else ()
        asked = work_prompt(item, attempt=attempt, guidance=guidance, commands=commands)
        return Prompt(
            model=self._settings.model,
            max_tokens=self._settings.max_tokens,
            system=system_prompt(self._role),
            tools=tuple(tool.definition() for tool in self._tools),
            messages=({"role": "user", "content": asked},),
            output_schema=self._behaviour.output_schema,
        )

    async def __aenter__(self) -> Self:
        await self.start_session()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop_session()


def create_agent(
    role: AgentRole | str,
    *,
    client: ClaudeClient | None = None,
    workspace: Path | str | None = None,
    settings: AgentSettings | None = None,
    tools: Sequence[AnyTool] | None = None,
    ids: IdSource | None = None,
    clock: Clock | None = None,
    environment: Mapping[str, str] | None = None,
    plugins: PluginManager | None = None,
) -> ClaudeAgent:
    """An agent of `role`, ready for `start_session`.

    Args:
        role: A role or its name.
        client: Claude; absent: the SDK with the key of the environment, opened and
            closed with the session. One that is given stays the caller's to close.
        workspace: An existing folder; absent: a temporary one that ends with the session.
        settings: Model and bounds.
        tools: In place of the role's own and those of plug-ins.
        ids: Where the ids of memories come from.
        clock: What measures the attempts.
        environment: What commands get their few variables from; absent: the process's own.
        plugins: Where tools come from; absent: the installed plug-ins.

    Raises:
        UnknownRoleError: There is no such role.
        PluginError: Two tools have the same name, or a plug-in is unusable.
    """
    role = AgentRole.parse(role)
    return ClaudeAgent(
        role,
        client=client,
        workspace=None if workspace is None else Path(workspace),
        settings=settings or AgentSettings(),
        tools=tools_for(role, plugins) if tools is None else unambiguous(tools),
        ids=ids or RandomIds(),
        clock=clock or LoopClock(),
        environment=os.environ if environment is None else environment,
    )
