"""What differs between two recordings of the same, call by call.

The calls of both are paired agent by agent: first those that ask the same, in their
order, then of what remains those that ask nearly the same. So a changed prompt is one
changed call, and neither one gone and one new, nor everything after it.

A conversation repeats what was said before. What Claude said is told where it was said:
in a later request its words count as the same on both sides, and so do the ids that it
gave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pytest_mnemosyne.cassette._calls import agent_words, call_words
from pytest_mnemosyne.cassette._contents import CassetteFile
from pytest_mnemosyne.cassette._difference import Difference, differences, overlap
from pytest_mnemosyne.cassette._drift import Drift, compare_answers, has_drifted
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._key import Key, request_key
from pytest_mnemosyne.cassette._said import Said

_LEAST_ALIKE = 0.2
"""How much of two requests has to be the same for one to be the other, changed."""

_MOST_LAID = 30
"""How many requests are laid beside one to find the one that it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDifference:
    """One call that is not the same in both recordings."""

    agent: str
    call: str
    """What is asked, in one line: in the new recording, or in the old one if it is gone."""

    old: int | None
    """The number of its interaction in the old recording, from 1; `None` if it is new."""

    new: int | None
    """The same in the new one; `None` if it is gone."""

    request: tuple[Difference, ...] = ()
    answer: tuple[Drift, ...] = ()

    @property
    def has_drifted(self) -> bool:
        """Whether more has changed than the words of the answer."""
        return None in (self.old, self.new) or bool(self.request) or has_drifted(self.answer)

    def lines(self, *, words: bool = True) -> list[str]:
        """The difference in words; `words=False` leaves out those of the answer."""
        if self.old is None:
            return [f"{self.new}. {self.call} is new"]
        if self.new is None:
            return [f"{self.old}. {self.call} is gone"]
        number = str(self.old) if self.old == self.new else f"{self.old} -> {self.new}"
        told = self.answer if words else [each for each in self.answer if has_drifted((each,))]
        return [
            f"{number}. {self.call}",
            *(f"   asked: {each}" for each in self.request),
            *(f"   {each}" for each in told),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """Everything that differs between two recordings."""

    calls: tuple[CallDifference, ...] = ()
    """By agent, in the order of the old recording, what is new last."""

    moved: tuple[str, ...] = ()
    """The agents whose equal calls stand in another order."""

    def __bool__(self) -> bool:
        return bool(self.calls or self.moved)

    @property
    def has_drifted(self) -> bool:
        """Whether more has changed than the words of answers and the order of calls."""
        return any(each.has_drifted for each in self.calls)

    def lines(self) -> list[str]:
        """The difference in words, under the name of each agent."""
        found: dict[str, list[str]] = {}
        for call in self.calls:
            found.setdefault(call.agent, []).extend(call.lines())
        for agent in self.moved:
            found.setdefault(agent, []).append("the calls stand in another order")
        return [
            line
            for agent, told in found.items()
            for line in (f"{agent}:", *(f"  {each}" for each in told))
        ]


def compare_files(old: CassetteFile, new: CassetteFile) -> FileDifference:
    """Compare two cassettes by what they ask and answer; dates, times and headers do not count."""
    before, after = _calls_of(old), _calls_of(new)
    calls: list[CallDifference] = []
    moved = []
    for agent in dict.fromkeys((*before, *after)):
        pairs = _paired(before.get(agent, []), after.get(agent, []))
        calls += (each for pair in pairs if (each := _difference(agent, *pair)) is not None)
        places = [two.number for one, two in pairs if one is not None and two is not None]
        if places != sorted(places):
            moved.append(agent)
    return FileDifference(calls=tuple(calls), moved=tuple(moved))


@dataclass(frozen=True, slots=True)
class _Call:
    """One interaction at its place in a file."""

    number: int
    interaction: Interaction
    asked: bytes
    """The body of its request, without what Claude has said before."""

    key: Key
    """What it asks."""


_Pair = tuple[_Call | None, _Call | None]


def _calls_of(file: CassetteFile) -> dict[str, list[_Call]]:
    said = Said()
    found: dict[str, list[_Call]] = {}
    for number, each in enumerate(file.interactions, start=1):
        asked = said.asked(each.request.body)
        call = _Call(number, each, asked, request_key(replace(each.request, body=asked)))
        found.setdefault(agent_words(each.lane), []).append(call)
        said.listen(each)
    return found


def _paired(old: list[_Call], new: list[_Call]) -> list[_Pair]:
    """Pairs in the order of the old recording, and what is new behind them."""
    same: dict[Key, deque[_Call]] = {}
    for call in new:
        same.setdefault(call.key, deque()).append(call)
    partners: dict[int, _Call] = {}
    for call in old:
        if same.get(call.key):
            partners[call.number] = same[call.key].popleft()
    taken = {partner.number for partner in partners.values()}
    rest = [call for call in new if call.number not in taken]
    for call in old:
        if call.number not in partners and (nearest := _nearest(call, rest)) is not None:
            partners[call.number] = nearest
            rest.remove(nearest)
    pairs: list[_Pair] = [(call, partners.get(call.number)) for call in old]
    return [*pairs, *((None, call) for call in rest)]


def _nearest(call: _Call, among: list[_Call]) -> _Call | None:
    def alike(other: _Call) -> float:
        return overlap(call.asked, other.asked)

    best = max(among[:_MOST_LAID], key=alike, default=None)
    return best if best is not None and alike(best) >= _LEAST_ALIKE else None


def _difference(agent: str, old: _Call | None, new: _Call | None) -> CallDifference | None:
    """How a pair differs; `None` where it does not."""
    request: tuple[Difference, ...] = ()
    answer: tuple[Drift, ...] = ()
    if old is not None and new is not None:
        if old.key != new.key:
            request = tuple(_in_requests(old, new))
        answer = compare_answers(old.interaction, new.interaction)
        if not request and not answer:
            return None
    shown = new or old
    assert shown is not None
    return CallDifference(
        agent=agent,
        call=call_words(shown.interaction.request),
        old=None if old is None else old.number,
        new=None if new is None else new.number,
        request=request,
        answer=answer,
    )


def _in_requests(old: _Call, new: _Call) -> Iterator[Difference]:
    requests = old.interaction.request, new.interaction.request
    before, after = (f"{each.method} {each.url}" for each in requests)
    if before != after:
        yield Difference("URL", f"[-{before}-] {{+{after}+}}")
    yield from differences(old.asked, new.asked)
