"""Batches of messages: accepted at once, answered by the script when their processing ends.

A batch moves on when somebody looks, by what the script says about it: after a number of
polls (`retrieve`), after some time, or a day after it was made, when whatever is left of
it expires. All its requests are played then, in their order. A batch that is cancelled
before has ended when it is next looked at, and none of its requests is played.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import RLock

from pytest_mnemosyne.simulation.scripted._answers import failure_answer, whole
from pytest_mnemosyne.simulation.scripted._dates import Dates
from pytest_mnemosyne.simulation.scripted._errors import RequestRefusedError, ScriptError
from pytest_mnemosyne.simulation.scripted._player import Played
from pytest_mnemosyne.simulation.scripted._request import ClaudeRequest
from pytest_mnemosyne.simulation.scripted._script import Expiry, Failure
from pytest_mnemosyne.wire import JsonObject, objects

_LIFE_S = 24 * 60 * 60
_LONGEST_ID = 64
_COUNTED = ("processing", "succeeded", "errored", "canceled", "expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPace:
    """When the processing of a batch ends; the first that comes counts."""

    polls: int | None = 1
    """With which poll; `None` is with none."""

    after_s: float | None = None
    """How many seconds after the batch was made; `None` is never."""

    def __post_init__(self) -> None:
        if self.polls is not None and self.polls < 1:
            raise ScriptError(f"polls is 1 or more, or None, got {self.polls!r}")
        if self.after_s is not None and not (math.isfinite(self.after_s) and self.after_s >= 0):
            raise ScriptError(f"after_s is a number of seconds from 0 on, got {self.after_s!r}")


@dataclass(slots=True, kw_only=True)
class Batch:
    """One batch."""

    number: int
    requests: tuple[ClaudeRequest, ...]
    created_s: float
    status: str = "in_progress"
    polls: int = 0
    cancelled_s: float | None = None
    ended_s: float | None = None
    is_ending: bool = False
    results: list[JsonObject] = field(default_factory=list)

    @property
    def id(self) -> str:
        """As the API names it."""
        return f"msgbatch_scripted_{self.number}"


class Batches:
    """All batches of one script."""

    def __init__(
        self,
        play: Callable[[ClaudeRequest], Awaitable[Played]],
        dates: Dates,
        lock: RLock,
    ) -> None:
        self._play = play
        self._dates = dates
        self._lock = lock
        self._batches: dict[str, Batch] = {}
        self._made = 0
        self.pace = BatchPace()

    def create(self, requests: tuple[ClaudeRequest, ...]) -> JsonObject:
        """Accept a batch."""
        with self._lock:
            self._made += 1
            batch = Batch(number=self._made, requests=requests, created_s=self._dates.elapsed_s())
            self._batches[batch.id] = batch
            return self._told(batch)

    async def retrieve(self, batch_id: str) -> JsonObject:
        """Poll a batch, which may end its processing."""
        with self._lock:
            batch = self._known(batch_id)
            batch.polls += 1
        await self._move_on(batch)
        return self._told(batch)

    async def all(self) -> list[JsonObject]:
        """Every batch, the newest first; to look at the list is no poll."""
        with self._lock:
            batches = list(reversed(self._batches.values()))
        for batch in batches:
            await self._move_on(batch)
        return [self._told(batch) for batch in batches]

    async def cancel(self, batch_id: str) -> JsonObject:
        """Cancel what is not yet processed."""
        await self._move_on(batch := self._known(batch_id))
        with self._lock:
            if batch.status == "ended":
                raise RequestRefusedError(
                    400, f"Batch {batch_id} cannot be canceled because it has already ended."
                )
            batch.status = "canceling"
            batch.cancelled_s = self._dates.elapsed_s()
            return self._told(batch)

    async def delete(self, batch_id: str) -> JsonObject:
        """Forget a batch that has ended."""
        await self._move_on(batch := self._known(batch_id))
        with self._lock:
            if batch.status != "ended":
                raise RequestRefusedError(
                    400,
                    f"Batch {batch_id} cannot be deleted while it is {batch.status}; cancel it "
                    "first, or wait for its end.",
                )
            del self._batches[batch_id]
        return {"id": batch_id, "type": "message_batch_deleted"}

    async def results(self, batch_id: str) -> list[JsonObject]:
        """One result for each request of a batch that has ended, in their order."""
        await self._move_on(batch := self._known(batch_id))
        if batch.status != "ended":
            raise RequestRefusedError(
                400, f"Batch {batch_id} has no results yet: it is {batch.status}."
            )
        return batch.results

    def _known(self, batch_id: str) -> Batch:
        with self._lock:
            if batch_id not in self._batches:
                raise RequestRefusedError(404, f"Message batch {batch_id} not found.")
            return self._batches[batch_id]

    async def _move_on(self, batch: Batch) -> None:
        with self._lock:
            now_s = self._dates.elapsed_s()
            verdict = self._verdict(batch, now_s)
            if verdict is None or batch.is_ending or batch.status == "ended":
                return
            batch.is_ending = True
        try:
            # Whoever polled may go away in the middle; the next one goes on from there.
            for request in batch.requests[len(batch.results) :]:
                batch.results.append(
                    _result(request, await self._play(request))
                    if verdict == "played"
                    else _entry(request, {"type": verdict})
                )
            with self._lock:
                batch.ended_s = now_s
                batch.status = "ended"
        finally:
            batch.is_ending = False

    def _verdict(self, batch: Batch, now_s: float) -> str | None:
        """How a batch ends now; `None` while it goes on."""
        age_s = now_s - batch.created_s
        if batch.status == "canceling":
            return "canceled"
        if self.pace.after_s is not None and age_s >= self.pace.after_s < _LIFE_S:
            return "played"
        if age_s >= _LIFE_S:
            return "expired"
        if self.pace.polls is not None and batch.polls >= self.pace.polls:
            return "played"
        return None

    def _told(self, batch: Batch) -> JsonObject:
        with self._lock:
            ended = batch.status == "ended"
            kinds = [result["result"]["type"] for result in batch.results] if ended else []
            counts = {kind: kinds.count(kind) for kind in _COUNTED}
            counts["processing"] = 0 if ended else len(batch.requests)
            return {
                "id": batch.id,
                "type": "message_batch",
                "processing_status": batch.status,
                "request_counts": counts,
                "ended_at": self._date(batch.ended_s),
                "created_at": self._date(batch.created_s),
                "expires_at": self._date(batch.created_s + _LIFE_S),
                "archived_at": None,
                "cancel_initiated_at": self._date(batch.cancelled_s),
                # Below the client's own base URL, whatever carries the requests there.
                "results_url": f"/v1/messages/batches/{batch.id}/results" if ended else None,
            }

    def _date(self, elapsed_s: float | None) -> str | None:
        return None if elapsed_s is None else self._dates.spelled(elapsed_s)


def problem_of(body: JsonObject) -> str | None:
    """Why the API refuses to take a batch; `None` where it takes it."""
    given = body.get("requests")
    items = objects(given)
    if not isinstance(given, list) or not items or len(items) != len(given):
        return "requests: Input should be a list of at least one request"
    names: set[object] = set()
    for index, item in enumerate(items):
        name = item.get("custom_id")
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_ID:
            return (
                f"requests.{index}.custom_id: String should have between 1 and "
                f"{_LONGEST_ID} characters"
            )
        if name in names:
            return f"requests: custom_id {name!r} is there more than once"
        if not isinstance(item.get("params"), dict):
            return f"requests.{index}.params: Field required"
        names.add(name)
    return None


def _result(request: ClaudeRequest, played: Played) -> JsonObject:
    match played.outcome:
        case Expiry():
            return _entry(request, {"type": "expired"})
        case Failure() as failure:
            body = json.loads(failure_answer(failure, played.ids).body)
            return _entry(request, {"type": "errored", "error": body})
        case message:
            return _entry(request, {"type": "succeeded", "message": whole(message)})


def _entry(request: ClaudeRequest, result: JsonObject) -> JsonObject:
    return {"custom_id": request.custom_id, "result": result}
