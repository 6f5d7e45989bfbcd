"""The words in which a script is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING

from pytest_mnemosyne.simulation.scripted._blocks import Block, Content, block_of
from pytest_mnemosyne.simulation.scripted._conditions import Condition
from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.simulation.scripted._improvising import improvised
from pytest_mnemosyne.simulation.scripted._latency import Latency
from pytest_mnemosyne.simulation.scripted._script import (
    Answer,
    AnswerFunction,
    Expiry,
    Failure,
    Reply,
    Script,
)
from pytest_mnemosyne.wire import JsonObject, compact, error_kind, retry_headers

if TYPE_CHECKING:
    from typing import Self


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
        stop_sequence: str | None = None,
        usage: Mapping[str, object] | None = None,
        first_byte_s: float | None = None,
        per_token_s: float | None = None,
        times: int | None = 1,
    ) -> Self:
        """Answer with a message.

        Args:
            *content: Its blocks: texts, `tool_use(...)` and its like, the API's own JSON.
                A message without any needs a `stop_reason`.
            json: Structured output, as a last text block. Where the request names a
                schema, the value has to follow it.
            stop_reason: `stop_sequence` with one, `tool_use` where a tool is called, else
                `end_turn`.
            stop_sequence: The one of the request's that Claude has met.
            usage: Counts in place of the estimated ones.
            first_byte_s: Seconds until it begins, in place of the script's `latency`.
            per_token_s: Seconds for each token, likewise.
            times: How often; `None` is any number, also none at all.
        """
        blocks = blocks_of(content, json)
        if not blocks and stop_reason is None:
            raise ScriptError(
                "a reply has at least one block: a text, tool_use(...), or json=; one that is "
                "empty on purpose says so with its stop_reason"
            )
        Latency().of(first_byte_s=first_byte_s, per_token_s=per_token_s)
        made = Reply(
            blocks=blocks,
            checked=json,
            stop_reason=stop_reason,
            stop_sequence=stop_sequence,
            usage=dict(usage or {}),
            first_byte_s=first_byte_s,
            per_token_s=per_token_s,
        )
        return self._add(made, times)

    def refuse(
        self,
        *content: Content,
        category: str | None = None,
        explanation: str | None = None,
        times: int | None = 1,
    ) -> Self:
        """Answer with a refusal: a message whose stop reason is `refusal`.

        Args:
            *content: What Claude had said before it was stopped; nothing, in most cases.
            category: The policy it falls under, such as `cyber`.
            explanation: For people.
            times: How often; `None` is any number, also none at all.
        """
        details = {"type": "refusal", "category": category, "explanation": explanation}
        made = Reply(blocks=blocks_of(content), stop_reason="refusal", stop_details=details)
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
        first_byte_s: float | None = None,
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
            first_byte_s: Seconds until it comes, in place of the script's `latency`.
            times: How often; `None` is any number, also none at all.
        """
        error_kind(status)
        if retry_after is not None:
            retry_headers(retry_after)
        Latency().of(first_byte_s=first_byte_s, per_token_s=None)
        failure = Failure(
            status=status,
            error_type=error_type,
            message=message,
            retry_after_s=retry_after,
            should_retry=should_retry,
            details=details,
            headers=dict(headers or {}),
            first_byte_s=first_byte_s,
        )
        return self._add(failure, times)

    def expire(self, *, times: int | None = 1) -> Self:
        """Leave a request of a batch without an answer until the batch has expired.

        A request of its own cannot expire; there it is a mistake in the script.
        """
        return self._add(Expiry(), times)

    def answer(self, function: AnswerFunction, *, times: int | None = None) -> Self:
        """Let a function of the request make the answer.

        It returns what `reply` takes (a text, a block, a list of them), a finished
        `Reply`, `Failure` or `Expiry`, or `None` to leave the request to the next step.

        A plain function runs under the script's lock, one request at a time. An async one
        runs on the loop that carries the exchange; while it thinks, its turn counts as
        played, so that another request goes on to the next step.
        """
        return self._add(function, times)

    def improvise(self) -> Self:
        """Answer whatever no step of the script is for, as it fits the request.

        Each tool that the request offers is called once, with arguments that follow its
        schema; then comes data that follow the schema of the request, or a text.
        `tool_choice` is honoured. The same request has the same answer in every run.
        """
        with self._lock:
            self._script.add(improvised, self._conditions, None, last_resort=True)
        return self

    def _add(self, outcome: Answer | AnswerFunction, times: int | None) -> Self:
        with self._lock:
            self._script.add(outcome, self._conditions, times)
        return self


class When(Scripting):
    """The part of a script that answers requests under conditions."""

    def when(self, *conditions: Condition) -> When:
        """Narrow the conditions down."""
        return When(self._script, self._lock, (*self._conditions, *conditions))


def blocks_of(
    content: Sequence[object], structured: JsonObject | list[object] | None = None
) -> tuple[Block, ...]:
    """Blocks in any of the ways in which they may be written, structured output last."""
    blocks = tuple(block_of(item) for item in content)
    if structured is None:
        return blocks
    return (*blocks, Block({"type": "text", "text": compact(structured)}))
