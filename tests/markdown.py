"""The fenced code blocks of a Markdown page.

`python tests/markdown.py README.md NAME` prints the block whose fence says
`name=NAME`, so that what runs the project's commands reads them from the page
that tells people to type them. Needs nothing but the standard library.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<info>.*)$")
INDENTED_CODE = re.compile(r"^(?: {4}|\t)\s*\S")


class PageError(Exception):
    """A page whose code blocks cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced code block."""

    page: Path
    line: int
    """Where its fence stands, counted from 1."""

    language: str
    """The first word after the fence; empty where there is none."""

    words: tuple[str, ...]
    """The other words after the fence: what is to be done with the block."""

    text: str

    @property
    def name(self) -> str | None:
        """What `name=` on the fence says."""
        named = [word.removeprefix("name=") for word in self.words if word.startswith("name=")]
        return named[0] if named else None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Every code block of `page`, in order.

    Raises:
        PageError: A fence is not closed, or code stands indented instead of fenced,
            which would escape whoever runs the blocks.
    """
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        if opening is None:
            if INDENTED_CODE.match(lines[number]) and (not number or not lines[number - 1].strip()):
                raise PageError(f"{page}:{number + 1}: indented code; put it between fences")
            number += 1
            continue
        end = _closing(page, lines, number, opening)
        language, *words = opening["info"].split() or [""]
        indent = len(opening["indent"])
        text = "".join(f"{line[indent:]}\n" for line in lines[number + 1 : end])
        found.append(
            Block(page=page, line=number + 1, language=language, words=tuple(words), text=text)
        )
        number = end + 1
    return found


def _closing(page: Path, lines: list[str], start: int, opening: re.Match[str]) -> int:
    for number in range(start + 1, len(lines)):
        closing = FENCE.match(lines[number])
        if (
            closing
            and not closing["info"].strip()
            and closing["fence"].startswith(opening["fence"])
        ):
            return number
    raise PageError(f"{page}:{start + 1}: this fence is never closed")


def named(page: Path, name: str) -> Block:
    """The one block of `page` called `name`.

    Raises:
        PageError: There is none, or more than one.
    """
    found = [block for block in blocks(page) if block.name == name]
    if len(found) != 1:
        known = ", ".join(sorted(block.name for block in blocks(page) if block.name)) or "none"
        raise PageError(f"{page}: {len(found)} blocks are named {name!r}; named blocks: {known}")
    return found[0]


def main(arguments: list[str]) -> None:
    """Print the named block of a page."""
    if len(arguments) != 2:
        raise SystemExit("usage: python tests/markdown.py PAGE NAME")
    try:
        sys.stdout.write(named(Path(arguments[0]), arguments[1]).text)
    except (PageError, OSError) as error:
        raise SystemExit(f"markdown: {error}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
