"""Replacements of stretches of bytes, and where everything else is after them."""

from __future__ import annotations

from itertools import pairwise

from pytest_mnemosyne.cassette._interaction import Chunk

Edit = tuple[int, int, bytes]
"""Start, end, and what stands there instead. Lists of them are in order and do not overlap."""


def edited(data: bytes, edits: list[Edit]) -> bytes:
    pieces = []
    done = 0
    for start, end, instead in edits:
        pieces += [data[done:start], instead]
        done = end
    return b"".join((*pieces, data[done:]))


def merged(edits: list[Edit], instead: bytes) -> list[Edit]:
    """The edits in order, without overlaps.

    Of two, one of which lies inside the other, the larger is left; two that cross become
    one, with `instead` in their place.
    """
    found: list[Edit] = []
    for start, end, text in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        if not found or start >= found[-1][1]:
            found.append((start, end, text))
        elif end > found[-1][1]:
            found[-1] = (found[-1][0], end, instead)
    return found


def _moved(position: int, edits: list[Edit]) -> int:
    """Where a boundary is after the edits; one inside an edit goes behind it."""
    shift = 0
    for start, end, instead in edits:
        if position <= start:
            break
        if position < end:
            return start + shift + len(instead)
        shift += len(instead) - (end - start)
    return position + shift


def moved_chunks(
    chunks: tuple[Chunk, ...], body: bytes, passes: list[list[Edit]]
) -> tuple[Chunk, ...]:
    if not passes:
        return chunks
    bounds = [0]
    for chunk in chunks:
        bounds.append(bounds[-1] + len(chunk.data))
    for edits in passes:
        bounds = [_moved(bound, edits) for bound in bounds]
    return tuple(
        Chunk(data=body[start:end], at_s=chunk.at_s)
        for (start, end), chunk in zip(pairwise(bounds), chunks, strict=True)
    )


def spread(texts: list[bytes], edits: list[Edit]) -> list[bytes]:
    """The edits of a joined text, applied to the texts that were joined."""
    joined = edited(b"".join(texts), edits)
    bounds = [0]
    for text in texts:
        bounds.append(bounds[-1] + len(text))
    moved = [_moved(bound, edits) for bound in bounds]
    return [joined[start:end] for start, end in pairwise(moved)]
