"""Plays a script: finds the step for a request, and makes its answer.

Ids tell the place in the script, so they are the same in every run and whatever the
order in which concurrent requests arrive: `msg_scripted_3` is the answer of step 3,
`toolu_scripted_3_1` its first tool call. A step that may be played more than once has
no such order to lean on; there the ids also carry a digest of the request
(`msg_scripted_3_9f86d081`), and a number where the same request comes again.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from threading import RLock

from pytest_mnemosyne.simulation.scripted._answers import Ids, message_of
from pytest_mnemosyne.simulation.scripted._checks import refusal
from pytest_mnemosyne.simulation.scripted._errors import ScriptError
from pytest_mnemosyne.simulation.scripted._latency import Latency
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.simulation.scripted._script import (
    Answer,
    Expiry,
    Failure,
    Reply,
    Script,
    Step,
)
from pytest_mnemosyne.simulation.scripted._scripting import blocks_of
from pytest_mnemosyne.simulation.scripted._usage import PromptCache
from pytest_mnemosyne.wire import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscripted:
    """A request that the script has no usable answer for."""

    request: ClaudeRequest
    reason: str
    pending: tuple[str, ...]
    """What the script still held."""

    misfits: tuple[str, ...] = ()
    """Why each step was not for it, the nearest one first."""

    def __str__(self) -> str:
        nearest = f"; the nearest was {self.misfits[0]}" if self.misfits else ""
        held = "; ".join(self.pending) or "nothing"
        return f"{self.request.summary()}: {self.reason}{nearest}; the script still held {held}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a request is answered with."""

    outcome: JsonObject | Failure | Expiry
    """A message, or why there is none."""

    ids: Ids
    latency: Latency


class Player:
    """Answers requests for messages, and keeps what it was asked."""

    def __init__(self, script: Script, lock: RLock) -> None:
        self._script = script
        self._lock = lock
        self._cache = PromptCache()
        self._suffixes: dict[str, int] = {}
        self.latency = Latency()
        self.requests: list[ClaudeRequest] = []
        self.unscripted: list[Unscripted] = []

    async def play(self, asked: ClaudeRequest) -> Played:
        """The answer to a request; whatever is wrong with it is an answer too."""
        passed: set[int] = set()
        try:
            while (played := await self._try(asked, passed)) is None:
                continue
        except ScriptError as error:
            return self._unanswered(asked, str(error))
        return played

    def take(self, asked: ClaudeRequest) -> Played | None:
        """Note a request; the answer where the API refuses it before Claude sees it."""
        with self._lock:
            self.requests.append(asked)
        problem = refusal(asked.body, asked.messages, counting=False)
        return None if problem is None else self.failed(asked, _refused(problem))

    def failed(self, asked: ClaudeRequest, failure: Failure) -> Played:
        """An error that no step of the script gives."""
        ids = Ids(f"0_{_digest(asked.body)}")
        return Played(outcome=failure, ids=ids, latency=self.latency)

    async def _try(self, asked: ClaudeRequest, passed: set[int]) -> Played | None:
        """The answer of the next step; `None` where its function leaves it to another."""
        with self._lock:
            step = self._script.find(asked, passed)
            if step is None:
                misfits = self._script.misfits(asked)
                reason = "no step of the script is for this request"
                return self._unanswered(asked, reason, misfits)
            with _naming(step):
                made = _made(step, asked)
                step.played += 1
        with _naming(step):
            try:
                outcome = _outcome(await _awaited(made))
                if outcome is not None:
                    return self._played(step, outcome, asked)
            except ScriptError:
                self._put_back(step)
                raise
        self._put_back(step)
        passed.add(step.place)
        return None

    def _put_back(self, step: Step) -> None:
        with self._lock:
            step.played -= 1

    def _played(self, step: Step, outcome: Answer, asked: ClaudeRequest) -> Played:
        with self._lock:
            ids = self._ids_for(step, asked)
            if isinstance(outcome, Reply):
                latency = self.latency.of(
                    first_byte_s=outcome.first_byte_s, per_token_s=outcome.per_token_s
                )
                message = message_of(outcome, asked, ids, self._cache)
                return Played(outcome=message, ids=ids, latency=latency)
            if isinstance(outcome, Failure):
                latency = self.latency.of(first_byte_s=outcome.first_byte_s, per_token_s=None)
                return Played(outcome=outcome, ids=ids, latency=latency)
            if asked.custom_id is None:
                raise ScriptError("only a request of a batch can expire")
            return Played(outcome=outcome, ids=ids, latency=self.latency)

    def _ids_for(self, step: Step, asked: ClaudeRequest) -> Ids:
        if step.times == 1:
            return Ids(str(step.place))
        about = [{name: asked.settings.get(name) for name in ("model", "system", "tools")}]
        base = f"{step.place}_{_digest([*about, asked.messages])}"
        self._suffixes[base] = count = self._suffixes.get(base, 0) + 1
        return Ids(base if count == 1 else f"{base}_{count}")

    def _unanswered(
        self, asked: ClaudeRequest, reason: str, misfits: tuple[str, ...] = ()
    ) -> Played:
        with self._lock:
            pending = tuple(str(step) for step in self._script.pending())
            finding = Unscripted(request=asked, reason=reason, pending=pending, misfits=misfits)
            self.unscripted.append(finding)
        return self.failed(asked, _refused(f"the scripted Claude cannot answer {finding}"))


def _refused(problem: str) -> Failure:
    return Failure(status=400, message=problem, should_retry=False)


@contextmanager
def _naming(step: Step) -> Iterator[None]:
    """Say with a problem which step it is that cannot be played."""
    try:
        yield
    except ScriptError as error:
        raise ScriptError(f"{step} cannot be played: {error}") from error


def _made(step: Step, asked: ClaudeRequest) -> object:
    """What a step's function returns, perhaps only to be awaited; else its answer."""
    if isinstance(step.outcome, Answer):
        return step.outcome
    try:
        return step.outcome(asked)
    except ScriptError:
        raise
    except Exception as error:
        raise _raised(error) from error


async def _awaited(made: object) -> object:
    if not inspect.isawaitable(made):
        return made
    try:
        return await made
    except ScriptError:
        raise
    except Exception as error:
        raise _raised(error) from error


def _raised(error: Exception) -> ScriptError:
    return ScriptError(f"its function raised {type(error).__name__}: {error}")


def _outcome(made: object) -> Answer | None:
    """The answer that a function made; `None` where it leaves the request to others."""
    if made is None or isinstance(made, Answer):
        return made
    blocks = blocks_of(made if isinstance(made, list | tuple) else (made,))
    if not blocks:
        raise ScriptError("its function made a reply without any block")
    return Reply(blocks=blocks)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return blake2b(text.encode(), digest_size=4).hexdigest()
