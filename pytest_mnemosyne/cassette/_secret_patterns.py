"""How a secret may be spelled: as it stands, escaped, percent-encoded, inside base64."""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

GZIP: Final = b"\x1f\x8b"
GZIP_BASE64: Final = b"H4sI"
_DASH: Final = rb"(?:-|\\+u002[dD]|%2[dD])"
_TOKEN: Final = rb"(?:[A-Za-z0-9_-]|\\+u002[dD])"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One secret as it may be spelled; what group 1 matches is replaced."""

    name: str
    spelled: re.Pattern[bytes]
    literals: tuple[bytes, ...]
    """What every hit contains, unless escapes hide it; searched for in base64."""


SHAPES: Final = (
    Pattern(
        "an Anthropic key (sk-ant-...)",
        re.compile(rb"(sk" + _DASH + rb"ant" + _DASH + _TOKEN + rb"{8,})"),
        (b"sk-ant-",),
    ),
    Pattern(
        "a bearer token",
        re.compile(rb"(?i:bearer)\s+((?=[^\s\"\\]*[0-9])[A-Za-z0-9._~+/=-]{16,})"),
        (b"earer ",),
    ),
    Pattern(
        "an OpenAI key (sk-proj-...)",
        re.compile(rb"(sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{16,})"),
        (b"sk-proj-", b"sk-svcacct-", b"sk-admin-"),
    ),
    Pattern(
        "an AWS access key id",
        re.compile(rb"(?<![A-Za-z0-9+/])((?:AKIA|ASIA)[0-9A-Z]{16})(?![A-Za-z0-9+/])"),
        (),
    ),
    Pattern(
        "a GitHub token",
        re.compile(rb"((?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}))"),
        (b"github_pat_",),
    ),
)

_RUN_CHARS: Final = rb"[A-Za-z0-9+/_-]"
BASE64_RUN = re.compile(_RUN_CHARS + rb"(?:" + _RUN_CHARS + rb"|\\[nr]|\\/|[\r\n])*={0,2}")
_RUN_NOISE = re.compile(rb"\\[nr]|\\(?=/)|[\r\n]")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def pattern_of(name: str, value: str) -> Pattern:
    spelled = b"".join(_spellings(char) for char in value)
    plain = max(re.findall(r"[A-Za-z0-9_.~-]+", value) or [""], key=len).encode()
    # A short piece of base64 is in every picture.
    literals = (plain,) if len(plain) >= 5 else (value.encode(),)
    return Pattern(name, re.compile(b"(" + spelled + b")"), literals)


def _spellings(char: str) -> bytes:
    """One character as it stands, JSON-escaped any number of times, percent-encoded."""
    plain = char.encode("utf-8", "surrogatepass")
    units = char.encode("utf-16-be", "surrogatepass")
    escaped = b"".join(
        rb"\\+u(?i:" + units[at : at + 2].hex().encode() + b")" for at in range(0, len(units), 2)
    )
    percent = b"".join(b"%%(?i:%02x)" % byte for byte in plain)
    choices = [re.escape(plain), escaped, percent]
    if char in '"/':
        choices[0] = rb"\\*" + re.escape(plain)
    elif char == "\\":
        choices[0] = rb"\\+"
    elif char in "\n\r\t":
        choices.append(rb"\\+" + {"\n": b"n", "\r": b"r", "\t": b"t"}[char])
    elif char == " ":
        choices.append(rb"\+")
    return b"(?:" + b"|".join(choices) + b")"


def base64_fragments(literal: bytes) -> Iterator[bytes]:
    """What base64 of any text with `literal` in it contains, for each of three alignments."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + literal)
        start = (before * 8 + 5) // 6
        end = (before + len(literal)) * 8 // 6
        yield encoded[start:end]


def plain_base64(text: bytes) -> bytes:
    """Base64 in the standard alphabet, without the line ends that mail and JSON put in."""
    return _RUN_NOISE.sub(b"", text).translate(_URL_SAFE)


def unbase64(text: bytes) -> bytes | None:
    plain = plain_base64(text).rstrip(b"=")
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return None


def gunzip(data: bytes) -> bytes | None:
    """What `data` decompresses to; `None` where it is no gzip, whatever it begins with."""
    if not data.startswith(GZIP):
        return None
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None
