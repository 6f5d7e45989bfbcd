"""Agents in processes that ask Claude, and write down what they do where it outlives them."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from enum import StrEnum, auto
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from mnemosyne_core.agents import AgentPlace
from mnemosyne_core.claude import DEFAULT_MODEL, ClaudeClient, Prompt, Reply, collect
from mnemosyne_core.work import AgentRole, WorkItem, WorkResult

LEDGER = "ledger"


class Errand(StrEnum):
    """What an agent asks Claude for."""

    SEND = auto()
    STREAM = auto()
    BOTH = auto()
    """Both at the same time."""


class Entry(NamedTuple):
    """One line of the ledger: an attempt has begun, or is done."""

    what: str
    item: str
    attempt: int


def entries_of(workspace: Path) -> list[Entry]:
    """All that agents have written down, in order."""
    ledger = workspace / LEDGER
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    fields = [line.split() for line in lines]
    return [Entry(what, item, int(attempt)) for what, item, attempt in fields]


def agent_with_errands(place: AgentPlace) -> AgentWithErrands:
    """An agent for a place in a tree."""
    assert place.workspace is not None, "a tree has one"
    assert place.client is not None, "the tree is given one"
    return AgentWithErrands(place.role, place.client, place.workspace)


class AgentWithErrands:
    """Does the errands in an item's context, one after the other."""

    def __init__(self, role: AgentRole, claude: ClaudeClient, workspace: Path) -> None:
        self.role = role
        self._claude = claude
        self._ledger = workspace / LEDGER

    async def start_session(self) -> None:
        await self._claude.open()

    async def stop_session(self) -> None:
        pass

    async def execute_work(
        self, item: WorkItem, *, attempt: int = 1, guidance: tuple[str, ...] = ()
    ) -> WorkResult:
        self._write(Entry("begun", item.id, attempt))
        prompt = Prompt(
            model=DEFAULT_MODEL,
            max_tokens=100,
            messages=({"role": "user", "content": item.description},),
        )
        answers: list[JsonValue] = [await self._run(errand, prompt) for errand in _errands(item)]
        self._write(Entry("done", item.id, attempt))
        return WorkResult(item_id=item.id, attempt=attempt, success=True, data=answers)

    async def _run(self, errand: Errand, prompt: Prompt) -> str:
        match errand:
            case Errand.SEND:
                return (await self._claude.send(prompt)).text
            case Errand.STREAM:
                return (await self._streamed(prompt)).text
            case Errand.BOTH:
                replies = await asyncio.gather(self._claude.send(prompt), self._streamed(prompt))
                return "".join(reply.text for reply in replies)

    async def _streamed(self, prompt: Prompt) -> Reply:
        async with aclosing(self._claude.stream(prompt)) as events:
            return await collect(events)

    def _write(self, entry: Entry) -> None:
        # One write at the end of the file: of a process that is killed it is there or not.
        content = f"{entry.what} {entry.item} {entry.attempt}\n".encode()
        descriptor = os.open(self._ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)


def _errands(item: WorkItem) -> list[Errand]:
    errands = item.context["errands"]
    assert isinstance(errands, list), "the test says which"
    return [Errand(str(errand)) for errand in errands]
