"""A handler: what answers requests, whoever carries them.

The server on loopback and the transports inside the process carry the same handlers,
and what they have in common stands here, so that a client sees no difference.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from pytest_mnemosyne.wire._errors import error_answer
from pytest_mnemosyne.wire._http import (
    ConnectionDropped,
    Headers,
    HttpAnswer,
    HttpRequest,
    StreamedAnswer,
)

AnyAnswer: TypeAlias = HttpAnswer | StreamedAnswer
Handler: TypeAlias = Callable[[HttpRequest], AnyAnswer | Awaitable[AnyAnswer]]
"""Answers a request where its carrier runs; a plain function must not block there. It
waits with `pause`, which knows the carrier's clock."""


async def answered(handler: Handler, request: HttpRequest) -> AnyAnswer:
    """What a handler answers; one that raises is a 500, as with any server.

    Raises:
        ConnectionDropped: The handler wants no answer to be given.
    """
    try:
        answer = handler(request)
        return await answer if inspect.isawaitable(answer) else answer
    except ConnectionDropped:
        raise
    except Exception as error:  # noqa: BLE001 (the client is told, as by any server)
        return error_answer(
            500,
            request_id="req_handler_failed",
            message=f"the handler raised {type(error).__name__}: {error}",
            should_retry=False,
        )


def headers_of(answer: AnyAnswer) -> Headers:
    """An answer's headers; with its length, where it comes in one piece."""
    headers = answer.headers
    if not isinstance(answer, HttpAnswer) or len(answer.chunks) > 1:
        return headers
    if any(name in ("content-length", "transfer-encoding") for name, _ in headers):
        return headers
    return (*headers, ("content-length", str(len(answer.body))))


async def pieces_of(answer: AnyAnswer) -> AsyncGenerator[bytes]:
    """The pieces of an answer, as they come into being.

    Raises:
        ConnectionDropped: The connection is to break here: on purpose, or because whatever
            makes the pieces failed, which a client sees in no other way.
    """
    if isinstance(answer, HttpAnswer):
        for chunk in answer.chunks:
            yield chunk
        return
    chunks = aiter(answer.chunks)
    try:
        async for chunk in chunks:
            yield chunk
    except ConnectionDropped:
        raise
    except Exception as error:
        raise ConnectionDropped from error
    finally:
        # A client that has heard enough ends whatever still makes pieces for it.
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
