"""What a secret looks like: the values that a run knows, and the shapes of well-known keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from pytest_mnemosyne.cassette._decodings import base64_fragments, folded, unescaped

SHORTEST_SECRET: Final = 6
"""In characters. A shorter value stands in every other text by chance."""

_AROUND: Final = '"\\ \t\r\n'
"""What is not looked for around a value: in JSON it cannot be told from what stands around it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How keys of one kind look; searched for in texts whose escapes are resolved."""

    name: str
    kind: str
    """A word for it, which stands in cassettes in the place of its keys; never to be changed."""

    spelled: re.Pattern[bytes]
    """What group 1 matches is the key."""

    literals: tuple[bytes, ...]
    """One of them is in every text that has such a key."""

    in_base64: tuple[bytes, ...]
    """One of these fragments is in every base64 of such a text, or in base64 of that."""


_SHORTEST_FRAGMENT: Final = 4
"""In characters. A shorter one is in every picture, and would have each of them decoded."""

_LONGEST_FRAGMENT: Final = 32
"""In characters; what follows after so many makes nothing more certain."""


def _shape(name: str, kind: str, spelled: bytes, *literals: str) -> Shape:
    known = tuple(literal.encode() for literal in literals)
    return Shape(
        name=name,
        kind=kind,
        spelled=re.compile(spelled),
        literals=known,
        in_base64=tuple(each for literal in known for each in _once_wrapped(literal)),
    )


def _once_wrapped(literal: bytes) -> list[bytes]:
    return [
        each[:_LONGEST_FRAGMENT]
        for each in base64_fragments(literal)
        if len(each) >= _SHORTEST_FRAGMENT
    ]


def _twice_wrapped(literal: bytes) -> list[bytes]:
    return [each for once in _once_wrapped(literal) for each in _once_wrapped(once)]


# Letters before or after it would make a key a stretch of base64, and that by chance.
_ALONE: Final = rb"(?<![A-Za-z0-9+/_-])"
_ENDS: Final = rb"(?![A-Za-z0-9+/_-])"

_ANTHROPIC_KEY: Final = _shape(
    "an Anthropic key (sk-ant-...)", "anthropic-key", rb"(sk-ant-[A-Za-z0-9_-]{8,})", "sk-ant-"
)

SHAPES: Final = (
    replace(_ANTHROPIC_KEY, in_base64=(*_ANTHROPIC_KEY.in_base64, *_twice_wrapped(b"sk-ant-"))),
    _shape(
        "a bearer token",
        "bearer-token",
        rb"(?i:bearer)\s+((?=[^\s\"\\]*[0-9])(?:[A-Za-z0-9._~+/=-]|\\+/){16,})",
        "earer ",
        "EARER ",
    ),
    _shape(
        "an OpenAI key (sk-...)",
        "openai-key",
        rb"(sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{16,}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}))",
        "sk-proj-",
        "sk-svcacct-",
        "sk-admin-",
        "T3BlbkFJ",
    ),
    _shape(
        "an AWS access key id",
        "aws-key",
        _ALONE + rb"((?:AKIA|ASIA)[0-9A-Z]{16})" + _ENDS,
        "AKIA",
        "ASIA",
    ),
    _shape(
        "a GitHub token",
        "github-token",
        rb"((?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}))",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
    ),
    _shape("a GitLab token", "gitlab-token", _ALONE + rb"(glpat-[A-Za-z0-9_-]{20,})", "glpat-"),
    _shape("a Google API key", "google-key", _ALONE + rb"(AIza[A-Za-z0-9_-]{35})" + _ENDS, "AIza"),
    _shape(
        "a Slack token",
        "slack-token",
        _ALONE + rb"(xox[abeprs]-[A-Za-z0-9-]{10,})",
        *(f"xox{kind}-" for kind in "abeprs"),
    ),
    _shape("a Stripe key", "stripe-key", _ALONE + rb"([sr]k_live_[A-Za-z0-9]{20,})", "k_live_"),
    _shape(
        "a Hugging Face token", "hugging-face-token", _ALONE + rb"(hf_[A-Za-z]{34})" + _ENDS, "hf_"
    ),
    _shape(
        "a private key (PEM)",
        "private-key",
        rb"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
        rb"(?:[A-Za-z0-9+/=]|[\r\n]++[ \t]*+|\\++[nr/]){64,}+"
        rb"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?)",
        "PRIVATE KEY-----",
    ),
)


def shapes_in(data: bytes) -> list[Shape]:
    """The shapes of which there may be a key in `data`."""
    if _ANY_LITERAL.search(data) is None:
        return []
    return [shape for shape in SHAPES if any(literal in data for literal in shape.literals)]


class Value:
    """A value that the run knows to be secret, in the forms in which it is looked for."""

    __slots__ = ("in_base64", "literals", "name", "plain")

    def __init__(self, name: str, value: str) -> None:
        """Prepare to look for `value`; empty ones are none.

        Raises:
            ValueError: It is so short that it would be found everywhere; says how short.
        """
        core = value.strip(_AROUND)
        if len(core) < SHORTEST_SECRET:
            raise ValueError(len(core))
        self.name = name
        data = core.encode("utf-8", "surrogatepass")
        self.literals: tuple[bytes, ...] = (data,)
        """It as it stands."""

        self.plain: bytes | None = folded(unescaped(data))
        """It in the plain form of texts; `None` where little is left of it there."""

        if len(self.plain) < SHORTEST_SECRET:
            # Made of escapes, or of what looks so: it is looked for letter by letter.
            self.plain = None
            once = json.dumps(core)[1:-1]
            forms = (once, json.dumps(once)[1:-1], quote(data, safe=""))
            self.literals += tuple(form.encode() for form in forms)
        steady = _steadiest(core)
        self.in_base64 = (*_once_wrapped(steady), *_twice_wrapped(steady))
        """One of these is in every base64 of a text that has it, and in base64 of that."""

    def __repr__(self) -> str:
        return f"Value({self.name!r})"


def any_of(literals: Iterable[bytes]) -> re.Pattern[bytes]:
    """Matches any of the literals, each beginning that they share being tried once.

    On a text of a megabyte it is as quick as searching for one after the other, and on a
    short one five times quicker.
    """
    tree: _Tree = {}
    for literal in literals:
        branch = tree
        for byte in literal:
            branch = branch.setdefault(byte, {})
        branch[_END] = {}
    return re.compile(_spelled(tree))


_Tree = dict[int, "_Tree"]
_END: Final = -1


def _spelled(tree: _Tree) -> bytes:
    if _END in tree:
        return b""
    branches = [re.escape(bytes([byte])) + _spelled(tree[byte]) for byte in sorted(tree)]
    return branches[0] if len(branches) == 1 else b"(?:" + b"|".join(branches) + b")"


_ANY_LITERAL: Final = any_of(literal for shape in SHAPES for literal in shape.literals)


def _steadiest(value: str) -> bytes:
    """The longest piece of a value that no escaping changes."""
    piece = max(re.findall(r"[A-Za-z0-9_.~-]+", value) or [""], key=len)
    # A short piece of base64 is in every picture.
    return (piece if len(piece) >= 5 else value).encode("utf-8", "surrogatepass")
