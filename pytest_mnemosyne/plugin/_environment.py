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
    before = {name: environ.get(name) for name in values}
    _set(environ, values)
    try:
        yield
    finally:
        _set(environ, before)


def _set(environ: MutableMapping[str, str], values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
