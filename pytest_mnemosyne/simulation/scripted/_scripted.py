"""A stand-in for the Messages API that plays a script.

It is a function from a request to an answer; what carries the two (a server on
loopback, a transport inside the process) does not matter to it.

Ids tell the place in the script, so they are the same in every run and whatever the
order in which concurrent requests arrive: `msg_scripted_3` is the answer of step 3,
`toolu_scripted_3_1` its first tool call. A step that may be played more than once has
no such order to lean on; there the ids also carry a digest of the request
(`msg_scripted_3_9f86d081`), and a number where the same request comes again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_mnemosyne.simulation.scripted._answers import (
    Ids,
    input_tokens,
    json_answer,
    message_of,
    stream_answer,
)
from pytest_mnemosyne.simulation.scripted._blocks import Block, Content, block_of
from pytest_mnemosyne.simulation.scripted._checks import refusal
from pytest_mnemosyne.simulation.scripted._conditions import Condition
from pytest_mnemosyne.simulation.scripted._errors import ScriptError, ScriptNotPlayedError
from pytest_mnemosyne.simulation.scripted._models import model_info, models_page
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.simulation.scripted._script import (
    Answer,
    AnswerFunction,
    Failure,
    Reply,
    Script,
    Step,
)
from pytest_mnemosyne.wire import (
    HttpAnswer,
    HttpRequest,
    JsonObject,
    compact,
    error_answer,
    error_kind,
    mapping,
    retry_headers,
)

if TYPE_CHECKING:
    from typing import Self

    from pytest_mnemosyne.wire import LoopbackServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscripted:
    """A request that the script has no usable answer for."""

    request: ClaudeRequest
    reason: str
    pending: tuple[str, ...]
    """What the script still held."""

    def __str__(self) -> str:
        held = "; ".join(self.pending) or "nothing"
        return f"{self.request.summary()}: {self.reason}; the script still held {held}"


class Scripting:
    """The words in which a script is written."""

    def __init__(self, script: Script, lock: RLock, conditions: tuple[Condition, ...]) -> None:
        self._script = script
        self._lock = lock
        self._conditions = conditions

    def reply(
        self,
        *content: Content,
        json: JsonObject | list[object] | None = None,
        stop_reason: str | None = None,
        usage: Mapping[str, object] | None = None,
        times: int | None = 1,
    ) -> Self:
        """Answer with a message.

        Args:
            *content: Its blocks: texts, `tool_use(...)` and its like, the API's own JSON.
            json: Structured output, as a last text block. Where the request names a
                schema, the value has to follow it.
            stop_reason: `tool_use` where a tool is called, else `end_turn`.
            usage: Counts in place of the estimated ones.
            times: How often; `None` is any number, also none at all.
        """
        reply = _reply(content, json)
        made = Reply(
            blocks=reply.blocks,
            checked=reply.checked,
            stop_reason=stop_reason,
            usage=dict(usage or {}),
        )
        return self._add(made, times)

    def fail(
        self,
        status: int,
        *,
        error_type: str | None = None,
        message: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        details: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
        times: int | None = 1,
    ) -> Self:
        """Answer with an error; what is left out is what the API says with this status.

        Args:
            status: 400 to 599.
            error_type: Such as `overloaded_error`.
            message: For people.
            retry_after: Seconds that the client is asked to wait.
            should_retry: Whether the client is asked to try again.
            details: Such as `{"error_code": "thread_not_found"}`.
            headers: Further ones.
            times: How often; `None` is any number, also none at all.
        """
        error_kind(status)
        if retry_after is not None:
            retry_headers(retry_after)
        failure = Failure(
            status=status,
            error_type=error_type,
            message=message,
            retry_after_s=retry_after,
            should_retry=should_retry,
            details=details,
            headers=dict(headers or {}),
        )
        return self._add(failure, times)

    def answer(self, function: AnswerFunction, *, times: int | None = None) -> Self:
        """Let a function of the request make the answer.

        It returns what `reply` takes (a text, a block, a list of them), a finished
        `Reply` or `Failure`, or `None` to leave the request to the next step. It runs
        under the script's lock, one request at a time.
        """
        return self._add(function, times)

    def _add(self, outcome: Answer | AnswerFunction, times: int | None) -> Self:
        with self._lock:
            self._script.add(outcome, self._conditions, times)
        return self


class When(Scripting):
    """The part of a script that answers requests under conditions."""

    def when(self, *conditions: Condition) -> When:
        """Narrow the conditions down."""
        return When(self._script, self._lock, (*self._conditions, *conditions))


class ScriptedClaude(Scripting):
    """A Claude that says what a script tells it to.

    Write the script first, then point a client at `url`, or hand requests to `handle`.
    Safe to use from several threads.
    """

    def __init__(self) -> None:
        super().__init__(Script(), RLock(), ())
        self._requests: list[ClaudeRequest] = []
        self._unscripted: list[Unscripted] = []
        self._threads: dict[str, tuple[JsonObject, ...]] = {}
        self._suffixes: dict[str, int] = {}
        self._server: LoopbackServer | None = None

    # --- writing -------------------------------------------------------------------------

    def when(self, *conditions: Condition) -> When:
        """Answer only requests for which all conditions hold, before anything unconditional."""
        return When(self._script, self._lock, conditions)

    # --- what happened -------------------------------------------------------------------

    @property
    def requests(self) -> tuple[ClaudeRequest, ...]:
        """Every request for a message, in order of arrival, whatever was answered."""
        with self._lock:
            return tuple(self._requests)

    @property
    def unscripted(self) -> tuple[Unscripted, ...]:
        """The requests that the script has no usable answer for; they got a 400."""
        with self._lock:
            return tuple(self._unscripted)

    def pending(self) -> tuple[str, ...]:
        """What the script promised and nobody asked for, a text for each step."""
        with self._lock:
            return tuple(str(step) for step in self._script.pending())

    def assert_all_played(self) -> None:
        """Check that the script was played: all of it, and nothing else.

        Raises:
            ScriptNotPlayedError: It was not.
        """
        unscripted = tuple(str(finding) for finding in self.unscripted)
        pending = self.pending()
        if unscripted or pending:
            raise ScriptNotPlayedError(unscripted=unscripted, pending=pending)

    # --- serving -------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL to point a client at; starts the server if need be."""
        return self.serve().url

    def serve(self) -> LoopbackServer:
        """The server on loopback that plays this script, started; `stop` ends it."""
        with self._lock:
            if self._server is None:
                from pytest_mnemosyne.wire import LoopbackServer

                server = LoopbackServer(self.handle)
                server.start()
                self._server = server
            return self._server

    def stop(self) -> None:
        """Stop the server if it was started; the script and its records stay."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # --- answering -----------------------------------------------------------------------

    def handle(self, request: HttpRequest) -> HttpAnswer:
        """Answer one request; whatever is wrong with it is an answer too."""
        with self._lock:
            answer = self._route(request)
        return replace(answer, chunks=()) if request.method == "HEAD" else answer

    def _route(self, request: HttpRequest) -> HttpAnswer:
        _, root, rest = request.path.rpartition("/v1/")
        endpoint = (request.method, root + rest.rstrip("/"))
        match endpoint:
            case ("POST", "/v1/messages"):
                return self._with_body(request, self._message)
            case ("POST", "/v1/messages/count_tokens"):
                return self._with_body(request, self._count_tokens)
            case ("GET" | "HEAD", "/v1/models"):
                return json_answer(models_page(), _ids_of_request(request))
            case ("GET" | "HEAD", str(path)) if path.startswith("/v1/models/"):
                model = path.removeprefix("/v1/models/")
                info = model_info(model)
                if info is None:
                    return _refused(request, 404, f"model: {model}")
                return json_answer(info, _ids_of_request(request))
            case _:
                return _refused(request, 404, f"Not found: {request.method} {request.path}")

    def _with_body(
        self, request: HttpRequest, then: Callable[[HttpRequest, ClaudeRequest], HttpAnswer]
    ) -> HttpAnswer:
        try:
            body = json.loads(request.body)
        except ValueError as error:
            return _refused(request, 400, f"The request body is not valid JSON: {error}")
        if not isinstance(body, dict):
            return _refused(request, 400, "The request body is not a JSON object")
        thread = mapping(body.get("thread"))
        earlier: tuple[JsonObject, ...] = ()
        if thread.get("type") == "continue":
            previous = str(thread.get("previous_message_id"))
            if previous not in self._threads:
                problem = f"No usable thread state was found for {previous!r}"
                return _refused(request, 404, problem, details={"error_code": "thread_not_found"})
            earlier = self._threads[previous]
        return then(request, ClaudeRequest.of(request, body, earlier))

    def _count_tokens(self, request: HttpRequest, asked: ClaudeRequest) -> HttpAnswer:
        problem = refusal(asked.body, asked.messages, counting=True)
        if problem is not None:
            return _refused(request, 400, problem)
        return json_answer({"input_tokens": input_tokens(asked)}, _ids_of_request(request))

    def _message(self, request: HttpRequest, asked: ClaudeRequest) -> HttpAnswer:
        self._requests.append(asked)
        problem = refusal(asked.body, asked.messages, counting=False)
        if problem is not None:
            return _refused(request, 400, problem)
        try:
            answer = self._play(asked)
        except ScriptError as error:
            return self._unanswered(request, asked, str(error))
        if answer is None:
            return self._unanswered(request, asked, "no step of the script is for this request")
        return answer

    def _play(self, asked: ClaudeRequest) -> HttpAnswer | None:
        """The answer of the step that is for this request; `None` where there is none."""
        for step in self._script.candidates(asked):
            with _naming(step):
                outcome = _outcome(step, asked)
                if outcome is not None:
                    ids = self._ids_for(step, asked)
                    step.played += 1
                    return self._answer(outcome, asked, ids)
        return None

    def _answer(self, outcome: Answer, asked: ClaudeRequest, ids: Ids) -> HttpAnswer:
        if isinstance(outcome, Failure):
            return error_answer(
                outcome.status,
                request_id=ids.request,
                error_type=outcome.error_type,
                message=outcome.message,
                retry_after_s=outcome.retry_after_s,
                should_retry=outcome.should_retry,
                details=outcome.details,
                headers=tuple(outcome.headers.items()),
            )
        message = message_of(outcome, asked, ids)
        if asked.body.get("thread"):
            said = {"role": "assistant", "content": message["content"]}
            self._threads[ids.message] = (*asked.messages, said)
        return stream_answer(message, ids) if asked.stream else json_answer(message, ids)

    def _ids_for(self, step: Step, asked: ClaudeRequest) -> Ids:
        if step.times == 1:
            return Ids(str(step.place))
        base = f"{step.place}_{_digest(asked)}"
        self._suffixes[base] = count = self._suffixes.get(base, 0) + 1
        return Ids(base if count == 1 else f"{base}_{count}")

    def _unanswered(self, request: HttpRequest, asked: ClaudeRequest, reason: str) -> HttpAnswer:
        finding = Unscripted(request=asked, reason=reason, pending=self.pending())
        self._unscripted.append(finding)
        return _refused(request, 400, f"the scripted Claude cannot answer {finding}")


def _reply(content: Sequence[object], structured: JsonObject | list[object] | None) -> Reply:
    blocks = [block_of(item) for item in content]
    if structured is not None:
        blocks.append(Block({"type": "text", "text": compact(structured)}))
    if not blocks:
        raise ScriptError("a reply has at least one block: a text, tool_use(...), or json=")
    return Reply(blocks=tuple(blocks), checked=structured)


@contextmanager
def _naming(step: Step) -> Iterator[None]:
    """Say with a problem which step it is that cannot be played."""
    try:
        yield
    except ScriptError as error:
        raise ScriptError(f"{step} cannot be played: {error}") from error


def _outcome(step: Step, asked: ClaudeRequest) -> Answer | None:
    """The answer of a step; `None` where its function leaves the request to others."""
    if isinstance(step.outcome, Reply | Failure):
        return step.outcome
    try:
        made = step.outcome(asked)
    except Exception as error:
        raise ScriptError(f"its function raised {type(error).__name__}: {error}") from error
    match made:
        case None:
            return None
        case Reply() | Failure():
            return made
        case list() | tuple():
            return _reply(made, None)
        case _:
            return _reply((made,), None)


def _digest(asked: ClaudeRequest) -> str:
    about = {name: asked.body.get(name) for name in ("model", "system", "tools")}
    text = json.dumps([about, asked.messages], sort_keys=True)
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _ids_of_request(request: HttpRequest) -> Ids:
    """Ids for an answer that no step of the script gave."""
    about = f"{request.method} {request.path}?{request.query}\n".encode() + request.body
    return Ids(f"0_{blake2b(about, digest_size=4).hexdigest()}")


def _refused(
    request: HttpRequest, status: int, problem: str, *, details: JsonObject | None = None
) -> HttpAnswer:
    return error_answer(
        status,
        request_id=_ids_of_request(request).request,
        message=problem,
        should_retry=False,
        details=details,
    )
