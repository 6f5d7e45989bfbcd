"""What a client gets when things break, in the exceptions of its own library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_mnemosyne.simulation.faults._fault import Fault
from pytest_mnemosyne.simulation.faults._patience import Wait
from pytest_mnemosyne.simulation.faults._provider import (
    ConnectRefused,
    Cut,
    Drop,
    ErrorEvent,
    NameFailure,
    Reset,
    Stall,
    TlsFailure,
)

if TYPE_CHECKING:
    import httpx2

_RESET = "[Errno 104] Connection reset by peer"
_INCOMPLETE = "peer closed connection without sending complete message body"


class Failures:
    """The failures of one library, each in the words in which a real one comes."""

    def __init__(self, library: Any) -> None:
        """`library` is the module httpx2, or httpx."""
        self._lib = library

    def before_answer(self, fault: Fault) -> Exception:
        """The exception in place of an answer."""
        match fault:
            case ConnectRefused():
                error = self._lib.ConnectError("[Errno 111] Connection refused")
            case TlsFailure():
                error = self._lib.ConnectError(
                    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
                    "unable to get local issuer certificate"
                )
            case NameFailure():
                error = self._lib.ConnectError("[Errno -2] Name or service not known")
            case Reset():
                error = self._lib.ReadError(_RESET)
            case Drop():
                error = self._lib.RemoteProtocolError(
                    "Server disconnected without sending a response."
                )
            case _:
                raise AssertionError(f"{fault} breaks no connection before an answer")
        assert isinstance(error, Exception)
        return error

    def end_of_stream(self, fault: Fault, asked: httpx2.Request) -> Wait | Exception | None:
        """How a stream ends: in silence, with an error, or cleanly."""
        match fault:
            case Cut() | ErrorEvent():
                return None
            case Stall():
                return self.silence(asked, math.inf)
            case Reset():
                error = self._lib.ReadError(_RESET)
            case Drop():
                error = self._lib.RemoteProtocolError(f"{_INCOMPLETE} (incomplete chunked read)")
            case _:
                raise AssertionError(f"{fault} ends no stream")
        assert isinstance(error, Exception)
        return error

    def end_of_body(self, *, got: int, of: int) -> Exception:
        """The exception after `got` bytes of a body of which `of` were promised."""
        error = self._lib.RemoteProtocolError(
            f"{_INCOMPLETE} (received {got} bytes, expected {of})"
        )
        assert isinstance(error, Exception)
        return error

    def silence(self, asked: httpx2.Request, for_s: float, *, connecting: bool = False) -> Wait:
        """Nothing comes for so many seconds, neither an answer nor, if so, a connection."""
        patience = asked.extensions.get("timeout", {})
        if connecting:
            return Wait(for_s, patience.get("connect"), self._lib.ConnectTimeout("timed out"))
        return Wait(for_s, patience.get("read"), self._lib.ReadTimeout("timed out"))
