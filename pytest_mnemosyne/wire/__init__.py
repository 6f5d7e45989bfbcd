"""What is true of the Messages API on the wire: hosts, events, shapes, errors, a server.

A name's module is imported when the name is first used: the plug-in needs only the
hosts, in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemosyne_core import _lazy

if TYPE_CHECKING:
    from pytest_mnemosyne.wire._errors import (
        ERROR_KINDS,
        ApiErrorKind,
        error_answer,
        error_body,
        error_kind,
        retry_headers,
    )
    from pytest_mnemosyne.wire._handler import AnyAnswer, Handler
    from pytest_mnemosyne.wire._hosts import (
        BASE_URL_VARIABLES,
        VERSION_HEADER,
        Address,
        ClaudeHosts,
        HostKind,
        host_kind,
        is_api_path,
        is_loopback,
    )
    from pytest_mnemosyne.wire._http import (
        ConnectionDropped,
        Headers,
        HttpAnswer,
        HttpRequest,
        StreamedAnswer,
        header,
    )
    from pytest_mnemosyne.wire._json import JsonObject, compact, mapping, objects
    from pytest_mnemosyne.wire._messages import (
        PING,
        Assembled,
        MessageShapeError,
        assemble,
        json_events,
        message_events,
        sse_of,
    )
    from pytest_mnemosyne.wire._pace import BlockingClock, NoLoopError, carrying_loop, now_s, pause
    from pytest_mnemosyne.wire._server import LoopbackServer, MissingServerError, ServerStuckError
    from pytest_mnemosyne.wire._sse import (
        Newline,
        SseDecoder,
        SseEvent,
        SseStream,
        decode,
        encode,
        looks_like_sse,
    )
    from pytest_mnemosyne.wire._transport import HandlerTransport, SyncHandlerTransport

__all__ = [
    "BASE_URL_VARIABLES",
    "ERROR_KINDS",
    "PING",
    "VERSION_HEADER",
    "Address",
    "AnyAnswer",
    "ApiErrorKind",
    "Assembled",
    "BlockingClock",
    "ClaudeHosts",
    "ConnectionDropped",
    "Handler",
    "HandlerTransport",
    "Headers",
    "HostKind",
    "HttpAnswer",
    "HttpRequest",
    "JsonObject",
    "LoopbackServer",
    "MessageShapeError",
    "MissingServerError",
    "Newline",
    "NoLoopError",
    "ServerStuckError",
    "SseDecoder",
    "SseEvent",
    "SseStream",
    "StreamedAnswer",
    "SyncHandlerTransport",
    "assemble",
    "carrying_loop",
    "compact",
    "decode",
    "encode",
    "error_answer",
    "error_body",
    "error_kind",
    "header",
    "host_kind",
    "is_api_path",
    "is_loopback",
    "json_events",
    "looks_like_sse",
    "mapping",
    "message_events",
    "now_s",
    "objects",
    "pause",
    "retry_headers",
    "sse_of",
]

_MODULES = {
    "BASE_URL_VARIABLES": "pytest_mnemosyne.wire._hosts",
    "VERSION_HEADER": "pytest_mnemosyne.wire._hosts",
    "ERROR_KINDS": "pytest_mnemosyne.wire._errors",
    "PING": "pytest_mnemosyne.wire._messages",
    "Address": "pytest_mnemosyne.wire._hosts",
    "AnyAnswer": "pytest_mnemosyne.wire._handler",
    "ApiErrorKind": "pytest_mnemosyne.wire._errors",
    "Assembled": "pytest_mnemosyne.wire._messages",
    "BlockingClock": "pytest_mnemosyne.wire._pace",
    "ClaudeHosts": "pytest_mnemosyne.wire._hosts",
    "ConnectionDropped": "pytest_mnemosyne.wire._http",
    "Handler": "pytest_mnemosyne.wire._handler",
    "HandlerTransport": "pytest_mnemosyne.wire._transport",
    "Headers": "pytest_mnemosyne.wire._http",
    "HostKind": "pytest_mnemosyne.wire._hosts",
    "HttpAnswer": "pytest_mnemosyne.wire._http",
    "HttpRequest": "pytest_mnemosyne.wire._http",
    "JsonObject": "pytest_mnemosyne.wire._json",
    "LoopbackServer": "pytest_mnemosyne.wire._server",
    "MessageShapeError": "pytest_mnemosyne.wire._messages",
    "MissingServerError": "pytest_mnemosyne.wire._server",
    "Newline": "pytest_mnemosyne.wire._sse",
    "NoLoopError": "pytest_mnemosyne.wire._pace",
    "ServerStuckError": "pytest_mnemosyne.wire._server",
    "SseDecoder": "pytest_mnemosyne.wire._sse",
    "SseEvent": "pytest_mnemosyne.wire._sse",
    "SseStream": "pytest_mnemosyne.wire._sse",
    "StreamedAnswer": "pytest_mnemosyne.wire._http",
    "SyncHandlerTransport": "pytest_mnemosyne.wire._transport",
    "assemble": "pytest_mnemosyne.wire._messages",
    "carrying_loop": "pytest_mnemosyne.wire._pace",
    "compact": "pytest_mnemosyne.wire._json",
    "decode": "pytest_mnemosyne.wire._sse",
    "encode": "pytest_mnemosyne.wire._sse",
    "error_answer": "pytest_mnemosyne.wire._errors",
    "error_body": "pytest_mnemosyne.wire._errors",
    "error_kind": "pytest_mnemosyne.wire._errors",
    "header": "pytest_mnemosyne.wire._http",
    "host_kind": "pytest_mnemosyne.wire._hosts",
    "is_api_path": "pytest_mnemosyne.wire._hosts",
    "is_loopback": "pytest_mnemosyne.wire._hosts",
    "json_events": "pytest_mnemosyne.wire._messages",
    "looks_like_sse": "pytest_mnemosyne.wire._sse",
    "mapping": "pytest_mnemosyne.wire._json",
    "message_events": "pytest_mnemosyne.wire._messages",
    "now_s": "pytest_mnemosyne.wire._pace",
    "objects": "pytest_mnemosyne.wire._json",
    "pause": "pytest_mnemosyne.wire._pace",
    "retry_headers": "pytest_mnemosyne.wire._errors",
    "sse_of": "pytest_mnemosyne.wire._messages",
}

# Hidden from type checkers: to them a front with `__getattr__` has every name.
if not TYPE_CHECKING:
    __getattr__ = _lazy.loader(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
