"""What a child process gets of ours: the environment, and the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

_SECRET_WORDS: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_PROVIDER: Final = "ANTHROPIC_"


def child_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Our environment without what opens a door: the child's requests are put from here.

    Left out are Claude's own variables, every name that speaks of a secret, and every
    other name under which the value of one of these stands.
    """
    secret = {name for name in ours if _is_secret(name)}
    values = {ours[name] for name in secret if len(ours[name]) >= 8}
    return {
        name: value
        for name, value in ours.items()
        if name not in secret and not any(each in value for each in values)
    }


def _is_secret(name: str) -> bool:
    upper = name.upper()
    return upper.startswith(_PROVIDER) or any(word in upper for word in _SECRET_WORDS)


def interpreter() -> str:
    """The interpreter of this process, for the processes that it starts.

    Raises:
        FileNotFoundError: This process does not know it.
    """
    if not sys.executable:
        raise FileNotFoundError(2, "no such interpreter", "sys.executable")
    return sys.executable
