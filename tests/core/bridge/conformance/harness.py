"""A transport with an agent behind it, and words to put work to it."""

from __future__ import annotations

import itertools
import sys

from pydantic import JsonValue

from mnemosyne_core.agents import AgentMaker, AgentPlace, AgentSettings
from mnemosyne_core.bridge import (
    AgentSource,
    BridgeSettings,
    ResultEnvelope,
    SubprocessTransport,
    Transport,
    WorkEnvelope,
    transport_to,
)
from mnemosyne_core.claude import ClaudeClient
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.hooks import plugin_manager
from mnemosyne_core.ids import CountedIds
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult
from tests.core.bridge.conformance.agents import obedient

SETTINGS = BridgeSettings(cancel_s=2.0)
PATH = "executor/sub-1"


def source_of(maker: AgentMaker = obedient, client: ClaudeClient | None = None) -> AgentSource:
    place = AgentPlace(
        path=PATH,
        role=AgentRole.EXECUTOR,
        client=client,
        workspace=None,
        settings=AgentSettings(),
        ids=CountedIds(),
        clock=LoopClock(),
        plugins=plugin_manager(load_entry_points=False),
    )
    return AgentSource.of(maker, place)


class Line:
    """A transport under test."""

    def __init__(self, transport: Transport, settings: BridgeSettings = SETTINGS) -> None:
        self.transport = transport
        self.settings = settings
        self.beats = 0
        self._seqs = itertools.count(1)

    @classmethod
    def to(
        cls,
        kind: str,
        maker: AgentMaker = obedient,
        *,
        client: ClaudeClient | None = None,
        settings: BridgeSettings = SETTINGS,
    ) -> Line:
        settings = settings.model_copy(update={"transport": kind})
        plugins = plugin_manager(load_entry_points=False)
        source = source_of(maker, client)
        return cls(transport_to(source, settings=settings, plugins=plugins), settings)

    @classmethod
    def to_program(
        cls,
        code: str,
        *arguments: str,
        settings: BridgeSettings = SETTINGS,
    ) -> Line:
        """To a Python program that plays the agent's process."""
        program = (sys.executable, "-S", "-c", code, *arguments)
        return cls(SubprocessTransport(source_of(), program=program), settings)

    async def start(self) -> None:
        await self.transport.start(PATH, self.settings, self._beat)

    async def stop(self) -> bool:
        return await self.transport.stop(self.settings.shutdown_s)

    def envelope(self, do: str = "nothing", attempt: int = 1, /, **context: JsonValue) -> bytes:
        item = WorkItem(id="work-1", description="Do it.", context={"do": do, **context})
        work = WorkEnvelope(seq=next(self._seqs), agent=PATH, attempt=attempt, item=item)
        return work.to_bytes()

    async def work(
        self, do: str = "nothing", attempt: int = 1, /, **context: JsonValue
    ) -> WorkResult:
        envelope = self.envelope(do, attempt, **context)
        answer = ResultEnvelope.from_bytes(await self.transport.execute(envelope))
        answer.check_answers(WorkEnvelope.from_bytes(envelope))
        return answer.result

    async def data(self, do: str, /, **context: JsonValue) -> JsonValue:
        result = await self.work(do, 1, **context)
        assert result.success, result.error
        return result.data

    def _beat(self) -> None:
        self.beats += 1


async def seen_by(line: Line) -> list[str]:
    """What the agent has noted until now."""
    seen = await line.data("recall")
    assert isinstance(seen, list)
    return [str(each) for each in seen]
