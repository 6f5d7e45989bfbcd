"""The values of this run that no other run will have, known by where they come from.

Ids that a tree minted, folders of this run and readings of its clock are told here as
they arise. A cassette holds stand-ins for them (see `_stand_ins`), so a request is put
into the file's words before it is looked up or recorded, and an answer is put into this
run's words before it is played: what a recorded answer says of an id or a folder is true
in the run that plays it.

An id stands for one recorded id and for no other, over the whole run. Before it is known
which, the order in which the ids were minted says it; where the recording had them in
another order, the first request that is the same but for its ids decides. What comes
later has to agree, so a swapped id misses. Ids that Claude minted need no stand-in: they
come out of the cassette as they were recorded.

A replay looks only for the kinds of values of which its cassette has some. So a text that
happens to be somebody's home folder is left alone where no home folder was recorded.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from mnemosyne_core import lane as lanes
from pytest_mnemosyne.cassette._contents import NO_STAND_INS, StandIns
from pytest_mnemosyne.cassette._interaction import Interaction, Request, Response
from pytest_mnemosyne.wire import looks_like_sse

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._edits import Edit
    from pytest_mnemosyne.cassette._stream_texts import Piece

Folders = Callable[[], tuple[tuple[str, str], ...]]
"""The folders of the run, by the names in `_stand_ins.FOLDERS`; more may come to be known."""

_SHORTEST_ID: Final = 6
"""In characters, its kind apart. A shorter one stands in other texts by chance."""


class Asked(NamedTuple):
    """A request of this run in the words of its cassette."""

    request: Request
    ids: tuple[tuple[str, str], ...] = ()
    """Each id of this run that it names, and what stands for it in the request."""

    at: datetime | None = None
    """The last reading of the clock that it tells."""


class Origins:
    """What one test's run has made, and what it is called in the test's cassette.

    It listens to `mnemosyne_core.origins`, from any thread; all else is for one thread at
    a time.
    """

    def __init__(self, folders: Folders = tuple) -> None:
        """Nothing has been told yet, and the cassette has no words for anything."""
        self._folders = folders
        self._kinds = NO_STAND_INS
        self._minted: dict[str, tuple[str, str, int]] = {}
        """For each id its kind, which agent minted it, and the how many-th of both it is."""

        self._counts: Counter[tuple[str, str]] = Counter()
        self._shapes: dict[str, re.Pattern[bytes]] = {}
        self._stand_ins: dict[str, str] = {}
        self._lives: dict[str, str] = {}
        """The same the other way round: what an id's stand-in stands for in this run."""

        self._seconds: set[datetime] = set()
        self._minutes: set[datetime] = set()
        self._days: set[bytes] = set()

    # --- what is told --------------------------------------------------------------------

    def minted(self, value: str, kind: str) -> None:
        """An id was made."""
        drawn = value.removeprefix(kind)
        # `tempfile` draws underscores, too.
        if len(re.findall("[0-9A-Za-z_]", drawn)) < _SHORTEST_ID or value in self._minted:
            return
        # Counted for each agent by itself: which of two is first is chance.
        minter = id_minter(lanes.current.get())
        self._counts[kind, minter] += 1
        self._minted[value] = (kind, minter, self._counts[kind, minter])
        runs = re.sub("[0-9A-Za-z]+", lambda run: f"[0-9A-Za-z]{{{len(run[0])}}}", re.escape(drawn))
        shape = re.escape(kind) + runs
        if shape not in self._shapes:
            from pytest_mnemosyne.cassette._stand_ins import word

            self._shapes[shape] = word(shape.encode(), of=b"0-9A-Za-z")

    def told(self, instant: datetime) -> None:
        """The clock was read."""
        second = instant.replace(microsecond=0)
        if second in self._seconds:
            return
        self._seconds.add(second)
        self._minutes.add(second.replace(second=0))
        for days in (-1, 0, 1):
            # In another time zone it may be another day.
            day = second + timedelta(days=days)
            self._days |= {day.strftime(form).encode() for form in ("%Y-%m-%d", "%Y%m%d")}

    def play(self, kinds: StandIns) -> None:
        """Look for the values of these kinds from now on: the cassette has words for them."""
        self._kinds = kinds

    # --- this run's words and the file's -------------------------------------------------

    def asked(self, request: Request) -> Asked:
        """A request in the file's words, as far as the cassette that is played has some."""
        if not self._kinds:
            return Asked(request)
        words = _Words(self, self._kinds)
        return Asked(words.of_request(request), tuple(words.ids.items()), words.at)

    def agree(self, asked: Asked) -> None:
        """The request was recorded in just these words: its ids are what they were taken for."""
        for live, stand_in in asked.ids:
            self._pair(live, stand_in)

    def objection(self, asked: Asked, named: Iterable[str], recorded: Iterable[str]) -> str | None:
        """Take ids for others, one by one, if nothing speaks against it.

        Args:
            asked: The request.
            named: The stand-ins in it, in order.
            recorded: Those in the recorded request that is the same but for them.

        Returns:
            What speaks against it, in words; nothing is taken for anything then.
        """
        lives = {stand_in: live for live, stand_in in asked.ids}
        pairs = [(lives.get(each, each), then) for each, then in zip(named, recorded, strict=True)]
        for live, then in pairs:
            known, holder = self._stand_ins.get(live, then), self._lives.get(then, live)
            if holder != live:
                return f"the same, but for {live} where {holder} was"
            if known != then:
                return f"the same, but for {live} ({known} in the cassette) where {then} was"
        for live, then in pairs:
            self._pair(live, then)
        return None

    def played(self, interaction: Interaction, asked: Asked) -> Interaction:
        """A recorded answer in this run's words."""
        response = interaction.response
        if not self._kinds or response is None:
            return interaction
        from pytest_mnemosyne.cassette._stand_ins import find, folder_stand_in

        folders = {folder_stand_in(name): path for name, path in reversed(self._folders())}
        edits: list[Edit] = []
        for each in find(response.body, self._kinds):
            live: bytes | None
            if each.instant is not None:
                live = None if asked.at is None else each.instant.respelled(asked.at)
            elif each.text.startswith("/"):
                # With slashes, which need no escapes in JSON; Windows takes them, too.
                live = folders.get(each.text, each.text).replace("\\", "/").encode()
            else:
                live = self._live_id(each.text).encode()
            if live is not None:
                edits.append((each.start, each.end, live))
        return interaction if not edits else replace(interaction, response=_edited(response, edits))

    def stored(self, interaction: Interaction) -> Interaction:
        """An exchange of this run in the file's words, for values of every kind."""
        words = _Words(self, None)
        request = words.of_request(interaction.request)
        response = words.of_response(interaction.response)
        for live, stand_in in words.ids.items():
            self._pair(live, stand_in)
        if request is interaction.request and response is interaction.response:
            return interaction
        return replace(interaction, request=request, response=response)

    # --- inside --------------------------------------------------------------------------

    def _pair(self, live: str, stand_in: str) -> None:
        self._stand_ins[live] = stand_in
        self._lives[stand_in] = live

    def _live_id(self, stand_in: str) -> str:
        """What a recorded id is in this run; itself, where this run has not minted as many."""
        if stand_in not in self._lives:
            for live, place in list(self._minted.items()):
                if id_stand_in(*place) == stand_in and live not in self._stand_ins:
                    self._pair(live, stand_in)
        return self._lives.get(stand_in, stand_in)

    def _stand_in(self, live: str, others: Collection[str]) -> str:
        """What stands for an id: what it is known as, or what the order of minting says."""
        known = self._stand_ins.get(live)
        if known is not None:
            return known
        kind, minter, number = self._minted[live]
        stand_in, lowest = id_stand_in(kind, minter, number), 0
        while stand_in in self._lives or stand_in in others:
            lowest += 1
            stand_in = id_stand_in(kind, minter, lowest)
        return stand_in


def id_stand_in(kind: str, minter: str, number: int) -> str:
    """What stands for the `number`-th id of a kind that an agent minted, or nobody's."""
    return "-".join(("this-run", *filter(None, (_named(kind), minter)), str(number)))


def id_minter(lane: lanes.Lane | None) -> str:
    """How an agent is called in the stand-ins of its ids; nothing outside of agents."""
    if lane is None:
        return ""
    agent = _named(lane.agent.replace("/", "."))
    return agent if lane.attempt == 1 else f"{agent}.{lane.attempt}"


def _named(text: str) -> str:
    """A text as one word of a stand-in, which begins with a letter."""
    word = re.sub("[^0-9A-Za-z.]+", "_", text)
    return word if not word or word[0].isalpha() else f"x{word}"


class _Words:
    """Puts one exchange into the file's words, and remembers what was in it."""

    def __init__(self, origins: Origins, kinds: StandIns | None) -> None:
        """Look for values of some kinds, or of all."""
        self.ids: dict[str, str] = {}
        self.at: datetime | None = None
        self._origins = origins
        self._kinds = kinds
        self._shapes = tuple(origins._shapes.values()) if kinds is None or kinds.ids else ()
        self._days = tuple(origins._days) if kinds is None or kinds.clock else ()
        self._folders = self._spelled_folders()

    def of_request(self, request: Request) -> Request:
        url, body = request.url.encode("utf-8", "surrogatepass"), request.body
        in_url, in_body = self._edits(url), self._edits(body)
        if not in_url and not in_body:
            return request
        from pytest_mnemosyne.cassette._edits import edited

        return replace(
            request,
            url=edited(url, in_url).decode("utf-8", "surrogatepass"),
            body=edited(body, in_body),
        )

    def of_response(self, response: Response | None) -> Response | None:
        if response is None:
            return None
        if looks_like_sse(response.body):
            # First, because half a value may look like a whole one: a time without seconds.
            edits = self._edits_of_stream(response.body)
            response = _edited(response, edits) if edits else response
        edits = self._edits(response.body)
        return _edited(response, edits) if edits else response

    def _edits_of_stream(self, body: bytes) -> list[Edit]:
        """What to replace so that also what is spread over several events is replaced."""
        from pytest_mnemosyne.cassette._edits import spread
        from pytest_mnemosyne.cassette._stream_texts import StreamTexts

        stream = StreamTexts(body)
        changed: dict[Piece, bytes] = {}
        for pieces in stream.texts:
            texts = [piece.data for piece in pieces]
            edits = self._edits(b"".join(texts))
            if edits:
                found = zip(pieces, texts, spread(texts, edits), strict=True)
                changed |= {piece: after for piece, before, after in found if after != before}
        return stream.edits(changed)

    def _edits(self, data: bytes) -> list[Edit]:
        found: list[Edit] = []
        for shape in self._shapes:
            for hit in shape.finditer(data):
                stand_in = self._of_id(hit[0].decode())
                if stand_in is not None:
                    found.append((*hit.span(), stand_in.encode()))
        for spelled, folder in self._folders:
            if spelled in data:
                from pytest_mnemosyne.cassette._stand_ins import word

                pattern = word(re.escape(spelled), of=rb"\w-", before=b".", behind=rb"\.\w")
                found += [(*hit.span(), folder) for hit in pattern.finditer(data)]
        if any(day in data for day in self._days):
            found += self._edits_of_instants(data)
        edits: list[Edit] = []
        for edit in sorted(found, key=lambda edit: (edit[0], -edit[1])):
            if not edits or edit[0] >= edits[-1][1]:
                edits.append(edit)
        return edits

    def _of_id(self, text: str) -> str | None:
        if text not in self._origins._minted:
            return None
        if text not in self.ids:
            self.ids[text] = self._origins._stand_in(text, self.ids.values())
        return self.ids[text]

    def _edits_of_instants(self, data: bytes) -> list[Edit]:
        from pytest_mnemosyne.cassette._stand_ins import instant_texts, stood_for

        edits: list[Edit] = []
        for text in instant_texts(data):
            told = self._origins._seconds if text.has_seconds else self._origins._minutes
            if text.at in told:
                self.at = text.at
                edits.append((text.start, text.end, stood_for(text)))
        return edits

    def _spelled_folders(self) -> list[tuple[bytes, bytes]]:
        """How each folder may be spelled, and what stands for it; the longest first."""
        from pytest_mnemosyne.cassette._stand_ins import folder_stand_in

        wanted = None if self._kinds is None else self._kinds.folders
        found: dict[bytes, bytes] = {}
        for name, path in self._origins._folders():
            stand_in = folder_stand_in(name)
            if wanted is None or stand_in in wanted:
                for spelled in _spellings(path):
                    found.setdefault(spelled, stand_in.encode())
        return sorted(found.items(), key=lambda each: -len(each[0]))


def _spellings(path: str) -> tuple[bytes, ...]:
    """A path as it stands, in JSON, and in JSON inside of JSON."""
    spelled = [path]
    for _ in range(2):
        spelled += [
            json.dumps(each, ensure_ascii=ascii_only)[1:-1]
            for each in tuple(spelled)
            for ascii_only in (True, False)
        ]
    return tuple(each.encode("utf-8", "surrogatepass") for each in dict.fromkeys(spelled))


def _edited(response: Response, edits: list[Edit]) -> Response:
    from pytest_mnemosyne.cassette._edits import edited, moved_chunks

    body = edited(response.body, edits)
    return replace(response, body=body, chunks=moved_chunks(response.chunks, body, [edits]))
