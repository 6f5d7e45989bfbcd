"""The endpoints of the API: from a request over HTTP to an answer over HTTP.

It is a function from the one to the other; what carries the two (a server on loopback, a
transport inside the process) does not matter to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import RLock

from pytest_mnemosyne.simulation.scripted._answers import (
    Ids,
    failure_answer,
    json_answer,
    stream_of,
    whole,
)
from pytest_mnemosyne.simulation.scripted._batches import Batches, problem_of
from pytest_mnemosyne.simulation.scripted._checks import refusal
from pytest_mnemosyne.simulation.scripted._dates import Dates
from pytest_mnemosyne.simulation.scripted._errors import RequestRefusedError
from pytest_mnemosyne.simulation.scripted._latency import after, as_said
from pytest_mnemosyne.simulation.scripted._limits import RateLimiter
from pytest_mnemosyne.simulation.scripted._models import model_info, models_in
from pytest_mnemosyne.simulation.scripted._pages import page_of
from pytest_mnemosyne.simulation.scripted._player import Played, Player
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.simulation.scripted._script import Failure
from pytest_mnemosyne.simulation.scripted._usage import input_tokens
from pytest_mnemosyne.wire import (
    AnyAnswer,
    HttpAnswer,
    HttpRequest,
    JsonObject,
    compact,
    mapping,
    objects,
)

_HELD_BY_THREADS = ("system", "tools")
"""What a thread holds from its first request, so that no later one may say it again."""


@dataclass(frozen=True, slots=True)
class _Thread:
    """What the API holds of a conversation, up to one message of it."""

    messages: tuple[JsonObject, ...]
    held: JsonObject


class Endpoints:
    """Answers whatever is asked of the API."""

    def __init__(self, player: Player, dates: Dates, lock: RLock) -> None:
        self._player = player
        self._lock = lock
        self._threads: dict[str, _Thread] = {}
        self.batches = Batches(self._play_of_batch, dates, lock)
        self.limiter: RateLimiter | None = None

    async def answer(self, request: HttpRequest) -> AnyAnswer:
        """Answer one request; whatever is wrong with it is an answer too."""
        ids = _ids_of(request)
        try:
            answer = await self._route(request, ids)
        except RequestRefusedError as error:
            refused = Failure(
                status=error.status,
                message=error.problem,
                should_retry=False,
                details=error.details,
            )
            answer = failure_answer(refused, ids)
        if request.method == "HEAD" and isinstance(answer, HttpAnswer):
            return replace(answer, chunks=())
        return answer

    async def _route(self, request: HttpRequest, ids: Ids) -> AnyAnswer:
        _, root, rest = request.path.rpartition("/v1/")
        path = (root + rest.rstrip("/")).split("/")[1:]
        match (request.method, *path):
            case ("POST", "v1", "messages"):
                return await self._message(request)
            case ("POST", "v1", "messages", "count_tokens"):
                return self._count_tokens(request, ids)
            case (_, "v1", "messages", "batches", *which):
                return await self._batch(request, which, ids)
            case ("GET" | "HEAD", "v1", "models", *which):
                return self._models(request, which, ids)
            case _:
                raise _not_found(request)

    # --- messages ------------------------------------------------------------------------

    async def _message(self, request: HttpRequest) -> AnyAnswer:
        asked = self._asked(request)
        refused = self._player.take(asked)
        if refused is not None:
            return await _sent(refused, asked)
        if self.limiter is None:
            return await _sent(await self._played(asked), asked)
        answer = await _sent(await self._within(self.limiter, asked), asked)
        return replace(answer, headers=(*answer.headers, *self.limiter.headers()))

    async def _within(self, limiter: RateLimiter, asked: ClaudeRequest) -> Played:
        """The answer to a request that a limit may keep from the script."""
        tokens = input_tokens(asked)
        refused = limiter.admit(tokens)
        if refused is not None:
            return self._player.failed(asked, refused)
        played = await self._played(asked)
        if isinstance(played.outcome, dict):
            limiter.settle(tokens, played.outcome["usage"])
        return played

    async def _played(self, asked: ClaudeRequest) -> Played:
        played = await self._player.play(asked)
        if isinstance(played.outcome, dict) and asked.body.get("thread"):
            said = {"role": "assistant", "content": whole(played.outcome)["content"]}
            held = {n: asked.settings[n] for n in _HELD_BY_THREADS if n in asked.settings}
            with self._lock:
                self._threads[played.ids.message] = _Thread((*asked.messages, said), held)
        return played

    def _count_tokens(self, request: HttpRequest, ids: Ids) -> HttpAnswer:
        asked = self._asked(request)
        problem = refusal(asked.body, asked.messages, counting=True)
        if problem is not None:
            raise RequestRefusedError(400, problem)
        return json_answer({"input_tokens": input_tokens(asked)}, ids)

    def _asked(self, request: HttpRequest) -> ClaudeRequest:
        body = _json_of(request)
        thread = mapping(body.get("thread"))
        if thread.get("type") != "continue":
            return ClaudeRequest.of(request, body)
        previous = str(thread.get("previous_message_id"))
        with self._lock:
            known = self._threads.get(previous)
        if known is None:
            raise RequestRefusedError(
                404,
                f"No usable thread state was found for {previous!r}",
                details={"error_code": "thread_not_found"},
            )
        for name in _HELD_BY_THREADS:
            if name in body:
                raise RequestRefusedError(400, f"{name}: cannot be set where a thread is continued")
        return ClaudeRequest.of(request, body, earlier=known.messages, held=known.held)

    # --- models --------------------------------------------------------------------------

    def _models(self, request: HttpRequest, which: Sequence[str], ids: Ids) -> HttpAnswer:
        match which:
            case []:
                return json_answer(page_of(models_in(request.query), request.query), ids)
            case [str(name)] if (info := model_info(name)) is not None:
                return json_answer(info, ids)
            case [str(name)]:
                raise RequestRefusedError(404, f"model: {name}")
            case _:
                raise _not_found(request)

    # --- batches -------------------------------------------------------------------------

    async def _batch(self, request: HttpRequest, which: Sequence[str], ids: Ids) -> HttpAnswer:
        batches = self.batches
        match (request.method, *which):
            case ("POST",):
                return json_answer(batches.create(_items_of(request)), ids)
            case ("GET" | "HEAD",):
                return json_answer(page_of(await batches.all(), request.query), ids)
            case ("GET" | "HEAD", batch_id):
                return json_answer(await batches.retrieve(batch_id), ids)
            case ("DELETE", batch_id):
                return json_answer(await batches.delete(batch_id), ids)
            case ("POST", batch_id, "cancel"):
                return json_answer(await batches.cancel(batch_id), ids)
            case ("GET" | "HEAD", batch_id, "results"):
                return _lines(await batches.results(batch_id), ids)
            case _:
                raise _not_found(request)

    async def _play_of_batch(self, asked: ClaudeRequest) -> Played:
        return self._player.take(asked) or await self._player.play(asked)


async def _sent(played: Played, asked: ClaudeRequest) -> AnyAnswer:
    """What a request is answered with, over HTTP and in its time."""
    if isinstance(played.outcome, Failure):
        return await after(played.latency, failure_answer(played.outcome, played.ids))
    assert isinstance(played.outcome, dict), "only a request of a batch can expire"
    if asked.stream:
        stream = stream_of(played.outcome, played.ids)
        return await as_said(played.latency, stream.answer, stream.said)
    answer = json_answer(whole(played.outcome), played.ids)
    return await after(played.latency, answer, played.outcome["usage"]["output_tokens"])


def _json_of(request: HttpRequest) -> JsonObject:
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise RequestRefusedError(400, f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise RequestRefusedError(400, "The request body is not a JSON object")
    return body


def _items_of(request: HttpRequest) -> tuple[ClaudeRequest, ...]:
    """The requests of a batch."""
    body = _json_of(request)
    problem = problem_of(body)
    if problem is not None:
        raise RequestRefusedError(400, problem)
    return tuple(
        ClaudeRequest.of(request, item["params"], custom_id=item["custom_id"])
        for item in objects(body["requests"])
    )


def _lines(results: Sequence[JsonObject], ids: Ids) -> HttpAnswer:
    """Results as JSONL."""
    return HttpAnswer(
        status=200,
        headers=(("content-type", "application/x-jsonl"), ("request-id", ids.request)),
        chunks=("".join(f"{compact(result)}\n" for result in results).encode(),),
    )


def _ids_of(request: HttpRequest) -> Ids:
    """Ids for an answer that no step of the script gives."""
    about = f"{request.method} {request.path}?{request.query}\n".encode() + request.body
    return Ids(f"0_{blake2b(about, digest_size=4).hexdigest()}")


def _not_found(request: HttpRequest) -> RequestRefusedError:
    return RequestRefusedError(404, f"Not found: {request.method} {request.path}")
