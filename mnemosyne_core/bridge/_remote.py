"""One agent in a process of its own, from its start to its end.

What the agent sends is taken one message at a time, on the loop, as it comes in. What
does not end by itself is ended in bounded time. Work is ended by a message, or else with
its whole process, because nothing less ends it from here. The process is ended by a
message, or else by two signals, the second of which nobody can refuse.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from mnemosyne_core.bridge._desk import ClaudeDesk, Errand
from mnemosyne_core.bridge._ending import (
    AgentProcessGoneError,
    AgentProcessSpawnError,
    ProcessEnd,
)
from mnemosyne_core.bridge._holding import FIRM_S, Hold, Standstill, holding, take_hold
from mnemosyne_core.bridge._made import retell
from mnemosyne_core.bridge._messages import (
    Abandon,
    Ask,
    Beat,
    Cancel,
    Cancelled,
    Failed,
    Hello,
    Message,
    More,
    Ping,
    Ready,
    Result,
    Start,
    Stop,
    Stopped,
    Unable,
    Work,
    check_version,
    decode_from_agent,
    encode,
)
from mnemosyne_core.bridge._process import ChildProcess
from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.bridge._source import AgentBlueprint
from mnemosyne_core.bridge._transport import AgentGoneError
from mnemosyne_core.claude import ClaudeClient
from mnemosyne_core.errors import Abort, ProtocolError, ProtocolVersionError

if TYPE_CHECKING:
    from mnemosyne_core.failpoints import ProcessFailpoints


@dataclass(slots=True)
class _Piece:
    """A piece of work in the agent's hands."""

    answer: asyncio.Future[bytes]
    errand: Errand


class RemoteAgent:
    """An agent in another process; it lives once."""

    def __init__(
        self,
        blueprint: AgentBlueprint,
        *,
        settings: BridgeSettings,
        client: ClaudeClient | None,
        on_beat: Callable[[], None],
        failpoints: ProcessFailpoints | None = None,
    ) -> None:
        """An agent that has not been started.

        Args:
            blueprint: What it is made from.
            settings: The bridge's bounds.
            client: Who puts its requests to Claude; absent: one that is made for it.
            on_beat: Called at every sign of life.
            failpoints: Where a test lets something go wrong.
        """
        self._blueprint = blueprint
        self._path = blueprint.path
        self._settings = settings
        self._on_beat = on_beat
        self._process = ChildProcess(self._path, self._on_frame, failpoints=failpoints)
        self._desk = ClaudeDesk(self._path, client, send=self._send, on_abort=self._abort)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._errand: Errand | None = None
        """What it asks for when it is not for a piece of work."""
        self._is_up = False
        self._is_stopping = False
        self._sent = 0
        self._work: dict[int, _Piece] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._unheard: BaseException | None = None
        """What its session ended with, or the `Abort` that nobody has been told of."""
        self._heart: asyncio.TimerHandle | None = None
        self._ping: Hold | None = None

    @property
    def is_up(self) -> bool:
        """Whether it takes work."""
        return self._is_up

    # --- its start ---------------------------------------------------------------------

    async def start(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process, and wait until the agent's session is open.

        Raises:
            AgentProcessSpawnError: The process ended, or said what cannot be understood.
            Exception: What kept the agent from starting.
        """
        standstill = Standstill(f"the agent {self._path} to start", firm_s=FIRM_S)
        self._errand = Errand(seq=None, standstill=standstill)
        try:
            await self._launch(program, environment)
            signs: set[asyncio.Future[Any]] = {self._ready, self._process.over}
            await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
            self._check_started()
        except BaseException:
            await self._dispose()
            raise
        finally:
            standstill.end()
        self._is_up = True
        self._process.over.add_done_callback(self._ended)
        self._on_beat()
        self._set_heart()

    async def _launch(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        # In a task of its own: whoever is cancelled in the middle of a start leaves a
        # process behind that nobody knows of.
        starting = asyncio.create_task(self._process.start(program, environment))
        try:
            await asyncio.wait({starting})
        except asyncio.CancelledError:
            await asyncio.wait({starting})
            # The cancellation is what counts; the error need not be heard.
            starting.exception()
            raise
        starting.result()
        self._send(Hello(pid=0, python=sys.version.split()[0]))
        self._send(Start(blueprint=self._blueprint, cancel_s=self._settings.cancel_s))

    def _check_started(self) -> None:
        if self._ready.done():
            try:
                self._ready.result()
            except ProtocolError as error:
                end = ProcessEnd(pid=self._process.pid, returncode=None, problem=str(error))
                hint = error.hint
                raise AgentProcessSpawnError(
                    role=self._blueprint.role, end=end, hint=hint
                ) from error
            return
        end = self._process.over.result()
        raise AgentProcessSpawnError(role=self._blueprint.role, end=end)

    async def _dispose(self) -> None:
        """Leave nothing of an agent that did not start."""
        if self._process.pid and not self._process.over.done():
            self._process.kill()
            await self._process.ended(self._settings.cancel_s)
        await self._desk.close(self._settings.cancel_s)

    # --- its work ----------------------------------------------------------------------

    async def execute(self, envelope: bytes) -> bytes:
        """Put work to it, and wait for the answer."""
        if not self._is_up:
            raise self._gone()
        self._sent += 1
        seq = self._sent
        frame = encode(Work(seq=seq), envelope)
        piece = _Piece(
            answer=asyncio.get_running_loop().create_future(),
            errand=Errand(seq=seq, standstill=Standstill(f"work {seq} of {self._path}")),
        )
        self._work[seq] = piece
        try:
            self._process.write(frame)
            await asyncio.wait({piece.answer})
        except asyncio.CancelledError:
            ending = asyncio.create_task(self._cancel(seq, piece))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            # Cancelled again, we leave; the ending goes on.
            await asyncio.wait({ending})
            if piece.answer.done() and isinstance(found := piece.answer.exception(), Abort):
                raise found from None
            raise
        finally:
            if piece.answer.done():
                self._forget(seq)
        return piece.answer.result()

    async def _cancel(self, seq: int, piece: _Piece) -> None:
        """End the work, or the process with it."""
        bound_s = self._settings.cancel_s
        self._desk.abandon_work(seq)
        self._send(Cancel(seq=seq))
        try:
            label = f"work {seq} of {self._path} to be cancelled"
            with holding(label, firm_s=FIRM_S):
                await asyncio.wait({piece.answer}, timeout=bound_s)
            if not piece.answer.done():
                self._lose(f"its work did not end within {bound_s:g} s of its cancellation")
                await self._process.ended(bound_s)
            if piece.answer.done():
                piece.answer.exception()
        finally:
            self._forget(seq)

    def _forget(self, seq: int) -> None:
        piece = self._work.pop(seq, None)
        if piece is not None:
            piece.errand.standstill.end()

    def _settle(self, seq: int, answer: bytes | BaseException) -> None:
        piece = self._work.get(seq)
        if piece is None or piece.answer.done():
            return
        if isinstance(answer, bytes):
            piece.answer.set_result(answer)
        else:
            piece.answer.set_exception(answer)
        piece.errand.standstill.end()

    def _abort(self, seq: int | None, error: Abort) -> None:
        """What makes the run meaningless comes out here, whatever the process does."""
        piece = None if seq is None else self._work.get(seq)
        if seq is not None and piece is not None and not piece.answer.done():
            self._settle(seq, error)
            self._send(Cancel(seq=seq))
        elif not self._ready.done():
            self._ready.set_exception(error)
        else:
            self._unheard = error

    # --- its end -----------------------------------------------------------------------

    async def stop(self, timeout_s: float) -> bool:
        """End it in bounded time; whether all of it has ended."""
        self._is_up = False
        self._is_stopping = True
        self._still_heart()
        process, bound_s = self._process, self._settings.cancel_s
        try:
            if not process.over.done():
                self._send(Stop(session_s=timeout_s))
                if not await process.ended(bound_s + timeout_s):
                    process.terminate()
                    await process.ended(bound_s)
        finally:
            if not process.over.done():
                process.kill("it did not stop in time")
                await process.ended(bound_s)
            ended = await self._desk.close(bound_s)
        if self._endings:
            await asyncio.wait(tuple(self._endings), timeout=bound_s)
        error, self._unheard = self._unheard, None
        if error is not None:
            raise error
        return ended and process.over.done()

    def _lose(self, problem: str) -> None:
        """Give it up, because of what is wrong with it."""
        self._is_up = False
        self._process.kill(problem)

    def _ended(self, _over: asyncio.Future[ProcessEnd]) -> None:
        """The process is over; so is what it had in hand."""
        self._is_up = False
        self._still_heart()
        for seq in tuple(self._work):
            self._desk.abandon_work(seq)
            self._settle(seq, self._gone())

    def _gone(self) -> AgentGoneError:
        if self._is_stopping:
            return AgentGoneError("the agent's work was cancelled because the agent was stopped")
        if not self._process.over.done():
            return AgentGoneError("the agent is not running")
        return AgentProcessGoneError(end=self._process.over.result())

    # --- its heart ---------------------------------------------------------------------

    def _set_heart(self) -> None:
        loop = asyncio.get_running_loop()
        self._heart = loop.call_later(self._settings.heartbeat_s, self._beat)

    def _beat(self) -> None:
        """Ask whether its loop turns, unless the last question is still open."""
        if self._ping is None:
            label = f"a sign of life of {self._path}"
            self._ping = take_hold(label, firm_s=FIRM_S)
            self._send(Ping())
        self._set_heart()

    def _heard(self) -> None:
        ping, self._ping = self._ping, None
        if ping is not None:
            ping.release()
            self._on_beat()

    def _still_heart(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if self._ping is not None:
            self._ping.release()

    # --- what it says ------------------------------------------------------------------

    def _send(self, message: Message, body: bytes = b"") -> None:
        self._process.write(encode(message, body))

    def _on_frame(self, head: bytes, body: bytes) -> None:
        message = decode_from_agent(head)
        if isinstance(message, Ask | Failed | Result):
            retell(message.made, self._path)
        match message:
            case Result(seq=seq):
                self._settle(seq, body)
            case Ask():
                self._ask(message, body)
            case More(ask=ask, count=count):
                self._desk.make_room(ask, count)
            case Abandon(ask=ask):
                self._desk.abandon(ask)
            case Beat():
                self._heard()
            case Failed(seq=seq, error=error):
                self._settle(seq, error.to_exception())
            case Cancelled(seq=seq):
                how = "because the agent was stopped" if self._is_stopping else "from outside"
                self._settle(seq, AgentGoneError(f"the agent's work was cancelled {how}"))
            case Hello(version=version):
                try:
                    check_version(version)
                except ProtocolVersionError as error:
                    self._is_ready(error)
            case Ready():
                self._is_ready(None)
            case Unable(error=error):
                self._is_ready(error.to_exception())
            case Stopped(error=error):
                if error is not None:
                    self._unheard = self._unheard or error.to_exception()
            case _:
                assert_never(message)

    def _is_ready(self, error: BaseException | None) -> None:
        if self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _ask(self, ask: Ask, body: bytes) -> None:
        piece = self._work.get(ask.seq) if ask.seq is not None else None
        errand = self._errand if piece is None else piece.errand
        assert errand is not None, "an agent asks after it was started"
        self._desk.ask(ask, body, errand)
