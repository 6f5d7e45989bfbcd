"""Recorded interactions, and cassettes that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import accumulate
from types import MappingProxyType

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    CassetteFile,
    Chunk,
    Headers,
    Interaction,
    Outcome,
    Recorded,
    Request,
    Response,
    stored_form,
)
from pytest_mnemosyne.strategies._answers import error_answers, messages_answers
from pytest_mnemosyne.strategies._requests import messages_requests
from pytest_mnemosyne.strategies._sse import sse_streams
from pytest_mnemosyne.strategies._texts import EPOCH, agent_paths, api_ids, durations_s, texts
from pytest_mnemosyne.wire import JsonObject, compact

_URL = "https://api.anthropic.com/v1/messages"
_VERSION = ("anthropic-version", "2026-10-21")
_JSON = ("content-type", "application/json")
_EVENTS = ("content-type", "text/event-stream; charset=utf-8")
_UNANSWERED = (Outcome.RESET, Outcome.TIMEOUT, Outcome.CANCELLED)
_BROKEN_OFF = (Outcome.DROPPED, Outcome.CUT, Outcome.TIMEOUT, Outcome.CANCELLED)


def interactions() -> SearchStrategy[Interaction]:
    """Exchanges with the Messages API, in the form in which a cassette gives them back.

    Requests for whole and for streamed messages, in and outside of a lane; answers that fit
    them, whole or in chunks with the times at which they arrived; errors; and every outcome:
    no answer at all where the connection broke or patience ended before it, a part of the body
    where it broke off. Never a header that is not stored, nor a secret. Shrinks to a short
    question with an empty message as its answer.
    """
    return _interactions(messages_requests())


@st.composite
def _interactions(draw: DrawFn, messages: SearchStrategy[JsonObject]) -> Interaction:
    body = draw(messages)
    ended = draw(st.sampled_from(("whole", "whole", "broken off", "error", "unanswered")))
    outcome = Outcome.COMPLETE
    answer: Response | None = None
    if ended == "unanswered":
        outcome = draw(st.sampled_from(_UNANSWERED))
    elif ended == "error":
        answer = draw(_errors())
    else:
        answer = draw(_answers_to(body))
    if ended == "broken off" and answer is not None:
        outcome = draw(st.sampled_from(_BROKEN_OFF))
        answer = draw(_beginnings(answer))
    arrived_s = answer.chunks[-1].at_s if answer is not None and answer.chunks else 0.0
    return stored_form(
        Interaction(
            request=Request(
                method="POST",
                url=_URL + draw(st.sampled_from(("", "?beta=true"))),
                headers=(_VERSION, _JSON),
                body=compact(body).encode(),
            ),
            response=answer,
            outcome=outcome,
            lane=draw(st.none() | lanes()),
            took_s=arrived_s + draw(durations_s()),
        )
    )


def lanes() -> SearchStrategy[Lane]:
    """Lanes of a tree's agents. Shrinks to the executor's first attempt."""
    return st.builds(Lane, agent_paths(), st.integers(1, 3))


def _answers_to(body: JsonObject) -> SearchStrategy[Response]:
    messages = messages_answers(for_request=body)
    if body.get("stream") is True:
        return messages.flatmap(_streams)
    return st.builds(_whole, messages, api_ids("req"))


@cache
def _errors() -> SearchStrategy[Response]:
    return error_answers().map(
        lambda answer: Response(status=answer.status, headers=answer.headers, body=answer.body)
    )


def _whole(message: JsonObject, request_id: str) -> Response:
    headers = (_JSON, ("request-id", request_id))
    return Response(status=200, headers=headers, body=compact(message).encode())


@st.composite
def _streams(draw: DrawFn, message: JsonObject) -> Response:
    """A streamed answer; the times of its chunks are not always known."""
    streamed = draw(sse_streams(message))
    headers: Headers = (_EVENTS, ("request-id", draw(api_ids("req"))))
    chunks: tuple[Chunk, ...] = ()
    if draw(st.booleans()):
        waits_s = draw(
            st.lists(
                durations_s(max_s=2.0),
                min_size=len(streamed.chunks),
                max_size=len(streamed.chunks),
            )
        )
        chunks = tuple(
            Chunk(data=data, at_s=at_s)
            for data, at_s in zip(streamed.chunks, accumulate(waits_s), strict=True)
        )
    return Response(status=200, headers=headers, body=streamed.body, chunks=chunks)


def _beginnings(answer: Response) -> SearchStrategy[Response]:
    """Answers that break off: after one of the chunks where they are known, else anywhere."""
    if answer.chunks:
        return st.integers(0, len(answer.chunks) - 1).map(
            lambda kept: _of_chunks(answer, answer.chunks[:kept])
        )
    return st.integers(0, len(answer.body) - 1).map(
        lambda kept: replace(answer, body=answer.body[:kept])
    )


def _of_chunks(answer: Response, chunks: tuple[Chunk, ...]) -> Response:
    return replace(answer, body=b"".join(chunk.data for chunk in chunks), chunks=chunks)


def cassettes(*, max_size: int = 3) -> SearchStrategy[CassetteFile]:
    """The contents of files of format 1; written and read again, they are the same.

    From the API, from a script or from another upstream, with and without a test's name, dates
    and versions; and those that do not say where they come from. Interactions are those of
    `interactions`, and some occur more than once, so that their order matters. Shrinks to an
    empty cassette that says nothing.

    Args:
        max_size: How many different interactions there are at most.
    """
    return st.builds(
        CassetteFile,
        interactions=st.lists(st.tuples(interactions(), st.booleans()), max_size=max_size).map(
            _some_twice
        ),
        recorded=st.none() | _recorded(),
        loosened=st.just(()) | st.just(("metadata",)),
    )


def _some_twice(drawn: Sequence[tuple[Interaction, bool]]) -> tuple[Interaction, ...]:
    again = (interaction for interaction, twice in drawn if twice)
    return (*(interaction for interaction, _ in drawn), *again)


def _recorded() -> SearchStrategy[Recorded]:
    sources = ("scripted", "api", "https://proxy.example.com")
    versions = st.dictionaries(
        st.sampled_from(("pytest-mnemosyne", "anthropic", "anthropic-version")),
        st.sampled_from(("0.1.0", "2.12.0", "2026-10-21")),
    )
    return st.builds(
        Recorded,
        source=st.sampled_from(sources),
        at=st.none() | st.integers(0, 10**6).map(lambda passed: EPOCH + timedelta(seconds=passed)),
        test=st.none() | texts().map(lambda name: f"tests/test_x.py::test_y[{name}]"),
        versions=versions.map(MappingProxyType),
    )
