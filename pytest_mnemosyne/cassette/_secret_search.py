"""Where in a text there are secrets, in whatever form a reader could decode them from."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette._decodings import (
    FRAGMENT_STARTS,
    GZIP,
    GZIP_BASE64,
    MOST_UNPACKED_BYTES,
    TooMuchUnpackedError,
    Traced,
    base64_haystack,
    base64_like,
    base64_runs,
    folded,
    gzips,
    place_in_run,
    plain_base64,
    to_line_end,
    unbase64,
    unescaped,
)
from pytest_mnemosyne.cassette._edits import Edit
from pytest_mnemosyne.cassette._secret_patterns import (
    SHAPES,
    SHORTEST_SECRET,
    Shape,
    Value,
    any_of,
    shapes_in,
)
from pytest_mnemosyne.cassette._stream_texts import StreamTexts
from pytest_mnemosyne.wire import looks_like_sse

DEPTH: Final = 3
"""How many wrappings (base64 in gzip in base64) are opened."""

_SURROUNDINGS: Final = 128
"""In bytes. So much around a sign of a key in base64 is decoded to see whether it is one."""

_TOO_MUCH: Final = f"data that unpacks to more than {MOST_UNPACKED_BYTES >> 20} MB to search"


@dataclass(frozen=True, slots=True)
class Hit:
    """A secret in a text."""

    start: int
    end: int
    """The stretch of the text that stands for it."""

    secret: str
    """Its name, never its value."""

    form: str = ""
    """How it is wrapped, in words, such as `in base64`; empty where it is not."""

    wrapped: bytes | None = None
    """What the stretch decodes to, where it is wrapped."""

    rewrap: Callable[[bytes, int], Edit] | None = None
    """The edit that puts other bytes there, which are the same up to a position; `None` where
    nothing can be put there."""

    word: str = ""
    """What a mark calls it: the name of its variable, or its kind; empty where it is wrapped."""

    is_known: bool = False
    """Whether it is a value that the run knows, and not one that looks like a key."""


class SecretSearch:
    """Knows the run's secrets and finds them."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        """Look for the values of `secrets`, pairs of name and value, and for what looks like a key.

        Of several names for one value the first is told.

        Raises:
            UsageError: A value is so short that it would be found everywhere.
        """
        values: dict[tuple[bytes, ...], Value] = {}
        # The longest first: one secret may begin with another.
        for name, value in sorted(secrets, key=lambda item: -len(item[1])):
            try:
                if value:
                    known = Value(name, value)
                    values.setdefault(known.literals, known)
            except ValueError as error:
                raise UsageError(
                    f"the secret {name} has {error} characters and would be found in every "
                    f"other text; use one of at least {SHORTEST_SECRET}"
                ) from None
        self._values = tuple(values.values())
        parts = [part for value in self._values for part in value.in_base64]
        parts += [part for shape in SHAPES for part in shape.in_base64]
        self._in_base64 = any_of((*parts, GZIP_BASE64))
        longest = max((len(one) for value in self._values for one in value.literals), default=0)
        self._surroundings = 4 * (longest + _SURROUNDINGS)

    def find(self, data: bytes, depth: int = DEPTH) -> str | None:
        """The name of a secret in `data`; `None` where there is none.

        Args:
            data: The text.
            depth: How many wrappings are opened.
        """
        first = next(self.hits(data, depth), None)
        return None if first is None else first.secret

    def hits(self, data: bytes, depth: int = DEPTH) -> Iterator[Hit]:
        """Every secret in `data`, those of one form after those of the other."""
        yield from self.hits_here(data, depth)
        if depth and looks_like_sse(data):
            yield from self._hits_in_stream(data, depth)

    def hits_here(self, data: bytes, depth: int) -> Iterator[Hit]:
        """Secrets in the bytes themselves, whether or not they are a stream."""
        if len(data) < SHORTEST_SECRET:
            return
        plain = unescaped(data)
        yield from self._hits_as_it_stands(data)
        yield from self._hits_escaped(data, plain)
        if not depth:
            return
        yield from self._hits_in_base64(data, plain, depth)
        try:
            for start, end, inner in gzips(data):
                hit = next(self.hits(inner, depth - 1), None)
                if hit is not None:
                    form = f"{hit.form} in gzip".lstrip()
                    yield Hit(start, end, hit.secret, form, inner, _gzip_again(start, end))
        except TooMuchUnpackedError:
            # Nobody knows what is in it, so there is nothing to put in its place.
            yield Hit(0, len(data), _TOO_MUCH, wrapped=b"")

    def _hits_as_it_stands(self, data: bytes) -> Iterator[Hit]:
        for value in self._values:
            for literal in value.literals:
                for start in _places(data, literal):
                    yield _known(value, start, start + len(literal))
        for shape in shapes_in(data):
            for match in shape.spelled.finditer(data):
                yield _looking(shape, *match.span(1))

    def _hits_escaped(self, data: bytes, plain: bytes) -> Iterator[Hit]:
        """Secrets in the text that `data` is once its escapes are resolved."""
        text = folded(plain)
        for value in self._values:
            if value.plain is not None and value.plain in text:
                traced = Traced.folded(data)
                for start in _places(traced.text, value.plain):
                    yield _known(value, *traced.origin(start, start + len(value.plain)))
        if plain == data:
            return
        for shape in shapes_in(plain):
            traced = Traced.unescaped(data)
            for match in shape.spelled.finditer(traced.text):
                yield _looking(shape, *traced.origin(*match.span(1)))

    def _hits_in_base64(self, data: bytes, plain: bytes, depth: int) -> Iterator[Hit]:
        if self._may_hold_base64(data):
            yield from self._hits_in_runs(Traced(data), depth)
        if plain != data and self._may_hold_base64(plain):
            yield from self._hits_in_runs(Traced.unescaped(data), depth)

    def _may_hold_base64(self, data: bytes) -> bool:
        return self._in_base64.search(base64_haystack(data)) is not None

    def _hits_in_runs(self, text: Traced, depth: int) -> Iterator[Hit]:
        for start, run, parts in base64_runs(text.text):
            hits = [self._hit_in_run(text, start + at, part, depth) for at, part in parts]
            if not any(hits) and parts != [(0, run)]:
                # Over the ends of lines that seem to have nothing to do with each other.
                hits.append(self._hit_in_run(text, start, run, depth, up_to_line_end=True))
            yield from filter(None, hits)

    def _hit_in_run(
        self, text: Traced, start: int, run: bytes, depth: int, *, up_to_line_end: bool = False
    ) -> Hit | None:
        for skip in self._suspicious_starts(run, depth):
            rest = run[skip:]
            inner = unbase64(rest)
            hit = next(self.hits(inner, depth - 1), None)
            if hit is None:
                continue
            if up_to_line_end:
                last = (hit.end * 8 - 1) // 6
                rest = to_line_end(rest, place_in_run(rest, last))
                inner = unbase64(rest)
            form = f"{hit.form} in base64".lstrip()
            span = text.origin(start + skip, start + skip + len(rest))
            again = _base64_again(text, start + skip, rest)
            return Hit(*span, hit.secret, form, inner, again)
        return None

    def _suspicious_starts(self, run: bytes, depth: int) -> Iterator[int]:
        """Where base64 may begin in a run so that there is a secret in it.

        Nobody says where it begins: other characters may stand before it. And most of what
        looks like a secret's base64 in a picture is there by chance; so only its
        surroundings are decoded at first.
        """
        plain = plain_base64(run)
        looked_to = dict.fromkeys(range(4), 0)
        for match in self._in_base64.finditer(plain):
            for before in FRAGMENT_STARTS:
                skip = (match.start() - before) % 4
                if match.end() <= looked_to[skip]:
                    continue
                looked_to[skip] = match.end() + self._surroundings // 2
                first = max(skip, match.start() - before - self._surroundings)
                around = unbase64(plain[first : match.end() + self._surroundings])
                if GZIP in around or self.find(around, depth - 1) is not None:
                    looked_to[skip] = len(plain)
                    yield place_in_run(run, skip)

    def _hits_in_stream(self, data: bytes, depth: int) -> Iterator[Hit]:
        stream = StreamTexts(data)
        starts = stream.starts() if stream.texts else []
        for pieces in stream.texts:
            secret = self.find(b"".join(piece.data for piece in pieces), depth - 1)
            if secret is not None:
                span = starts[pieces[0].event], starts[pieces[-1].event + 1]
                yield Hit(*span, secret, "split over a stream's events")


def _known(value: Value, start: int, end: int) -> Hit:
    return Hit(start, end, value.name, word=value.name, is_known=True)


def _looking(shape: Shape, start: int, end: int) -> Hit:
    return Hit(start, end, shape.name, word=shape.kind)


def _places(data: bytes, literal: bytes) -> Iterator[int]:
    at = data.find(literal)
    while at >= 0:
        yield at
        at = data.find(literal, at + len(literal))


def _gzip_again(start: int, end: int) -> Callable[[bytes, int], Edit]:
    return lambda clean, _same: (start, end, gzip.compress(clean, mtime=0))


def _base64_again(text: Traced, start: int, run: bytes) -> Callable[[bytes, int], Edit]:
    """Puts base64 in the place of `run`, which begins at `start`, from where it changes."""

    def again(clean: bytes, same: int) -> Edit:
        whole = same // 3
        first, end = text.origin(start + place_in_run(run, whole * 4), start + len(run))
        return first, end, base64_like(clean[whole * 3 :], run)

    return again
