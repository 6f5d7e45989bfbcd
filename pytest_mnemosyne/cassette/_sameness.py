"""Whether two recordings are the same, but for what every recording has anew.

Dates, durations, how the network cut a body into chunks, rate limits and the ids of
requests tell of the day and not of the exchange. The ids that Claude minted differ each
time, too; so they are compared by where they first appear, and by whether what names
them later names the same ones. An id in the input of a tool is the model's own word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_mnemosyne.cassette._contents import NO_STAND_INS, CassetteFile
from pytest_mnemosyne.cassette._interaction import Interaction, Request, Response
from pytest_mnemosyne.cassette._json_styles import is_deep
from pytest_mnemosyne.cassette._stand_ins import ID
from pytest_mnemosyne.wire import decode, looks_like_sse

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._yaml import Where

_OF_THE_DAY: Final = frozenset({"request-id", "retry-after", "retry-after-ms"})
_RATE_LIMITS: Final = "anthropic-ratelimit-"

_ID: Final = re.compile(r"[A-Za-z]+_[0-9A-Za-z_-]+")
_NAME: Final = re.compile(rb"(?<![0-9A-Za-z_-])[A-Za-z]+_[0-9A-Za-z_-]+")
"""What may be an id, wherever it stands."""

_CUSTOM_ID: Final = "custom_id"
"""Under this name stands what the user has chosen."""

_SAID: Final = frozenset({"input", "text", "thinking", "partial_json", "arguments"})
"""What stands under these names is the model's."""

_DATE: Final = re.compile(
    rb'("[a-z_]+_at": ?)"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)"'
)


def are_same(one: CassetteFile, other: CassetteFile) -> bool:
    """Whether nothing is new in the later of two recordings.

    Of several tests that share a cassette, which one has recorded last is nothing new.
    """
    return _plain(one) == _plain(other)


def minted_ids(body: bytes) -> Iterator[str]:
    """The ids that Claude minted in an answer, in order."""
    for value in values_in(body):
        for _, each in minted_at(value):
            yield each


def id_kind(minted: str) -> str:
    """What stands before the underscore of an id that Claude minted, such as `msg`."""
    return minted.partition("_")[0]


def values_in(body: bytes) -> Iterator[object]:
    """The JSON in a body: one value, or one for each event or line."""
    if looks_like_sse(body):
        texts: Iterable[str | bytes] = (event.data or "" for event in decode(body).events)
    else:
        texts = [body]
    for text in texts:
        # The results of a batch are lines of JSON.
        lines = [text] if _is_json(text) else text.splitlines()
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not is_deep(value):
                yield value


def _is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def minted_at(value: object, where: Where = ()) -> Iterator[tuple[Where, str]]:
    """The ids that Claude minted in a value, in order, each with the path to it.

    What belongs to a request of a batch is told by the name that the request has.
    """
    if isinstance(value, list):
        for at, each in enumerate(value):
            name = each.get(_CUSTOM_ID) if isinstance(each, dict) else None
            yield from minted_at(each, (*where, name if isinstance(name, str) else at))
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str):
                is_id = name == "id" or (name.endswith("_id") and name != _CUSTOM_ID)
                if is_id and _ID.fullmatch(each):
                    yield (*where, name), each
            elif name not in _SAID:
                yield from minted_at(each, (*where, name))


class Renaming:
    """What the ids that Claude minted in a later recording were called in the earlier one."""

    def __init__(self) -> None:
        self._earlier: dict[bytes, bytes] = {}

    def learn(self, earlier: Interaction, later: Interaction) -> None:
        """Two answers stand for each other: so do the ids in them, kind by kind in order."""
        known = _by_kind(earlier)
        for kind, ids in _by_kind(later).items():
            for new, old in zip(ids, known.get(kind, ()), strict=False):
                self._earlier.setdefault(new.encode(), old.encode())

    def spellings(self, request: Request) -> Iterator[Request]:
        """A request as it is, and as it would have been in the earlier recording."""
        yield request
        url = _bytes(request.url)
        named = self._in(url), self._in(request.body)
        if named != (url, request.body):
            yield replace(request, url=named[0].decode("utf-8", "surrogatepass"), body=named[1])

    def _in(self, data: bytes) -> bytes:
        if not self._earlier:
            return data
        return _NAME.sub(lambda each: self._earlier.get(each[0], each[0]), data)


def _by_kind(interaction: Interaction) -> dict[str, list[str]]:
    """The ids that Claude minted in an answer, by their kind, each once."""
    found: dict[str, list[str]] = {}
    for each in dict.fromkeys(_minted_in(interaction)):
        found.setdefault(id_kind(each), []).append(each)
    return found


def _plain(file: CassetteFile) -> CassetteFile:
    """The file without what every recording has anew."""
    recorded = file.recorded
    if recorded is not None:
        recorded = replace(recorded, at=None, test=None, versions=dict(recorded.versions))
    names = _Names(file.interactions)
    return replace(
        file,
        recorded=recorded,
        volatile=NO_STAND_INS,
        interactions=tuple(names.of_interaction(one) for one in file.interactions),
    )


class _Names:
    """Counts ids in place of naming them.

    One id may be minted twice, by scripts that begin anew for each test that shares the
    file; who names it means the last time.
    """

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        """The ids of one file."""
        self._names: dict[bytes, bytes] = {}
        kinds = set()
        for one in interactions:
            for each in _minted_in(one):
                kinds.add(id_kind(each))
                # For who names it before: another agent, whose calls stand first.
                self._names.setdefault(each.encode(), b"#%d" % len(self._names))
        listed = "|".join(sorted(kinds)) or "(?!)"
        pattern = rf"(?<![0-9A-Za-z_-])(?:{listed})_[0-9A-Za-z_-]+"
        self._id = re.compile(pattern.encode())
        self._count = 0
        self._own: dict[bytes, bytes] = {}

    def of_interaction(self, one: Interaction) -> Interaction:
        """An exchange; the earlier ones of its file have been given."""
        request = self._of_request(one.request)
        named = {*self._id.findall(one.request.body), *self._id.findall(_bytes(one.request.url))}
        for each in dict.fromkeys(_minted_in(one)):
            if each.encode() not in named:
                self._names[each.encode()] = b"@%d" % self._count
                self._count += 1
        return replace(
            one,
            took_s=0.0,
            request=request,
            response=None if one.response is None else self._of_response(one.response),
        )

    def _of_request(self, request: Request) -> Request:
        url = self._in(_bytes(request.url))
        return replace(
            request, url=url.decode("utf-8", "surrogatepass"), body=self._in(request.body)
        )

    def _of_response(self, response: Response) -> Response:
        return Response(
            status=response.status,
            headers=tuple(
                header
                for header in response.headers
                if header[0] not in _OF_THE_DAY and not header[0].startswith(_RATE_LIMITS)
            ),
            body=self._in(_DATE.sub(rb'\1"*"', response.body)),
        )

    def _in(self, data: bytes) -> bytes:
        data = self._id.sub(lambda each: self._names.get(each[0], each[0]), data)
        # In which order a run mints its own ids may be chance.
        return ID.sub(lambda each: self._own.setdefault(each[0], b"~%d" % len(self._own)), data)


def _minted_in(interaction: Interaction) -> Iterator[str]:
    """The ids that Claude minted in the answer, if there is one."""
    return minted_ids(interaction.response.body if interaction.response is not None else b"")


def _bytes(url: str) -> bytes:
    return url.encode("utf-8", "surrogatepass")
