"""Which tests are strict: those that say so, and those of files that the project lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

_SETTING: Final = "strict"
_INI: Final = "mnemosyne_strict"

_LISTED: Final = pytest.StashKey[tuple[Path, ...]]()


def add_ini(parser: pytest.Parser) -> None:
    """Declare the list."""
    parser.addini(
        _INI,
        "files or folders, relative to rootdir, whose tests marked vcr have requests to Claude "
        "matched by what the model is asked",
        type="linelist",
        default=[],
    )


def check_ini(config: pytest.Config) -> None:
    """Read the list.

    Raises:
        pytest.UsageError: It names what is not there, so that a test would not be strict.
    """
    listed = tuple(config.rootpath / line for line in config.getini(_INI))
    for path in listed:
        if not path.exists():
            raise pytest.UsageError(
                f"the ini setting {_INI} names {path}, where nothing is; paths are relative to "
                "rootdir"
            )
    config.stash[_LISTED] = listed


def is_strict(item: pytest.Item, settings: dict[str, Any]) -> bool:
    """Whether a test is strict; takes out of its settings for vcrpy what says so.

    Raises:
        UsageError: They say something else than yes or no.
    """
    said = settings.pop(_SETTING, None)
    if said is None:
        return any(item.path.is_relative_to(listed) for listed in item.config.stash[_LISTED])
    if isinstance(said, bool):
        return said
    from mnemosyne_core.errors import UsageError

    raise UsageError(f"the setting {_SETTING} of the marker vcr takes True or False, got {said!r}")
