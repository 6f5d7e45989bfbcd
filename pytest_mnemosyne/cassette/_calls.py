"""What each agent asked, beside what is recorded for it.

The calls of a test and those of its cassette, agent by agent: which ones have no
recorded answer, which recorded ones were not asked, and whether those that were came
in their recorded order. An agent is a role with its sub-agents, at one attempt, because
these share their answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._miss import call_summary
from pytest_mnemosyne.cassette._turn import Source, Turn

OUTSIDE = "outside any agent"
"""Who asks where no agent does."""

_SHOWN_WORDS = 48
"""How many characters of what is asked are shown; enough to tell calls apart."""

_SHOWN_CALLS = 8
"""How many calls are listed one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCalls:
    """One agent's calls in one test."""

    agent: str
    """Its role, with the attempt where that is not the first; or `OUTSIDE`."""

    recorded: int
    """How many interactions the cassette holds for it."""

    asked: int
    """How many calls it made."""

    extra: tuple[str, ...] = ()
    """The calls that have no recorded answer, in words."""

    missing: tuple[str, ...] = ()
    """The recorded calls that it did not make, in words, each with its number."""

    order: tuple[int, ...] = ()
    """The numbers of the recorded calls as it made them; empty where their order is kept."""

    @property
    def is_as_recorded(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.extra or self.missing or self.order)

    def lines(self) -> list[str]:
        """What is not as recorded, in words."""
        lines = [f"{self.agent}: asked {self.asked}, recorded {self.recorded}"]
        lines += _listed("extra:    ", self.extra)
        lines += _listed("not asked:", self.missing)
        if self.order:
            lines.append(f"  order:     {self.order_in_words}")
        return lines

    @property
    def order_in_words(self) -> str:
        """The numbers as recorded and as asked."""
        recorded, asked = (", ".join(map(str, each)) for each in (sorted(self.order), self.order))
        return f"recorded {recorded}, asked {asked}"


def calls_by_agent(
    interactions: Mapping[int, Interaction], turns: Iterable[Turn]
) -> tuple[AgentCalls, ...]:
    """Compare what a cassette holds with what was asked of it, agent by agent.

    Args:
        interactions: What the cassette held when it was opened, by index; those that
            nobody is to ask for left out.
        turns: The turns of one test, in the order in which they began.
    """
    # Of an empty one nobody can tell; those who asked know.
    has_lanes = not interactions or any(each.lane is not None for each in interactions.values())
    recorded: dict[str, list[int]] = {}
    for index, interaction in interactions.items():
        recorded.setdefault(agent_words(interaction.lane), []).append(index)
    asked: dict[str, list[Turn]] = {}
    for turn in turns:
        asked.setdefault(agent_words(turn.lane if has_lanes else None), []).append(turn)
    return tuple(
        _compared(agent, recorded.get(agent, []), asked.get(agent, []), interactions)
        for agent in dict.fromkeys((*recorded, *asked))
    )


def agent_words(lane: Lane | None) -> str:
    """The agent that a lane belongs to: its role, and its attempt where that is not the first."""
    if lane is None:
        return OUTSIDE
    role = lane.agent.partition("/")[0]
    return role if lane.attempt == 1 else f"{role}, attempt {lane.attempt}"


def call_words(request: Request) -> str:
    """A request in one line, with the beginning of what was said last in it."""
    said = _last_words(request.body)
    if not said:
        return call_summary(request)
    shown = said if len(said) <= _SHOWN_WORDS else f"{said[:_SHOWN_WORDS]}…"
    return f"{call_summary(request)} {json.dumps(shown, ensure_ascii=False)}"


def _compared(
    agent: str, indices: list[int], turns: list[Turn], interactions: Mapping[int, Interaction]
) -> AgentCalls:
    numbers = {index: number for number, index in enumerate(indices, start=1)}
    played = {turn.index for turn in turns}
    return AgentCalls(
        agent=agent,
        recorded=len(indices),
        asked=len(turns),
        extra=tuple(call_words(t.request) for t in turns if t.source is Source.MISSED),
        missing=tuple(
            f"{numbers[index]}. {call_words(interactions[index].request)}"
            for index in indices
            if index not in played
        ),
        order=_changed_order(numbers, turns, interactions),
    )


def _changed_order(
    numbers: dict[int, int], turns: list[Turn], interactions: Mapping[int, Interaction]
) -> tuple[int, ...]:
    """The numbers in the order asked, if an agent on its own has changed it.

    Between the sub-agents of a role there is no order to keep: who is free goes first.
    """
    by_path: dict[str, list[int]] = {}
    for turn in turns:
        if turn.index is not None and turn.index in numbers:
            lane = interactions[turn.index].lane
            by_path.setdefault(lane.agent if lane else "", []).append(numbers[turn.index])
    return tuple(number for found in by_path.values() if found != sorted(found) for number in found)


def _listed(title: str, calls: tuple[str, ...]) -> list[str]:
    lines = [f"  {title} {call}" for call in calls[:_SHOWN_CALLS]]
    if len(calls) > _SHOWN_CALLS:
        lines.append(f"  {title} and {len(calls) - _SHOWN_CALLS} more")
    return lines


def _last_words(body: bytes) -> str:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(messages, list) or not messages:
        return ""
    content = messages[-1].get("content") if isinstance(messages[-1], dict) else None
    blocks = content if isinstance(content, list) else [content]
    texts = [each.get("text") if isinstance(each, dict) else each for each in blocks]
    return " ".join(" ".join(each.split()) for each in texts if isinstance(each, str))
