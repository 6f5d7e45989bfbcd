"""Measures one thing of one recorder: `python measuring.py MODULE PROGRAM [JSON ARGUMENT]...`.

Prints the numbers as JSON. A recorder is a module with `keep`, `matcher`, `playing` and
`recording`, as far as it has them; every program drives all of them alike.
"""

from __future__ import annotations

import asyncio
import difflib
import gc
import importlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
from conversations import Exchange, conversations, talk, unique_bytes, wire
from upstream import serving

_KEY = "benchmark"


@contextmanager
def _quiet() -> Iterator[None]:
    """No collection in between."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _made(peer: Any, folder: str, count: int, turns: int) -> tuple[Path, list[Exchange]]:
    exchanges = list(conversations(count, turns))
    path = Path(folder) / f"{peer.__name__}-{count}-{turns}{peer.SUFFIX}"
    if not path.exists():
        peer.keep(path, exchanges)
    return path, exchanges


def prepare(peer: Any, folder: str, count: int, turns: int) -> list[float]:
    """Write a cassette, and open it once."""
    path, _ = _made(peer, folder, count, turns)
    peer.matcher(path)
    return []


def match(peer: Any, folder: str, count: int, turns: int, asked: int) -> list[float]:
    """The seconds that finding one answer takes, of the last ones in a cassette of `count`.

    At least `asked` times; a cassette that has fewer is opened anew, which does not count.
    """
    path, exchanges = _made(peer, folder, count, turns)
    bodies = [each.body for each in exchanges[-asked:]]
    taken_s, found = 0.0, 0
    while found < asked:
        find = peer.matcher(path)
        with _quiet():
            began_s = time.process_time()
            for body in bodies:
                find(body)
            taken_s += time.process_time() - began_s
        found += len(bodies)
    return [taken_s / found]


def opening(peer: Any, folder: str, count: int, turns: int, cold: bool) -> list[float]:
    """The seconds until a cassette is open."""
    path, _ = _made(peer, folder, count, turns)
    if cold:
        for kept in (path.parent / "parsed").glob("*"):
            kept.unlink()
    # What is imported once does not count.
    small, _ = _made(peer, folder, 1, 1)
    peer.matcher(small)
    with _quiet():
        began_s = time.perf_counter()
        peer.matcher(path)
        return [time.perf_counter() - began_s]


def miss(peer: Any, folder: str, count: int, turns: int) -> list[float]:
    """The seconds until the code under test hears that there is no answer, twice."""
    path, exchanges = _made(peer, folder, count, turns)
    asked = dict(exchanges[-1].asked)
    asked["messages"] = [*asked["messages"][:-1], {"role": "user", "content": "Something else."}]

    async def ask() -> list[float]:
        seconds = []
        with peer.playing(path):
            client = anthropic.AsyncAnthropic(api_key=_KEY)
            for _ in range(2):
                began_s = time.perf_counter()
                try:
                    await client.messages.create(**asked)
                except peer.MISS:
                    seconds.append(time.perf_counter() - began_s)
        return seconds

    return asyncio.run(ask())


def retries(peer: Any, folder: str) -> list[float]:
    """The seconds that a recorded 529, 529, 200 takes, the client and its first call apart."""
    path = Path(folder) / f"{peer.__name__}-retries{peer.SUFFIX}"
    question = conversation_question()

    async def ask(url: str, calls: int) -> list[float]:
        client = anthropic.AsyncAnthropic(api_key=_KEY, base_url=f"{url}/overloaded")
        seconds = []
        for _ in range(calls):
            began_s = time.perf_counter()
            await client.messages.create(**question)
            seconds.append(time.perf_counter() - began_s)
        return seconds

    with serving() as url:
        with peer.recording(path):
            asyncio.run(ask(url, 2))
        with peer.playing(path):
            return asyncio.run(ask(url, 2))[1:]


def first_event(peer: Any, folder: str, pace: str) -> list[float]:
    """The seconds until the first event of a stream while it is recorded."""
    path = Path(folder) / f"{peer.__name__}-stream-{time.time_ns()}{peer.SUFFIX}"
    question = conversation_question()

    async def ask(url: str) -> float:
        client = anthropic.AsyncAnthropic(api_key=_KEY, base_url=f"{url}/plain")
        # The first call of a process looks up the platform, and connects.
        await client.messages.create(**question)
        client = client.copy(base_url=f"{url}/{pace}", http_client=client._client)
        began_s = time.perf_counter()
        async with await client.messages.create(**question, stream=True) as stream:
            await anext(aiter(stream))
            seconds = time.perf_counter() - began_s
            async for _ in stream:
                pass
        return seconds

    with serving() as url, peer.recording(path):
        return [asyncio.run(ask(url))]


def conversation_question() -> dict[str, Any]:
    """A request of one turn."""
    return next(conversations(1, 1)).asked


def size(peer: Any, folder: str, turns: int, kind: str) -> list[float]:
    """The bytes of a file of one conversation, for each byte that is unique in it."""
    path = Path(folder) / f"{peer.__name__}-{kind}-{turns}{peer.SUFFIX}"
    exchanges = talk(kind, turns)
    peer.keep(path, exchanges)
    return [path.stat().st_size / unique_bytes(exchanges)]


def rerecord(peer: Any, folder: str, turns: int) -> list[float]:
    """How many lines an idle re-record changes, and how many there are."""
    path = Path(folder) / f"{peer.__name__}-rerecord{peer.SUFFIX}"

    async def ask(url: str) -> None:
        client = anthropic.AsyncAnthropic(api_key=_KEY, base_url=f"{url}/plain")
        messages: list[Any] = [{"role": "user", "content": "Look into a.py."}]
        asked = conversation_question()
        for _ in range(turns):
            answer = await client.messages.create(**(asked | {"messages": messages}))
            called = next(each for each in answer.content if each.type == "tool_use")
            result = {"type": "tool_result", "tool_use_id": called.id, "content": "x = 1"}
            content = [each.model_dump(exclude_none=True) for each in answer.content]
            messages += [
                {"role": "assistant", "content": content},
                {"role": "user", "content": [result]},
            ]

    def recorded() -> list[str]:
        with serving() as url, peer.recording(path):
            asyncio.run(ask(url))
        # The port is the upstream's, and every recorder but ours keeps it.
        return path.read_text(encoding="utf-8").replace(url, "http://upstream").splitlines()

    before, after = recorded(), recorded()
    same = sum(
        each.size for each in difflib.SequenceMatcher(None, before, after).get_matching_blocks()
    )
    return [float(max(len(before), len(after)) - same), float(len(before))]


def answering(peer: Any, folder: str, count: int, turns: int) -> list[float]:
    """The seconds of a conversation's last request, spelled as recorded and otherwise.

    The last number is the SDK's own part of the call.
    """
    path, exchanges = _made(peer, folder, count, turns)
    last = exchanges[-turns:]

    def seconds(spell: Callable[[Exchange], bytes]) -> float:
        find = peer.matcher(path)
        with _quiet():
            for each in last:
                body = spell(each)
                began_s = time.process_time()
                find(body)
                took_s = time.process_time() - began_s
        return took_s

    as_recorded = seconds(lambda each: each.body)
    otherwise = seconds(lambda each: wire(dict(reversed(each.asked.items()))))
    return [as_recorded, otherwise, _sdk_call(last)]


def _sdk_call(exchanges: list[Exchange]) -> float:
    """The seconds of the last call where nothing is sent."""
    answers = itertools.cycle(wire(each.answer) for each in exchanges)

    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "application/json"}
        return httpx2.Response(200, headers=headers, content=next(answers))

    async def ask() -> float:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        client = anthropic.AsyncAnthropic(api_key=_KEY, http_client=http)
        with _quiet():
            for each in exchanges:
                began_s = time.process_time()
                await client.messages.create(**each.asked)
                took_s = time.process_time() - began_s
        return took_s

    return asyncio.run(ask())


def main() -> None:
    module, program, *given = sys.argv[1:]
    peer = importlib.import_module(module)
    print(json.dumps(globals()[program](peer, *map(json.loads, given))))


main()
