"""Words for numbers, and texts that are safe to print."""

from __future__ import annotations

import re

# Escapes that move the cursor, bidirectional marks that reorder what is read, halves of
# characters that cannot be written.
_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def counted(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def plain(text: str) -> str:
    """`text` without anything that a terminal obeys or that cannot be written."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))
