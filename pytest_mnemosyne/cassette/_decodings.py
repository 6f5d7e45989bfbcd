r"""Bytes as their readers would decode them, and where each decoded stretch came from.

A text may be spelled with escapes, and a secret in it with it. Instead of one pattern
for every spelling there is one plain form of the text, made in two steps:

- `unescaped`: `\u002d`, `\x2d` and `%2d` are the characters that they stand for, however
  deep JSON lies in JSON; NULs are dropped, so that UTF-16 is read too,
- `folded`: no backslash is left, a line end is the letter that JSON writes for it, and a
  blank is the `+` that forms write for it.

Two texts that some reader could take for one another have the same plain form. To look
for something is then one search in C. Only what was found is traced back, step by step,
to the bytes that spelled it.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

GZIP: Final = b"\x1f\x8b\x08"
"""How gzip begins; the third byte is its one method."""

GZIP_BASE64: Final = b"H4sI"

MOST_UNPACKED_BYTES: Final = 32 * 1024 * 1024
"""What may come out of all the gzip in one text; a bomb is not searched to its end."""

_GZIP_HEADER_BYTES: Final = 1024
_PIECE_BYTES: Final = 1 << 16

_MOST_ROUNDS: Final = 8
"""How often escapes in escapes are resolved; honest nesting takes two or three rounds."""

# Each begins with the one character that is searched for fast, and takes a run of
# backslashes only from its first, and whole: a run without end costs its length.
_RUN_OF_BACKSLASHES: Final = rb"\\(?<!\\\\)\\*+"
_ESCAPE: Final = re.compile(_RUN_OF_BACKSLASHES + rb"(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_SURROGATES: Final = re.compile(
    _RUN_OF_BACKSLASHES + rb"u([dD][89abAB][0-9a-fA-F]{2})\\++u([dD][c-fC-F][0-9a-fA-F]{2})"
)
_PERCENT: Final = re.compile(rb"%([0-9a-fA-F]{2})")
_NULS: Final = re.compile(rb"\x00+")

_Instead = Callable[[re.Match[bytes]], bytes]
"""What stands in the place of a match."""

_FOLDS: Final = {b" ": b"+", b"\n": b"n", b"\r": b"r", b"\t": b"t"}
_FOLD_TABLE: Final = bytes.maketrans(b"".join(_FOLDS), b"".join(_FOLDS.values()))
_FOLDED: Final = re.compile(rb"[\\ \n\r\t]")

_RUN_CHARS: Final = rb"[A-Za-z0-9+/_-]"
_LINE_END: Final = rb"(?:\\++[nr]|[\r\n])++[ \t]*+"
_BREAKS: Final = _LINE_END + rb"|\\++(?=/)"
_RUN: Final = re.compile(_RUN_CHARS + rb"++(?:(?:" + _BREAKS + rb")" + _RUN_CHARS + rb"++)*+={0,2}")
"""Base64 in either alphabet, in lines as mail, JSON and YAML break it."""

_BREAK: Final = re.compile(_BREAKS)
_END_OF_LINE: Final = re.compile(_LINE_END)
_NOTHING_BEHIND: Final = re.compile(_LINE_END + rb"|[\\\"'<]|\Z")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")

_SHORTEST_RUN: Final = 8
"""In characters; no secret is so short that its base64 would be shorter."""

_NARROWEST_LINE: Final = 60
"""In characters. Ruby and Perl break base64 so, PEM at 64, and MIME at 76."""


# --- escapes ---------------------------------------------------------------------------


def unescaped(data: bytes) -> bytes:
    """`data` with the characters that its escapes stand for; itself where it has none."""
    for _ in range(_MOST_ROUNDS):
        before = data
        for pattern, instead in _rounds(data):
            data = pattern.sub(instead, data)
        if data == before:
            break
    return data


def _rounds(data: bytes) -> Iterator[tuple[re.Pattern[bytes], _Instead]]:
    """What to replace in `data` to resolve one level of its escapes, in this order."""
    if b"\\u" in data or b"\\x" in data:
        yield _SURROGATES, _pair
        yield _ESCAPE, _character
    yield _PERCENT, _character
    if b"\0" in data:
        yield _NULS, _nothing


def folded(data: bytes) -> bytes:
    """The plain form of text that is unescaped already."""
    return data.translate(_FOLD_TABLE, b"\\")


def _pair(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex((match[1] + match[2]).decode()).decode("utf-16-be").encode()


def _character(match: re.Match[bytes]) -> bytes:
    digits = match[match.lastindex or 0].decode()
    if len(digits) == 2:
        return bytes.fromhex(digits)
    return chr(int(digits, 16)).encode("utf-8", "surrogatepass")


def _nothing(_: re.Match[bytes]) -> bytes:
    return b""


def _fold(match: re.Match[bytes]) -> bytes:
    return _FOLDS.get(match[0], b"")


class Traced:
    """A text that was made from another by substitutions, and the way back."""

    def __init__(self, data: bytes) -> None:
        """Begin with `data`, unchanged."""
        self.text = data
        self._steps: list[_Step] = []

    @classmethod
    def unescaped(cls, data: bytes) -> Traced:
        """The same text as the function `unescaped` makes."""
        traced = cls(data)
        for _ in range(_MOST_ROUNDS):
            before = traced.text
            for pattern, instead in _rounds(traced.text):
                traced._substitute(pattern, instead)
            if traced.text == before:
                break
        return traced

    @classmethod
    def folded(cls, data: bytes) -> Traced:
        """The plain form of `data`: what the two functions make of it, one after the other."""
        traced = cls.unescaped(data)
        traced._substitute(_FOLDED, _fold)
        return traced

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the first text that a stretch of this one, not empty, was made from.

        Whole escapes only, with the backslashes before it: what replaces the stretch must
        not become a part of an escape.
        """
        for step in reversed(self._steps):
            start, end = step.origin(start, end)
        return start, end

    def _substitute(self, pattern: re.Pattern[bytes], instead: _Instead) -> None:
        step = _Step()
        self.text = pattern.sub(lambda match: step.note(match, instead(match)), self.text)
        self._steps.append(step)


class _Step:
    """What one substitution replaced: where that stood, and where its replacement stands."""

    def __init__(self) -> None:
        self._old: list[tuple[int, int]] = []
        self._new: list[tuple[int, int]] = []
        self._starts: list[int] = []

    def note(self, match: re.Match[bytes], instead: bytes) -> bytes:
        """Take down a replacement; in order."""
        before = self._new[-1][1] - self._old[-1][1] if self._old else 0
        start = match.start() + before
        self._old.append(match.span())
        self._new.append((start, start + len(instead)))
        self._starts.append(start)
        return instead

    def origin(self, start: int, end: int) -> tuple[int, int]:
        return self._start(start), self._end(end)

    def _start(self, position: int) -> int:
        at = bisect_right(self._starts, position) - 1
        if at < 0:
            return position
        # What was dropped right before it goes with it, such as the backslashes of an escape.
        while at > 0 and self._new[at - 1] == (position, position):
            at -= 1
        (old_start, old_end), (_, new_end) = self._old[at], self._new[at]
        if position < new_end or self._new[at] == (position, position):
            return old_start
        return old_end + position - new_end

    def _end(self, position: int) -> int:
        last = position - 1
        at = bisect_right(self._starts, last) - 1
        if at < 0:
            return position
        (_, old_end), (_, new_end) = self._old[at], self._new[at]
        return old_end if last < new_end else old_end + position - new_end


# --- base64 ----------------------------------------------------------------------------


FRAGMENT_STARTS: Final = (0, 2, 3)
"""Where in its group of four characters each of a literal's fragments may begin."""


def base64_fragments(literal: bytes) -> Iterator[bytes]:
    """What base64 of any text with `literal` in it contains, for each of three alignments."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + literal)
        start = FRAGMENT_STARTS[before]
        end = (before + len(literal)) * 8 // 6
        yield encoded[start:end]


def base64_haystack(data: bytes) -> bytes:
    """`data` in which a fragment of base64 stands in one piece, whatever breaks its lines."""
    if b"\\" in data:
        data = data.replace(b"\\n", b"").replace(b"\\r", b"")
    return data.translate(_URL_SAFE, b"\\\r\n \t")


def plain_base64(text: bytes) -> bytes:
    """Base64 in the standard alphabet, without padding and without what breaks its lines."""
    return _BREAK.sub(b"", text).translate(_URL_SAFE).rstrip(b"=")


def unbase64(run: bytes) -> bytes:
    """What a run decodes to, in either alphabet, with or without padding and line ends."""
    plain = plain_base64(run)
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))


def base64_like(data: bytes, model: bytes) -> bytes:
    """`data` in base64, in the alphabet and with the padding of `model`, in one line."""
    encoded = base64.b64encode(data)
    if re.search(rb"[-_]", model) and not re.search(rb"[+/]", model):
        encoded = base64.urlsafe_b64encode(data)
    is_padded = model.endswith(b"=") or len(plain_base64(model)) % 4 == 0
    return encoded if is_padded else encoded.rstrip(b"=")


def place_in_run(run: bytes, number: int) -> int:
    """Where in a run of base64 its character of this number, from 0, stands."""
    place = number
    for found in _BREAK.finditer(run):
        if found.start() > place:
            break
        place += found.end() - found.start()
    return place


def base64_runs(data: bytes) -> Iterator[tuple[int, bytes, list[tuple[int, bytes]]]]:
    """Every stretch that may be base64: its start, itself, and the parts that are each one thing.

    A run goes on over whatever breaks lines, so that nothing in it is overlooked. Whether the
    next line belongs to the same base64 is another question: it does where the lines before
    it are as long as each other and as encoders make them, and it is a line of its own. The
    end of a part of a form and the words behind an unpadded text do not.
    """
    for run in _RUN.finditer(data):
        if run.end() - run.start() >= _SHORTEST_RUN:
            is_alone = _NOTHING_BEHIND.match(data, run.end()) is not None
            parts = _parts(run[0], is_alone=is_alone)
            yield run.start(), run[0], [each for each in parts if len(each[1]) >= _SHORTEST_RUN]


def to_line_end(run: bytes, place: int) -> bytes:
    """A run up to the end of the line that has this place in it."""
    end = _END_OF_LINE.search(run, place)
    return run if end is None else run[: end.start()]


def _parts(run: bytes, *, is_alone: bool) -> Iterator[tuple[int, bytes]]:
    """What of a run is one thing each: where it stands in it, and itself.

    Args:
        run: The run.
        is_alone: Whether nothing stands behind it in its last line.
    """
    lines = _lines(run)
    group: list[_Line] = []
    for line in lines:
        if group and not _goes_on(group, line, is_alone=is_alone or line is not lines[-1]):
            yield group[0].start, run[group[0].start : group[-1].end]
            group = []
        group.append(line)
    yield group[0].start, run[group[0].start : group[-1].end]


class _Line(NamedTuple):
    """A line of a run: where it is, and how many characters of base64 it has."""

    start: int
    end: int
    width: int
    is_boundary: bool
    """Whether it begins as a line does that ends a part of a form."""


def _lines(run: bytes) -> list[_Line]:
    breaks = [found.span() for found in _END_OF_LINE.finditer(run)]
    starts = [0, *(end for _, end in breaks)]
    ends = [*(start for start, _ in breaks), len(run)]
    return [
        _Line(start, end, end - start - run.count(b"\\", start, end), run.startswith(b"--", start))
        for start, end in zip(starts, ends, strict=True)
    ]


def _goes_on(lines: list[_Line], line: _Line, *, is_alone: bool) -> bool:
    """Whether the base64 of some lines goes on in the next."""
    width = lines[0].width
    is_full = lines[-1].width == width >= _NARROWEST_LINE and width % 4 == 0
    return is_full and line.width <= width and is_alone and not line.is_boundary


# --- gzip ------------------------------------------------------------------------------


class TooMuchUnpackedError(Exception):
    """Something unpacks to more than anybody searches."""


def gzips(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Every stretch of gzip in `data`: its start, its end, and what it unpacks to.

    One that breaks off or is damaged in the middle is unpacked as far as it goes.

    Raises:
        TooMuchUnpackedError: They unpack to more than `MOST_UNPACKED_BYTES`.
    """
    room = MOST_UNPACKED_BYTES
    at = data.find(GZIP)
    while at >= 0:
        end, plain = _gunzip(data, at, room)
        if plain:
            room -= len(plain)
            yield at, end, plain
        at = data.find(GZIP, end)


def _gunzip(data: bytes, at: int, room: int) -> tuple[int, bytes]:
    """Where the gzip at `at` ends and what is in it; nothing where it is none."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain: list[bytes] = []
    end = at
    size = _GZIP_HEADER_BYTES
    while end < len(data) and not unpacker.eof:
        before = unpacker.copy()
        piece = data[end : end + size]
        try:
            plain.append(unpacker.decompress(piece, room + 1))
        except zlib.error:
            plain.append(_up_to_damage(before, piece))
            end += len(piece)
            break
        end += len(piece)
        room -= len(plain[-1])
        if room < 0:
            raise TooMuchUnpackedError
        if not plain[0]:
            # A header that never ends: the three bytes stood there by chance.
            break
        size = _PIECE_BYTES
    if not any(plain):
        return at + 1, b""
    return end - len(unpacker.unused_data), b"".join(plain)


def _up_to_damage(unpacker: zlib._Decompress, piece: bytes) -> bytes:
    """What a reader would get out of a damaged piece."""
    plain = []
    for at in range(len(piece)):
        try:
            plain.append(unpacker.decompress(piece[at : at + 1]))
        except zlib.error:
            break
    return b"".join(plain)
