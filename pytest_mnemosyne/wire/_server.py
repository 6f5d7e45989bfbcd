"""The one HTTP server: loopback only, on a port of its own, in a thread of its own.

A test's event loop may stand still, run on virtual time, or not exist; so the server
has a thread with a plain event loop. It speaks HTTP through uvicorn's protocol class
and leaves uvicorn's `Server` out: that one polls ten times a second, takes 0.2 s to
stop, and logs through the loggers of whatever uvicorn the code under test runs.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.wire._handler import AnyAnswer, Handler, answered, headers_of, pieces_of
from pytest_mnemosyne.wire._http import ConnectionDropped, HttpRequest

if TYPE_CHECKING:
    from typing import Self

    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.server import ServerState

_HOST = "127.0.0.1"
_START_S = 10.0
_STOP_S = 5.0

# Says nothing to anybody: it stands outside the tree of loggers.
_SILENT = logging.Logger("pytest_mnemosyne.wire", level=logging.CRITICAL + 1)


class MissingServerError(UsageError):
    """The library that the server needs is not installed.

    Attributes:
        reason: What the import said.
    """

    code = "missing_server"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the server on loopback needs uvicorn ({reason}); "
            "pip install 'pytest-mnemosyne[scripted]'"
        )


class ServerStuckError(MnemosyneError):
    """The server did not start or stop in the time that it has for it.

    Attributes:
        doing: What it was about to do.
        within_s: How long was waited, in seconds.
    """

    code = "server_stuck"

    def __init__(self, *, doing: str, within_s: float) -> None:
        self.doing = doing
        self.within_s = within_s
        super().__init__(
            f"the server on loopback did not {doing} within {within_s:g} s; "
            "a handler that blocks its thread is the usual reason"
        )


class LoopbackServer:
    """Serves one handler on `http://127.0.0.1:<a free port>`; start it once, stop it once.

    Stopping breaks off the answers that are under way. `stop` without `start`, or a
    second time, does nothing.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        if self._thread is None:
            raise UsageError(
                "the server on loopback has no address before start() and after stop()"
            )
        return f"http://{_HOST}:{self._port}"

    def start(self) -> None:
        """Listen, and return when requests are answered.

        Raises:
            MissingServerError: uvicorn is not installed.
            ServerStuckError: It did not start in time.
        """
        if self._thread is not None:
            raise UsageError(f"the server on loopback is running already, at {self.url}")
        try:
            import uvicorn.protocols.http.h11_impl  # noqa: F401
        except ImportError as error:
            raise MissingServerError(reason=str(error)) from error
        # asyncio turns Nagle's delay off, 40 ms an answer, only where the protocol is named.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind((_HOST, 0))
        self._port = listener.getsockname()[1]
        self._ready.clear()
        self._thread = threading.Thread(
            target=self._run, args=(listener,), name=f"mnemosyne-loopback-{self._port}", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise ServerStuckError(doing="start", within_s=_START_S)
        if self._failure is not None:
            self._thread.join(_STOP_S)
            self._thread, failure = None, self._failure
            self._failure = None
            raise failure

    def stop(self) -> None:
        """Break off what is under way, close every socket, and end the thread.

        Raises:
            ServerStuckError: It did not stop in time; its thread is left behind.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(_STOP_S)
        if thread.is_alive():
            raise ServerStuckError(doing="stop", within_s=_STOP_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, listener: socket.socket) -> None:
        # Not whatever loop the policy of the moment makes: it may have a clock of its own.
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve(listener))
        except BaseException as error:  # noqa: BLE001 (the thread that started us raises it)
            self._failure = error
        finally:
            listener.close()
            self._ready.set()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        connections = _Connections(self._handler)
        server = await self._loop.create_server(connections.new_protocol, sock=listener)
        self._ready.set()
        await self._stopping.wait()
        server.close()
        await connections.close()


class _Connections:
    """The open connections of a server, and the protocol that each of them speaks."""

    def __init__(self, handler: Handler) -> None:
        from uvicorn.config import Config
        from uvicorn.server import ServerState

        self._handler = handler
        self._config = Config(
            _no_application,
            loop="none",
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
        )
        self._config.load()
        self._state: ServerState = ServerState()

    def new_protocol(self) -> asyncio.Protocol:
        """The protocol of a connection that is just being made."""
        from uvicorn.protocols.http.h11_impl import H11Protocol

        protocol = H11Protocol(self._config, self._state, {})
        # The application needs its connection: to break it is something that it may want.
        protocol.app = _Application(self._handler, protocol)
        protocol.logger = protocol.access_logger = _SILENT
        protocol.access_log = False
        return protocol

    async def close(self) -> None:
        """Break every connection and wait until what it carried has ended."""
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_S)


async def _no_application(scope: object, receive: object, send: object) -> None:
    """Stands where uvicorn's configuration wants an application; each connection has its own."""


class _Application:
    """The handler of one connection as an ASGI application."""

    def __init__(self, handler: Handler, protocol: H11Protocol) -> None:
        self._handler = handler
        self._protocol = protocol

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = await _request_of(scope, receive)
        if request is None:
            return
        try:
            await self._send(await answered(self._handler, request), send)
        except ConnectionDropped:
            self._protocol.transport.close()
            # uvicorn answers for an application that returns early, unless nobody is there.
            while (await receive())["type"] != "http.disconnect":
                continue

    async def _send(self, answer: AnyAnswer, send: Any) -> None:
        start = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers_of(answer)
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": start})
        async with aclosing(pieces_of(answer)) as pieces:
            async for piece in pieces:
                # Nothing goes on for a client that went away.
                if self._protocol.transport.is_closing():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _request_of(scope: Any, receive: Any) -> HttpRequest | None:
    """The request with its whole body; `None` where the client went away before its end."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return HttpRequest(
        method=scope["method"].upper(),
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
        body=bytes(body),
    )
