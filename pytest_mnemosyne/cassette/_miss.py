"""A call to Claude that the cassette cannot answer, and the error that nobody absorbs.

Abort (BaseException)
  - CassetteMissError
  - NoCassetteError
  - OtherHostError
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mnemosyne_core.errors import Abort
from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._difference import Difference, differences, likeness
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._key import Key
from pytest_mnemosyne.cassette._player import Player

_MOST_CANDIDATES = 12
"""How many recorded requests are compared with a missed one; a miss stays cheap."""


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

    def __str__(self) -> str:
        lines = [
            "Claude was asked something that the cassette has no answer for",
            f"  agent:   {self.agent}",
            f"  call:    {self.call}",
            f"  why:     {self.words}",
            f"  record:  {self.command or 'run this test in the mode record'}",
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
    request: Request,
    key: Key,
    lane: Lane | None,
    player: Player,
    path: Path | None,
    exists: bool,
    command: str,
) -> Miss:
    """Find out why `player` has no answer for `request`, and say it in words."""
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
    else:
        nearest = _nearest(request, lane, player)
        found = differences(player.interactions[nearest].request.body, request.body)
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
    """The most similar recording; the lane's own and the unplayed ones are looked at first."""
    place = _place(request)

    def rank(index: int) -> tuple[bool, bool, bool, int]:
        recorded = player.interactions[index].request
        # Of a conversation that grows, the same turn has about the same length.
        nearness = -abs(len(recorded.body) - len(request.body))
        same_place = _place(recorded) == place
        return same_place, player.serves(index, lane), not player.is_played(index), nearness

    order = sorted(range(len(player.interactions)), key=rank, reverse=True)
    return max(
        order[:_MOST_CANDIDATES],
        key=lambda index: (
            rank(index)[0],
            likeness(player.interactions[index].request.body, request.body),
            rank(index),
        ),
    )


def _in_words(
    nearest: Interaction, request: Request, found: tuple[Difference, ...], index: int
) -> str:
    there, here = _place(nearest.request), _place(request)
    if there != here:
        return f"nothing is recorded for {here}; interaction {index + 1} is {there}"
    if not found:
        return f"interaction {index + 1} has the same body but another query"
    places = {each.place for each in found}
    alone = " alone" if len(places) == 1 else ""
    more = f" (and {_counted(len(found) - 1, 'difference')} more)" if len(found) > 1 else ""
    return f"interaction {index + 1} differs in {found[0].place}{alone}: {found[0].words}{more}"


def _place(request: Request) -> str:
    url = request.url.partition("?")[0]
    start = url.rfind("/v1/")
    path = url[start:] if start >= 0 else "/" + url.partition("://")[2].partition("/")[2]
    return f"{request.method} {path}"


def _of(lane: Lane | None) -> str:
    return f"{lane.agent}, attempt {lane.attempt}" if lane is not None else "no agent"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
