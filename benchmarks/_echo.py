"""The far ends that `benchmarks/bridge.py` talks to: whatever arrives goes back."""

from __future__ import annotations

from multiprocessing.connection import Connection

from mnemosyne_core.agents import AgentPlace
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult


def echo(content: bytes) -> bytes:
    """For an executor."""
    return content


def echo_all(connection: Connection) -> None:
    """For a process at the end of a pipe, until the pipe is closed."""
    while True:
        try:
            connection.send_bytes(connection.recv_bytes())
        except EOFError:
            return


class EchoAgent:
    """Answers an item with its description, so that both directions carry as much."""

    role = AgentRole.EXECUTOR

    async def start_session(self) -> None:
        """Nothing is needed."""

    async def stop_session(self) -> None:
        """Nothing is held."""

    async def execute_work(
        self,
        item: WorkItem,
        *,
        attempt: int = 1,
        guidance: tuple[str, ...] = (),  # noqa: ARG002 - the protocol's signature
    ) -> WorkResult:
        """At once, without Claude."""
        return WorkResult(item_id=item.id, attempt=attempt, success=True, data=item.description)


def make_echo(_place: AgentPlace) -> EchoAgent:
    """The maker of such an agent; a function, since it has to be found from another process."""
    return EchoAgent()
