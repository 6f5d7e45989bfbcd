"""A call to Claude that the cassette cannot answer, and the error that nobody absorbs.

Abort (BaseException)
  - CassetteMissError
  - NoCassetteError
  - OtherHostError
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mnemosyne_core.errors import Abort
from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._difference import (
    Difference,
    differences,
    likenesses,
    overlap,
    without_common,
)
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._key import Key
from pytest_mnemosyne.cassette._player import Player

_MOST_LAID = 40
"""How many recorded requests a missed one is laid beside, byte for byte; a miss stays cheap."""

_MOST_PARSED = 4
"""How many of them, those that are most alike, are compared by what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One request without an answer."""

    request: Request
    lane: Lane | None
    path: Path | None
    """The cassette that was asked."""

    recorded: int
    """How many interactions it holds."""

    nearest: int | None
    """The index of the most similar recorded interaction, from 0."""

    differences: tuple[Difference, ...]
    """What this request asks otherwise than the nearest one."""

    words: str
    """Why there is no answer, in one line of words, changed text never cut."""

    command: str
    """The command that records the call; empty where nobody knows it."""

    remedy: str = ""
    """What to do where no recording helps; empty where one does."""

    @property
    def agent(self) -> str:
        """Who asked: the agent and its attempt, in words."""
        if self.lane is None:
            return "none (the call was made outside any agent)"
        return f"{self.lane.agent}, attempt {self.lane.attempt}"

    @property
    def call(self) -> str:
        """What was asked: method, path, model and the size of the conversation."""
        return call_summary(self.request)

    def without(self, shown: Callable[[str], str]) -> Miss:
        """The same, with every text as `shown` shows it."""
        lane = self.lane
        return replace(
            self,
            lane=None if lane is None else Lane(shown(lane.agent), lane.attempt),
            path=None if self.path is None else Path(shown(str(self.path))),
            differences=tuple(
                Difference(shown(each.place), shown(each.words)) for each in self.differences
            ),
            words=shown(self.words),
            command=shown(self.command),
        )

    def __str__(self) -> str:
        lines = [
            "Claude was asked something that the cassette has no answer for",
            f"  agent:   {self.agent}",
            f"  call:    {self.call}",
            f"  why:     {self.words}",
            f"  instead: {self.remedy}"
            if self.remedy
            else f"  record:  {self.command or 'run this test in the mode record'}",
        ]
        lines += [f"  also:    {each}" for each in self.differences[1:]]
        lines.append(f"  cassette: {self.path} ({_counted(self.recorded, 'interaction')})")
        return "\n".join(lines)


class CassetteMissError(Abort):
    """A call to Claude that was not recorded; the test has failed, whatever catches this.

    Attributes:
        miss: Everything that is known about it.
    """

    def __init__(self, *, miss: Miss) -> None:
        self.miss = miss
        super().__init__(str(miss))


class NoCassetteError(Abort):
    """Claude was called while no cassette was open and the mode forbids the network.

    Attributes:
        call: What was asked.
        agent: Who asked, in words.
    """

    def __init__(self, *, request: Request, lane: Lane | None) -> None:
        self.call = call_summary(request)
        self.agent = lane.agent if lane is not None else "none"
        super().__init__(
            f"Claude was called without a cassette, and nothing may leave this run\n"
            f"  agent:   {self.agent}\n"
            f"  call:    {self.call}\n"
            "  use the fixture claude_cassette (or claude, claude_sync, supervision_tree), or mark "
            "the test with claude_cassette"
        )


class OtherHostError(Abort):
    """A request to a host that is not Claude's was refused, as the run's settings ask.

    Attributes:
        method: The request's method.
        url: Where it wanted to go, without the query.
    """

    def __init__(self, *, method: str, url: str) -> None:
        self.method = method
        self.url = url.partition("?")[0]
        super().__init__(
            f"{method} {self.url} was refused: requests to hosts that are not Claude's are blocked "
            "in this run (mnemosyne_block_hosts); replace the call in the test or lift the block"
        )


def call_summary(request: Request) -> str:
    """A request in one line."""
    origin, _, rest = request.url.partition("://")
    path = f"/{rest.partition('/')[2]}" if rest else origin
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return f"{request.method} {path}"
    facts = [str(body["model"])] if "model" in body else []
    if isinstance(body.get("messages"), list):
        facts.append(_counted(len(body["messages"]), "message"))
    if body.get("stream") is True:
        facts.append("streamed")
    return f"{request.method} {path}" + (f" ({', '.join(facts)})" if facts else "")


def explain_miss(
    *,
    shown: Callable[[Request], Request],
    request: Request,
    key: Key,
    lane: Lane | None,
    player: Player,
    path: Path | None,
    exists: bool,
    command: str,
    objection: str = "",
) -> Miss:
    """Find out why `player` has no answer for `request`, and say it in words.

    Both requests are told apart as `shown` shows them: a difference marks single words, and
    what is left of a secret between the marks would not be recognised any more. `request` is
    one that may be shown. An `objection` is what `Player.find` has against the recording that
    is the same but for its ids.
    """
    nearest: int | None = None
    found: tuple[Difference, ...] = ()
    count = player.recorded(key, lane)
    if not exists:
        words = "there is no cassette yet"
    elif not player.interactions:
        words = "the cassette is empty"
    elif count:
        nearest = max(i for i, each in enumerate(player.keys) if each == key)
        times = "the one answer" if count == 1 else f"all {count} answers"
        words = f"{times} recorded for exactly this request {_was(count)} already played"
    elif key in player.keys:
        nearest = player.keys.index(key)
        words = f"it is recorded, but for {_of(player.interactions[nearest].lane)}"
    elif objection:
        words = objection
    else:
        nearest = _nearest(request, lane, player)
        bodies = without_common(player.interactions[nearest].request.body, request.body)
        found = differences(*(shown(replace(request, body=body)).body for body in bodies))
        words = _in_words(player.interactions[nearest], request, found, nearest)
    return Miss(
        request=request,
        lane=lane,
        path=path,
        recorded=len(player.interactions),
        nearest=nearest,
        differences=found,
        words=words,
        command=command,
    )


def _nearest(request: Request, lane: Lane | None, player: Player) -> int:
    """The most similar recording; the lane's own and the unplayed ones are looked at first.

    In three rounds, each of which looks closer at fewer of them.
    """
    place = _place(request)
    interactions = player.interactions

    def rank(index: int) -> tuple[bool, bool, bool, int]:
        recorded = interactions[index].request
        # Of a conversation that grows, the same turn has about the same length.
        nearness = -abs(len(recorded.body) - len(request.body))
        same_place = _place(recorded) == place
        return same_place, player.serves(index, lane), not player.is_played(index), nearness

    ranks = [rank(index) for index in range(len(interactions))]
    found = sorted(range(len(interactions)), key=ranks.__getitem__, reverse=True)[:_MOST_LAID]
    bodies = [interactions[index].request.body for index in found]
    laid = [overlap(body, request.body) for body in bodies]
    found = _best(found, ranks, laid)[:_MOST_PARSED]
    bodies = [interactions[index].request.body for index in found]
    return _best(found, ranks, likenesses(bodies, request.body))[0]


def _best(
    found: list[int], ranks: list[tuple[bool, bool, bool, int]], alike: list[float]
) -> list[int]:
    """Those at the same place first, of these the most alike, of these the best in rank."""
    keys = {
        index: (ranks[index][0], measure, ranks[index])
        for index, measure in zip(found, alike, strict=True)
    }
    return sorted(found, key=keys.__getitem__, reverse=True)


def _in_words(
    nearest: Interaction, request: Request, found: tuple[Difference, ...], index: int
) -> str:
    there, here = _place(nearest.request), _place(request)
    if there != here:
        return f"nothing is recorded for {here}; interaction {index + 1} is {there}"
    if not found:
        return f"interaction {index + 1} has the same body but another query"
    first, number = found[0], index + 1
    more = f" (and {_counted(len(found) - 1, 'difference')} more)" if len(found) > 1 else ""
    if {each.place for each in found} == {first.place}:
        return f"only {_the(first.place)} differs from interaction {number}: {first.words}{more}"
    return f"interaction {number} differs in {_the(first.place)}: {first.words}{more}"


def _the(place: str) -> str:
    """A place in a sentence: `the system prompt`, `the model`, but `messages[0] (user)`."""
    return f"the {place}" if place.startswith(("system prompt", "model", "tool")) else place


def _place(request: Request) -> str:
    return f"{request.method} {_path(request.url)}"


@lru_cache(maxsize=64)
def _path(url: str) -> str:
    url = url.partition("?")[0]
    start = url.rfind("/v1/")
    return url[start:] if start >= 0 else "/" + url.partition("://")[2].partition("/")[2]


def _of(lane: Lane | None) -> str:
    return f"{lane.agent}, attempt {lane.attempt}" if lane is not None else "no agent"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
