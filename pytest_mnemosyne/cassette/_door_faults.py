"""Faults at the door: a plan stands in front of the cassette.

So an error that the plan gives consumes no recorded interaction and is never recorded,
and a stream that it breaks off is recorded, or was played, as a whole. The turn says
what was injected.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._exchange import Call
from pytest_mnemosyne.cassette._interaction import Interaction, Outcome, Response
from pytest_mnemosyne.simulation.faults import (
    ConnectRefused,
    ConnectTimeout,
    Fault,
    HttpxFaults,
    Meeting,
    NameFailure,
    RunningPlan,
    SentTwice,
    Stage,
    Stall,
    Status,
    TlsFailure,
    json_object,
    status_answer,
)

if TYPE_CHECKING:
    import httpx2

    Send = Callable[[Call], httpx2.Response]
    SendAsync = Callable[[Call], Awaitable[httpx2.Response]]


class _Passage:
    """One call on its way past the plan."""

    def __init__(self, running: RunningPlan, call: Call) -> None:
        self._injected: list[str] = []
        self._call = replace(call, injected=self._injected)
        self.has_gone_on = False
        """Whether the cassette was asked, which makes a turn of it."""

        self.meeting: Meeting = running.meet(
            lane=call.lane,
            streamed=json_object(call.request.body).get("stream") is True,
            on_strike=lambda strike: self._injected.append(str(strike.planned)),
        )

    def go_on(self) -> Call:
        """The call, for the cassette."""
        self.has_gone_on = True
        return self._call

    def end_here(self, response: Response | None, outcome: Outcome) -> Interaction:
        """Make a turn of what the plan alone has given."""
        interaction = Interaction(
            request=self._call.request, response=response, outcome=outcome, lane=self._call.lane
        )
        self._call.cassette.note_injected(
            interaction, injected=self._injected, tries=self._call.tries
        )
        return interaction


class HttpxPlan:
    """A plan in front of the cassettes, for clients of httpx2, or of httpx."""

    def __init__(self, library: Any, *, is_recorded: Callable[[object], bool]) -> None:
        """`library` is the module httpx2, or httpx.

        Args:
            library: Whose requests these are.
            is_recorded: Whether an answer's body is recorded as it passes.
        """
        self._lib = library
        self._faults = HttpxFaults(library, reads_on=lambda answer: is_recorded(answer.stream))

    def answer(
        self, running: RunningPlan, call: Call, asked: httpx2.Request, send: Send
    ) -> httpx2.Response:
        """What a synchronous client gets; `send` asks the cassette."""
        passage = _Passage(running, call)
        try:
            answer = self._faults.exchange(passage.meeting, asked, lambda _: send(passage.go_on()))
        except BaseException as error:
            self._note_error(passage, error)
            raise
        self._note_answer(passage, answer)
        return answer

    async def answer_async(
        self, running: RunningPlan, call: Call, asked: httpx2.Request, send: SendAsync
    ) -> httpx2.Response:
        """The same for an asynchronous client."""
        passage = _Passage(running, call)
        try:
            answer = await self._faults.exchange_async(
                passage.meeting, asked, lambda _: send(passage.go_on())
            )
        except BaseException as error:
            self._note_error(passage, error)
            raise
        self._note_answer(passage, answer)
        return answer

    def _note_answer(self, passage: _Passage, answer: httpx2.Response) -> None:
        if not passage.has_gone_on:
            response = Response(
                status=answer.status_code,
                headers=tuple(answer.headers.multi_items()),
                body=answer.content,
            )
            passage.end_here(response, Outcome.COMPLETE)

    def _note_error(self, passage: _Passage, error: BaseException) -> None:
        if passage.has_gone_on:
            return
        if isinstance(error, self._lib.TimeoutException):
            passage.end_here(None, Outcome.TIMEOUT)
        else:
            # What is no `Exception` is the client's own: it has stopped waiting.
            is_broken = isinstance(error, Exception)
            passage.end_here(None, Outcome.RESET if is_broken else Outcome.CANCELLED)


def instead(running: RunningPlan, call: Call) -> Interaction | None:
    """What a client of neither library gets in place of an answer; `None` where it asks.

    Raises:
        OSError: What the client's own connection would raise.
        UsageError: The plan has something for this call that only httpx2 and httpx can show.
    """
    passage = _Passage(running, call)
    for stage, armed in passage.meeting.armed.items():
        if stage is not Stage.CALL or isinstance(armed.fault, SentTwice):
            raise UsageError(
                f"{call.request.method} {call.request.url} is sent by a client other than httpx2 "
                f"and httpx, to which {armed.planned} cannot happen; plan a status or a broken "
                "connection, or address another call"
            )
    ready = passage.meeting.at(Stage.CALL)
    if ready is None or not ready.strikes():
        return None
    if isinstance(ready.fault, Status):
        made = status_answer(ready.fault, call=passage.meeting.call)
        response = Response(status=made.status, headers=made.headers, body=made.body)
        return passage.end_here(response, Outcome.COMPLETE)
    error = _os_error(ready.fault)
    passage.end_here(None, Outcome.TIMEOUT if isinstance(error, TimeoutError) else Outcome.RESET)
    raise error


def _os_error(fault: Fault) -> OSError:
    match fault:
        case ConnectRefused():
            return ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        case ConnectTimeout() | Stall():
            return TimeoutError("timed out")
        case NameFailure():
            return socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        case TlsFailure():
            return ssl.SSLCertVerificationError(1, "certificate verify failed")
        case _:
            return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
