"""The ids that Claude has minted in a verify run, beside those that it had minted before.

The client goes on with the recorded answers, so its later requests name recorded ids: of a
batch that it asks for, of a file, of the message that a thread goes on from. Upstream has
never heard of them. An id that a live answer has where the recorded one had another is that
one's partner, and requests go out with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from pytest_mnemosyne.cassette._answers import read_answer
from pytest_mnemosyne.cassette._interaction import Interaction, Request
from pytest_mnemosyne.cassette._sameness import id_kind, minted_at, values_in
from pytest_mnemosyne.cassette._stand_ins import word

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._yaml import Where


class LiveIds:
    """Which id of the live run each recorded one stands for. From any thread."""

    def __init__(self) -> None:
        """No answer has come yet."""
        self._partners: dict[bytes, bytes] = {}
        self._alone: set[bytes] = set()
        """Recorded ids in whose places live answers had none."""

        self._kinds: set[str] = set()
        self._any_id = re.compile(b"(?!)")
        self._lock = Lock()

    def learn(self, recorded: Interaction, live: Interaction | None) -> None:
        """Take the ids of a recorded answer and, where there is one, of the live one."""
        lives = dict(_ids_of(live)) if live is not None else {}
        ids = list(_ids_of(recorded))
        kinds = {id_kind(then) for _, then in ids}
        with self._lock:
            for where, then in ids:
                now = lives.get(where)
                if now is not None and id_kind(now) == id_kind(then):
                    # The first answer counts: a list that others add to has other places.
                    self._partners.setdefault(then.encode(), now.encode())
                else:
                    self._alone.add(then.encode())
            if not kinds <= self._kinds:
                self._kinds |= kinds
                pattern = rf"(?:{'|'.join(sorted(self._kinds))})_[0-9A-Za-z_-]+"
                self._any_id = word(pattern.encode(), of=b"0-9A-Za-z_-")

    def in_upstreams(self, request: Request) -> Request:
        """The request as upstream understands it; the same one where it names no partner's id."""
        with self._lock:
            url = self._in_upstreams(request.url.encode("utf-8", "surrogatepass"))
            body = self._in_upstreams(request.body)
        changed = replace(request, url=url.decode("utf-8", "surrogatepass"), body=body)
        return request if changed == request else changed

    def unknown(self, request: Request) -> tuple[str, ...]:
        """The recorded ids that it names and that have no partner, in order."""
        text = request.url.encode("utf-8", "surrogatepass") + b"\n" + request.body
        with self._lock:
            alone = self._alone - self._partners.keys()
            named = dict.fromkeys(each[0] for each in self._any_id.finditer(text))
        return tuple(each.decode() for each in named if each in alone)

    def _in_upstreams(self, data: bytes) -> bytes:
        return self._any_id.sub(lambda each: self._partners.get(each[0], each[0]), data)


def _ids_of(interaction: Interaction) -> Iterator[tuple[Where, str]]:
    """The ids that Claude minted in an answer, each with its place in what the answer means."""
    if interaction.response is None:
        return
    body = interaction.response.body
    message = read_answer(body).message
    yield from minted_at(list(values_in(body)) if message is None else message)
