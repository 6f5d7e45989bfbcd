r"""Secrets are taken out of an exchange before anything of it is written or shown.

Two kinds are looked for: values that the run knows to be secret, and texts that
look like a key. A body is searched in every form that a reader could decode:

- as it stands, with escapes of JSON (`\"`, `\\\"`, `\u002d`) and URLs resolved,
- base64 in any alignment, standard or URL-safe, in one line or several,
- gzip, whole, in the middle of other data, or inside base64,
- the texts of a stream's events joined, since a key may arrive in several deltas.

What is found is replaced by a mark that says which secret it was (see `_marks`), in the
form it was found in. Every replacement is an edit of a stretch of bytes, so that the
chunks of a stream keep their boundaries around it. Then it is searched again; what is
still found cannot be replaced, and whoever wanted to write it has to leave it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from typing import Final

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._edits import Edit, edited, merged, moved_chunks, spread
from pytest_mnemosyne.cassette._interaction import Headers, Interaction, Request, Response
from pytest_mnemosyne.cassette._marks import NAMELESS, REDACTED, Marking, Named, Nameless
from pytest_mnemosyne.cassette._secret_search import DEPTH, Hit, SecretSearch
from pytest_mnemosyne.cassette._stream_texts import Piece, StreamTexts
from pytest_mnemosyne.wire import looks_like_sse

_MOST_PASSES: Final = 4
"""How often a text is edited; one pass for what stands in it, one for each other form."""


class SecretFoundError(Exception):
    """A secret is still there after everything that was found was replaced.

    Attributes:
        secret: Its name.
        where: The part of the exchange that holds it.
    """

    def __init__(self, secret: str, where: str) -> None:
        self.secret = secret
        self.where = where
        super().__init__(f"{where} holds {secret}")


class Redactor:
    """Knows the run's secrets, finds them and takes them out."""

    def __init__(self, secrets: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        """Look for the values of `secrets`, and for what looks like a key.

        A mapping from names to values, or pairs of them, where one name has had several values.

        Empty values are left out. The values appear in no error and no representation.
        Quotes, backslashes and blanks around a value are not looked for: in JSON they cannot
        be told from the quotes and escapes around it. Of several names for one value marks
        have the first.

        Raises:
            UsageError: A value is so short that it would be found everywhere.
        """
        self._search = SecretSearch(secrets.items() if isinstance(secrets, Mapping) else secrets)
        self._marking: Marking = Named(self._search.find)
        # What goes into a journal goes into a cassette next, and again with each call that is
        # added to it.
        self._found_clean: set[bytes] = set()

    # --- whole exchanges ---------------------------------------------------------------

    def interaction(self, interaction: Interaction) -> Interaction:
        """The exchange without secrets.

        Raises:
            SecretFoundError: One could not be taken out.
        """
        response = interaction.response
        return replace(
            interaction,
            request=self.request(interaction.request),
            response=None if response is None else self.response(response),
        )

    def request(self, request: Request) -> Request:
        """The request without secrets; equal requests stay equal.

        Raises:
            SecretFoundError: One could not be taken out.
        """
        return replace(
            request,
            method=self._text(request.method, "the request's method"),
            url=self._text(request.url, "the request's URL"),
            headers=self._headers(request.headers, "the request's headers"),
            body=self._clean(request.body, "the request's body")[0],
        )

    def response(self, response: Response) -> Response:
        """The response without secrets; chunks keep their times and their boundaries.

        Raises:
            SecretFoundError: One could not be taken out.
        """
        body, edits = self._clean(response.body, "the response's body")
        return replace(
            response,
            headers=self._headers(response.headers, "the response's headers"),
            body=body,
            chunks=moved_chunks(response.chunks, body, edits),
        )

    @cached_property
    def older(self) -> Redactor:
        """The same, with the one mark for all secrets that files had before marks had names."""
        older = copy.copy(self)
        older._marking = Nameless()
        return older

    # --- what is shown -----------------------------------------------------------------

    def shown_text(self, text: str) -> str:
        """A text that may be shown; where a secret cannot be taken out, what it was instead."""
        try:
            return self._text(text, "the text")
        except SecretFoundError as found:
            return f"<left out: it holds {found.secret}>"

    def shown_request(self, request: Request) -> Request:
        """The request as it may be shown: where a secret cannot be taken out, without its parts."""
        try:
            return self.request(request)
        except SecretFoundError:
            return Request(method=self.shown_text(request.method), url=REDACTED, body=NAMELESS)

    def shown_interaction(self, interaction: Interaction) -> Interaction:
        """The exchange as it may be shown."""
        response = interaction.response
        try:
            shown = None if response is None else self.response(response)
        except SecretFoundError:
            assert response is not None
            shown = Response(status=response.status, body=NAMELESS)
        return replace(
            interaction,
            request=self.shown_request(interaction.request),
            response=shown,
            lane=self.shown_lane(interaction.lane),
        )

    def shown_lane(self, lane: Lane | None) -> Lane | None:
        """The lane as it may be shown."""
        return None if lane is None else Lane(self.shown_text(lane.agent), lane.attempt)

    # --- texts -------------------------------------------------------------------------

    def find(self, data: bytes) -> str | None:
        """The name of a secret in `data`, in any form; `None` where there is none."""
        return self._search.find(data)

    def redact(self, data: bytes) -> bytes:
        """`data` with every secret replaced that is found in it."""
        return self._redact(data, DEPTH)[0]

    def hits(self, data: bytes) -> Iterator[Hit]:
        """Every secret in `data`, those of one form after those of the other."""
        return self._search.hits(data)

    # --- parts of exchanges ------------------------------------------------------------

    def _text(self, text: str, where: str) -> str:
        return self._clean(text.encode("utf-8", "surrogatepass"), where)[0].decode(
            "utf-8", "surrogatepass"
        )

    def _headers(self, headers: Headers, where: str) -> Headers:
        return tuple((name, self._text(value, where)) for name, value in headers)

    def _clean(self, data: bytes, where: str) -> tuple[bytes, list[list[Edit]]]:
        """`data` without secrets, and the edits of each pass that made it so."""
        passes: list[list[Edit]] = []
        digest = _digest(data)
        if digest in self._found_clean:
            return data, passes
        if self.find(data) is not None:
            data, passes = self._redact(data, DEPTH)
            digest = _digest(data)
            found = self.find(data)
            if found is not None:
                raise SecretFoundError(found, where)
        self._found_clean.add(digest)
        return data, passes

    # --- search and replacement --------------------------------------------------------

    def _redact(self, data: bytes, depth: int) -> tuple[bytes, list[list[Edit]]]:
        passes: list[list[Edit]] = []
        while len(passes) < _MOST_PASSES:
            edits = self._edits(data, depth) or self._stream_edits(data, depth)
            if not edits:
                break
            passes.append(edits)
            data = edited(data, edits)
        return data, passes

    def _edits(self, data: bytes, depth: int) -> list[Edit]:
        """What to replace in `data` as it stands, in order, without overlaps."""
        found: list[Edit] = []
        for hit in self._marking.settled(data, self._search.hits_here(data, depth)):
            if hit.wrapped is None:
                mark = self._marking.mark(hit, data[hit.start : hit.end])
                found.append((hit.start, hit.end, mark))
                continue
            clean, passes = self._redact(hit.wrapped, depth - 1)
            if passes and hit.rewrap is not None:
                found.append(hit.rewrap(clean, min(edits[0][0] for edits in passes)))
        return merged(found, NAMELESS)

    def _stream_edits(self, data: bytes, depth: int) -> list[Edit]:
        """What to replace in the events of a stream so that their joined texts are clean."""
        if not looks_like_sse(data):
            return []
        stream = StreamTexts(data)
        changed: dict[Piece, bytes] = {}
        for pieces in stream.texts:
            texts = [piece.data for piece in pieces]
            edits = self._edits(b"".join(texts), depth)
            if edits:
                changed |= zip(pieces, spread(texts, edits), strict=True)
        return stream.edits(changed) if changed else []


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
