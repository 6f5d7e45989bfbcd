"""The transport to an agent in a process of its own.

The agent has its own interpreter, so it can crash, hang or be killed without harm to
this one. It is made there from a blueprint. Its requests to Claude come back here: the
process has neither key nor policies, and its environment none of our secrets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from mnemosyne_core.bridge._environment import child_environment, interpreter
from mnemosyne_core.bridge._remote import RemoteAgent
from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._source import AgentSource
from mnemosyne_core.bridge._transport import AgentGoneError
from mnemosyne_core.errors import BridgeSpawnError, UnreachableMakerError


def agent_program() -> tuple[str, ...]:
    """The program that an agent's process runs: this interpreter, with what it can import.

    Raises:
        FileNotFoundError: This process does not know its interpreter.
    """
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        "from mnemosyne_core.bridge._child import main; main()"
    )
    return interpreter(), "-X", "utf8", "-c", code


class SubprocessTransport:
    """The agent in another process: slower to reach, and safe from."""

    def __init__(
        self,
        source: AgentSource,
        *,
        program: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Reach agents made from the blueprint of `source`.

        Args:
            source: The agents, and who puts their requests to Claude.
            program: What the process runs; absent: this interpreter. It is given the numbers
                of three descriptors (to read, to write, and the leash) and the agent's path.
            environment: Variables; absent: ours without the secrets.
        """
        self._source = source
        self._program = program
        self._environment = environment
        self._agent: RemoteAgent | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is an agent that takes work."""
        return self._agent is not None and self._agent.is_up

    async def start(self, path: str, settings: BridgeSettings, on_beat: Callable[[], None]) -> None:
        """Start a process and make an agent in it.

        Raises:
            AgentProcessSpawnError: The process ended before the session was open.
            BridgeSpawnError: No process but this one can make the agent.
        """
        place, failpoints = self._source.place, self._source.failpoints
        try:
            blueprint = self._source.blueprint()
        except UnreachableMakerError as error:
            role = "unknown" if place is None else place.role
            raise BridgeSpawnError(
                role=role,
                missing=f"another process cannot make it with {error.maker}: {error.problem}",
                hint=f"{error.hint}, or use the transport 'task'",
                may_pass=False,
            ) from error
        process = None if failpoints is None else failpoints.process(path)
        if process is not None:
            # Before anything holds the time: it may take some.
            await process.starting()
        agent = RemoteAgent(
            blueprint.model_copy(update={"path": path}),
            settings=settings,
            client=None if place is None else place.client,
            on_beat=on_beat,
            failpoints=process,
        )
        environment = os.environ if self._environment is None else self._environment
        await agent.start(self._program or agent_program(), child_environment(environment))
        self._agent = agent

    async def execute(self, envelope: bytes) -> bytes:
        """Have the agent work in its process.

        Raises:
            AgentProcessGoneError: The process ended before it answered; says how.
            MessageTooLargeError: The work, or its result, is more than a message may be.
        """
        if self._agent is None:
            raise AgentGoneError("the agent is not running")
        return await self._agent.execute(envelope)

    async def stop(self, timeout_s: float) -> bool:
        """Ask the process to end, then make it."""
        agent, self._agent = self._agent, None
        return True if agent is None else await agent.stop(timeout_s)
