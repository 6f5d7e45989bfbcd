"""Faults in the shape of httpx2, which the SDK uses, and of httpx, its sibling.

What happens to a call is written once, as a generator of the steps to take: wait,
send, read. Two short loops perform the steps, one for synchronous clients and one for
asynchronous ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_mnemosyne.simulation.faults._answers import status_answer
from pytest_mnemosyne.simulation.faults._bending import StreamBender, bend_whole
from pytest_mnemosyne.simulation.faults._bodies import Bent, body_types
from pytest_mnemosyne.simulation.faults._failures import Failures
from pytest_mnemosyne.simulation.faults._patience import Wait, wait, wait_async
from pytest_mnemosyne.simulation.faults._provider import (
    ConnectTimeout,
    Late,
    SentTwice,
    Stage,
    Stall,
    Status,
)
from pytest_mnemosyne.simulation.faults._running import Meeting
from pytest_mnemosyne.wire import JsonObject

if TYPE_CHECKING:
    import httpx2

    Send = Callable[[httpx2.Request], httpx2.Response]
    SendAsync = Callable[[httpx2.Request], Awaitable[httpx2.Response]]

_WIRE_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""What describes the body as it was, before it was decoded and bent."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The request goes on to Claude; the answer is what the step gives."""


@dataclass(frozen=True, slots=True)
class Read:
    """An answer is read to its end; the step gives nothing."""

    answer: httpx2.Response


Way: TypeAlias = "Generator[Wait | Ask | Read, Any, httpx2.Response]"


class HttpxFaults:
    """Carries out what a plan says of a call, in the classes of one library."""

    def __init__(
        self, library: Any, *, reads_on: Callable[[httpx2.Response], bool] = lambda _: False
    ) -> None:
        """`library` is the module httpx2, or httpx.

        Args:
            library: Whose requests, answers and exceptions these are.
            reads_on: Whether an answer is read to its end although the client does not get
                all of it, because somebody keeps it.
        """
        self._lib = library
        self._reads_on = reads_on
        self._failures = Failures(library)
        self._bodies = body_types(library)

    def exchange(self, meeting: Meeting, asked: httpx2.Request, send: Send) -> httpx2.Response:
        """The answer that a synchronous client gets; the request's body has been read.

        Raises:
            Exception: The library's own, where the plan says so.
        """
        way, given = self._way(meeting, asked, self._bodies.bent), None
        while True:
            try:
                step = way.send(given)
            except StopIteration as end:
                answer: httpx2.Response = end.value
                return answer
            given = None
            match step:
                case Wait():
                    wait(step)
                case Ask():
                    given = send(asked)
                case Read(answer=answer):
                    answer.read()

    async def exchange_async(
        self, meeting: Meeting, asked: httpx2.Request, send: SendAsync
    ) -> httpx2.Response:
        """The same for an asynchronous client."""
        way, given = self._way(meeting, asked, self._bodies.async_bent), None
        while True:
            try:
                step = way.send(given)
            except StopIteration as end:
                answer: httpx2.Response = end.value
                return answer
            given = None
            match step:
                case Wait():
                    await wait_async(step)
                case Ask():
                    given = await send(asked)
                case Read(answer=answer):
                    await answer.aread()

    # --- what happens to a call ----------------------------------------------------------

    def _way(self, meeting: Meeting, asked: httpx2.Request, stream: Callable[[Bent], Any]) -> Way:
        late = meeting.at(Stage.ARRIVAL)
        if late is not None and isinstance(late.fault, Late) and late.strikes():
            yield self._failures.silence(asked, late.fault.drawn_s(meeting.draws))
        instead = meeting.at(Stage.CALL)
        if instead is not None and instead.strikes():
            match instead.fault:
                case SentTwice():
                    yield Read((yield Ask()))
                case Stall():
                    yield self._failures.silence(asked, math.inf)
                case ConnectTimeout():
                    yield self._failures.silence(asked, math.inf, connecting=True)
                case fault:
                    # No time at all, but a chance for other tasks, as with any real answer.
                    yield self._failures.silence(asked, 0)
                    if isinstance(fault, Status):
                        return self._refusal(fault, meeting)
                    raise self._failures.before_answer(fault)
        answer: httpx2.Response = yield Ask()
        if not any(meeting.at(stage) for stage in (Stage.MESSAGE, Stage.PACE, Stage.BODY)):
            return answer
        content = json_object(asked.content)
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            bent = Bent(
                asked=asked,
                answer=answer,
                bender=StreamBender(meeting, content),
                failures=self._failures,
                reads_on=self._reads_on(answer),
            )
            return self._remade(answer, stream(bent))
        yield Read(answer)
        came, promised = bend_whole(meeting, answer.content, content)
        if len(came) == promised:
            return self._remade(answer, self._lib.ByteStream(came), length=promised)
        error = self._failures.end_of_body(got=len(came), of=promised)
        return self._remade(answer, self._bodies.broken(came, error), length=promised)

    def _refusal(self, fault: Status, meeting: Meeting) -> httpx2.Response:
        made = status_answer(fault, call=meeting.call)
        answer: httpx2.Response = self._lib.Response(
            made.status, headers=list(made.headers), content=made.body
        )
        return answer

    def _remade(
        self, answer: httpx2.Response, body: object, *, length: int | None = None
    ) -> httpx2.Response:
        headers = [
            (name, value)
            for name, value in answer.headers.multi_items()
            if name.lower() not in _WIRE_HEADERS
        ]
        if length is not None:
            headers.append(("content-length", str(length)))
        made: httpx2.Response = self._lib.Response(
            answer.status_code, headers=headers, stream=body, extensions=answer.extensions
        )
        return made


def json_object(body: bytes) -> JsonObject:
    """The JSON object in a request's body; an empty one where there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
