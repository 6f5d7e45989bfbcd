"""Which record mode a run is in, and whether it may be.

==========  ==========================================
source      wins over
==========  ==========================================
option      environment, ini, default
environment ini, default
ini         default
default     nothing; it is `replay`
==========  ==========================================

Pure decisions on strings: pytest, the environment and the disk are read elsewhere.
The modes stay plain words here, because the plug-in loads in runs that never see
Claude; `RecordMode` in the cassette package compares equal to them. For the same reason
the errors are imported where they are raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MODES: Final = ("replay", "record", "rerecord", "live", "verify")
REPLAY: Final = "replay"
SCRIPTED: Final = "scripted"

OPTION: Final = "--mnemosyne-mode"
VARIABLE: Final = "MNEMOSYNE_MODE"
INI: Final = "mnemosyne_mode"

KEY_VARIABLES: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode, and who chose it."""

    name: str
    """One of `MODES`."""

    source: str
    """Where it was set, in words for an error message."""

    @property
    def forwards(self) -> bool:
        """Whether requests may leave the process."""
        return self.name != REPLAY

    @property
    def forwards_unknown(self) -> bool:
        """Whether a request that is not recorded is forwarded."""
        return self.name not in (REPLAY, "verify")

    @property
    def writes(self) -> bool:
        """Whether a passing test's cassette is written."""
        return self.name in ("record", "rerecord")


def resolve(*, option: str | None, variable: str | None, ini: str | None) -> Mode:
    """The mode of the strongest source that names one; empty counts as unset.

    Raises:
        UsageError: That source names something that is no mode.
    """
    sources = (
        (option, f"the option {OPTION}"),
        (variable, f"the environment variable {VARIABLE}"),
        (ini, f"the ini setting {INI}"),
    )
    for given, source in sources:
        if given:
            return _checked(given, source)
    return Mode(REPLAY, "the default")


def _checked(given: str, source: str) -> Mode:
    name = given.strip().lower()
    if name not in MODES:
        from mnemosyne_core.errors import UsageError

        raise UsageError(f"{source} says {given!r}; the modes are {', '.join(MODES)}")
    return Mode(name, source)


def checked_upstream(given: str | None) -> str | None:
    """An upstream as given: `scripted`, the base URL of an HTTP server, or nothing.

    Raises:
        UsageError: It is neither.
    """
    if not given:
        return None
    if given == SCRIPTED:
        return SCRIPTED
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(given)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        from mnemosyne_core.errors import UsageError

        raise UsageError(
            f"the option --mnemosyne-upstream says {given!r}; it takes 'scripted' or a base URL "
            "such as http://127.0.0.1:8080"
        )
    return given.rstrip("/")


def found_key(environ: Mapping[str, str]) -> str | None:
    """The name of the variable that holds a key; `None` where there is no key."""
    return next((name for name in KEY_VARIABLES if environ.get(name)), None)


def refuse_unusable(
    mode: Mode,
    *,
    upstream: str | None,
    allow_live: bool,
    on_ci: bool,
    has_key: bool,
    has_server: bool,
) -> None:
    """Stop a run that could only fail later, or that CI must not make.

    Raises:
        UsageError: The mode may not be used here, or needs a key that is not there, or the
            scripted Claude a server that is not installed.
    """
    if not mode.forwards or (upstream == SCRIPTED and has_server):
        return
    from mnemosyne_core.errors import UsageError

    if upstream == SCRIPTED:
        raise UsageError(
            "the option --mnemosyne-upstream=scripted needs uvicorn, which is not installed; "
            "pip install 'pytest-mnemosyne[scripted]'"
        )
    if on_ci and not allow_live:
        raise UsageError(
            f"{mode.source} asks for mode {mode.name!r}, but CI is set and CI only replays; "
            "add --mnemosyne-allow-live if this run may really call Claude"
        )
    if upstream is None and not has_key:
        raise UsageError(
            f"{mode.source} asks for mode {mode.name!r}, which calls Claude and needs a key; "
            f"looked in the environment variables {' and '.join(KEY_VARIABLES)}; set one of them, "
            "or forward elsewhere with --mnemosyne-upstream=scripted or a URL"
        )
