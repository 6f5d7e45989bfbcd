"""The environment that a test with a cassette sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final

from pytest_mnemosyne.plugin._modes import KEY_VARIABLES, SCRIPTED
from pytest_mnemosyne.plugin._options import Settings

DUMMY_KEY: Final = "no-key-is-needed-here"
"""What stands in for the key wherever the real one has no business."""


def variables_for(settings: Settings) -> Mapping[str, str | None]:
    """The variables to set, `None` for one to unset: no real key without need.

    Code under test makes its own clients, and without any key the SDK refuses to.
    """
    if settings.mode.forwards and settings.upstream != SCRIPTED and settings.has_key:
        return {}
    api_key, auth_token = KEY_VARIABLES
    return {api_key: DUMMY_KEY, auth_token: None}


@contextmanager
def replaced(environ: MutableMapping[str, str], values: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables for the block, `None` to unset one."""
    # Only what changes: each look-up of a variable that is not there raises an error.
    before: dict[str, str | None] = {}
    for name, value in values.items():
        found = environ.get(name)
        if found != value:
            before[name] = found
            _put(environ, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            _put(environ, name, value)


def _put(environ: MutableMapping[str, str], name: str, value: str | None) -> None:
    if value is None:
        environ.pop(name, None)
    else:
        environ[name] = value
