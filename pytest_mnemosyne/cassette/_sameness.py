"""Whether two recordings are the same, but for what every recording has anew.

Dates, durations, how the network cut a body into chunks, rate limits and the ids of
requests tell of the day and not of the exchange. The ids that Claude minted differ each
time, too; so they are compared by where they first appear, and by whether what names
them later names the same ones. An id in the input of a tool is the model's own word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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
_CUSTOM_ID: Final = "custom_id"
"""Under this name stands what the user has chosen."""

_SAID: Final = frozenset({"input", "text", "thinking", "partial_json", "arguments"})
"""What stands under these names is the model's."""

_DATE: Final = re.compile(
    rb'("[a-z_]+_at": ?)"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)"'
)


def are_same(one: CassetteFile, other: CassetteFile) -> bool:
    """Whether nothing is new in the later of two recordings."""
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


def _plain(file: CassetteFile) -> CassetteFile:
    """The file without what every recording has anew."""
    recorded = file.recorded
    if recorded is not None:
        recorded = replace(recorded, at=None, versions=dict(recorded.versions))
    names = _Names.of(file.interactions)
    return replace(
        file,
        recorded=recorded,
        volatile=NO_STAND_INS,
        interactions=tuple(names.of_interaction(one) for one in file.interactions),
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Counts ids in place of naming them."""

    minted: re.Pattern[bytes]
    counted: dict[bytes, bytes]

    @classmethod
    def of(cls, interactions: Iterable[Interaction]) -> _Names:
        counted: dict[bytes, bytes] = {}
        kinds = set()
        for one in interactions:
            for each in minted_ids(one.response.body) if one.response is not None else ():
                kinds.add(id_kind(each))
                counted.setdefault(each.encode(), b"#%d" % len(counted))
        listed = "|".join(sorted(kinds)) or "(?!)"
        pattern = rf"(?<![0-9A-Za-z_-])(?:{listed})_[0-9A-Za-z_-]+"
        return cls(re.compile(pattern.encode()), counted)

    def of_interaction(self, one: Interaction) -> Interaction:
        return replace(
            one,
            took_s=0.0,
            request=self._of_request(one.request),
            response=None if one.response is None else self._of_response(one.response),
        )

    def _of_request(self, request: Request) -> Request:
        url = self._in(request.url.encode("utf-8", "surrogatepass"))
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
        data = self.minted.sub(lambda each: self.counted.get(each[0], each[0]), data)
        # In which order a run mints its own ids may be chance.
        return ID.sub(
            lambda each: self.counted.setdefault(each[0], b"#%d" % len(self.counted)), data
        )
