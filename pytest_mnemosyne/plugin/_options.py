"""What a user can set, and the settings of one run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pytest_mnemosyne.plugin import _modes, _money, _severity
from pytest_mnemosyne.plugin._secrets import too_short

if TYPE_CHECKING:
    from mnemosyne_core.errors import UsageError
    from mnemosyne_core.prices import Price
    from pytest_mnemosyne.simulation.schedules import Tape


_SEVERITIES: Final = (
    ("mnemosyne_unplayed", "what a recorded call that nobody asked for is", "error"),
    ("mnemosyne_order", "what it is that an agent asks in another order than recorded", "warn"),
    ("mnemosyne_expired", "what a cassette older than mnemosyne_expires is", "warn"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this run may do, checked."""

    mode: _modes.Mode
    upstream: str | None
    """`scripted`, a base URL, or absent for the real API."""

    allow_live: bool
    on_ci: bool
    has_key: bool
    """Whether a real key was in the environment when the run began."""

    cassette_dir: Path
    """Absolute."""

    block_hosts: bool
    """Whether hosts that are not Claude's are refused as well."""

    match: tuple[str, ...]
    """Matchers by name: what no test of the run compares."""

    ignore: tuple[str, ...]
    """JSON paths: what no test of the run compares."""

    secrets: tuple[str, ...]
    """Environment variables that hold secrets, besides those that are recognised."""

    lane: str | None
    """The agent whose role alone is recorded; `None` for all of them."""

    budget: float | None
    """What may be spent on Claude, in US dollars; `None` for no bound."""

    prices: Mapping[str, Price]
    """What models cost, besides the published prices."""

    unplayed: _severity.Severity
    """What a recorded call that nobody asked for is."""

    order: _severity.Severity
    """What it is that an agent asks in another order than the recorded one."""

    expires_days: float | None
    """After how many days a cassette has expired; `None` for never."""

    expired: _severity.Severity
    """What an expired cassette is."""

    trim: bool
    """Whether what is left over at the end is removed."""

    tape: Tape | None
    """The order in which tests marked `schedules` run; `None` for a search."""

    schedules: int | None
    """How many orders they run under; `None` for what each says."""

    seed: int
    shrink: int


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and ini setting."""
    group = parser.getgroup("mnemosyne", "recorded Claude (pytest-mnemosyne)")
    _add_options_of_recording(group)
    _add_options_of_schedules(group)
    _add_ini_settings(parser)


def _add_options_of_recording(group: pytest.OptionGroup) -> None:
    group.addoption(
        _modes.OPTION,
        dest="mnemosyne_mode",
        metavar="MODE",
        default=None,
        help=f"what to do with requests to Claude: {', '.join(_modes.MODES)}; default replay "
        f"(also the environment variable {_modes.VARIABLE} and the ini setting {_modes.INI})",
    )
    group.addoption(
        "--mnemosyne-allow-live",
        dest="mnemosyne_allow_live",
        action="store_true",
        default=False,
        help="let a mode that calls Claude run although CI is set",
    )
    group.addoption(
        "--mnemosyne-upstream",
        dest="mnemosyne_upstream",
        metavar="scripted|URL",
        default=None,
        help="where forwarded requests go instead of the real API",
    )
    group.addoption(
        "--mnemosyne-budget",
        dest="mnemosyne_budget",
        metavar="USD",
        default=None,
        help="how much may be spent on Claude; a request that may cost more than is left is not "
        "sent and fails its test",
    )
    group.addoption(
        "--mnemosyne-lane",
        dest="mnemosyne_lane",
        metavar="AGENT",
        default=None,
        help="record only what this agent and the others of its role ask, such as executor; "
        "everything else is played",
    )
    group.addoption(
        "--mnemosyne-trim",
        dest="mnemosyne_trim",
        action="store_true",
        default=False,
        help="when everything has passed, remove recorded calls that nobody asked for and, after "
        "a full run, cassettes of no test",
    )


def _add_options_of_schedules(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--mnemosyne-tape",
        dest="mnemosyne_tape",
        metavar="TAPE",
        default=None,
        help="run tests marked `schedules` once, in the order of this tape from a failure's report",
    )
    group.addoption(
        "--mnemosyne-schedules",
        dest="mnemosyne_schedules",
        type=int,
        metavar="N",
        default=None,
        help="how many orders tests marked `schedules` run under, in place of what they say",
    )
    group.addoption(
        "--mnemosyne-seed",
        dest="mnemosyne_seed",
        type=int,
        metavar="N",
        default=0,
        help="which orders are chosen at random; default 0",
    )
    group.addoption(
        "--mnemosyne-shrink",
        dest="mnemosyne_shrink",
        type=int,
        metavar="N",
        default=200,
        help="how many runs go into making an order that fails smaller; default 200",
    )


def _add_ini_settings(parser: pytest.Parser) -> None:
    parser.addini(
        _modes.INI, f"record mode, one of {', '.join(_modes.MODES)}", type="string", default=""
    )
    parser.addini(
        "mnemosyne_cassette_dir",
        "folder of the cassettes, relative to rootdir",
        type="string",
        default="cassettes",
    )
    for name, what, default in _SEVERITIES:
        words = ", ".join(_severity.SEVERITIES)
        parser.addini(name, f"{what}: {words}; default {default}", type="string", default=default)
    parser.addini(
        "mnemosyne_expires",
        "after how many days a cassette has expired; default never",
        type="string",
        default="",
    )
    parser.addini(
        "mnemosyne_match",
        "what no request is compared by: dates, uuids, durations, hashes, and what the hook "
        "pytest_mnemosyne_matchers declares",
        type="args",
        default=[],
    )
    parser.addini(
        "mnemosyne_ignore",
        "JSON paths in requests that are not compared, such as $.metadata.user_id, one a line",
        type="linelist",
        default=[],
    )
    parser.addini(
        "mnemosyne_secrets",
        "environment variables whose values are kept out of cassettes and reports, one a line; "
        "Claude's keys and what looks like a secret are by themselves",
        type="linelist",
        default=[],
    )
    parser.addini(
        "mnemosyne_prices",
        "what models cost besides the published prices, in US dollars for a million tokens, one a "
        "line: claude-x input=3 output=15 cache_write=3.75 cache_read=0.3",
        type="linelist",
        default=[],
    )
    parser.addini(
        "mnemosyne_block_hosts",
        "refuse contact with every host but this machine and Claude's",
        type="bool",
        default=False,
    )


def read_settings(config: pytest.Config, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this run.

    Raises:
        pytest.UsageError: They contradict themselves or ask for what cannot work.
    """
    environ = os.environ if environ is None else environ
    try:
        mode = _modes.resolve(
            option=config.getoption("mnemosyne_mode"),
            variable=environ.get(_modes.VARIABLE),
            ini=config.getini(_modes.INI),
        )
        upstream = _modes.checked_upstream(config.getoption("mnemosyne_upstream"))
        settings = Settings(
            mode=mode,
            upstream=upstream,
            allow_live=bool(config.getoption("mnemosyne_allow_live")),
            on_ci=bool(environ.get("CI")),
            has_key=_modes.found_key(environ) is not None,
            cassette_dir=_cassette_dir(config),
            block_hosts=_block_hosts(config),
            match=tuple(config.getini("mnemosyne_match")),
            ignore=_ignore(config),
            secrets=_secrets(config, environ),
            lane=_lane(config, mode),
            unplayed=_severity.of_ini(config, "mnemosyne_unplayed"),
            order=_severity.of_ini(config, "mnemosyne_order"),
            expires_days=_expires(config),
            expired=_severity.of_ini(config, "mnemosyne_expired"),
            trim=bool(config.getoption("mnemosyne_trim")),
            budget=_money.read_budget(config),
            prices=_money.read_prices(config.getini("mnemosyne_prices")),
            tape=_tape(config),
            schedules=_at_least(1, config, "schedules"),
            seed=_at_least(0, config, "seed") or 0,
            shrink=_at_least(0, config, "shrink") or 0,
        )
        _modes.refuse_unusable(
            mode,
            upstream=upstream,
            allow_live=settings.allow_live,
            on_ci=settings.on_ci,
            has_key=settings.has_key,
            has_server=upstream != _modes.SCRIPTED or find_spec("uvicorn") is not None,
        )
    except _usage_error() as error:
        raise pytest.UsageError(f"pytest-mnemosyne: {error}") from error
    return settings


def _usage_error() -> type[UsageError]:
    """Imported once something is wrong; an `except` clause asks no earlier."""
    from mnemosyne_core.errors import UsageError

    return UsageError


def _lane(config: pytest.Config, mode: _modes.Mode) -> str | None:
    given: str | None = config.getoption("mnemosyne_lane")
    if given is not None and not (given.strip() and mode.writes):
        raise _usage_error()(
            f"the option --mnemosyne-lane={given} names the agent that is recorded, and the mode "
            f"is {mode.name}; name one, and add --mnemosyne-mode=rerecord (or record)"
        )
    return given


def _tape(config: pytest.Config) -> Tape | None:
    given = config.getoption("mnemosyne_tape")
    if given is None:
        return None
    from pytest_mnemosyne.simulation.schedules import Tape

    return Tape.parse(given)


def _ignore(config: pytest.Config) -> tuple[str, ...]:
    given = config.getini("mnemosyne_ignore")
    if not given:
        return ()
    from pytest_mnemosyne.cassette import JsonPath

    try:
        return tuple(JsonPath.parse(each).text for each in given)
    except _usage_error() as error:
        raise _usage_error()(f"the ini setting mnemosyne_ignore: {error}") from error


def _at_least(least: int, config: pytest.Config, name: str) -> int | None:
    given: int | None = config.getoption(f"mnemosyne_{name}")
    if given is not None and given < least:
        raise _usage_error()(f"--mnemosyne-{name} takes a number from {least} on, got {given}")
    return given


def _expires(config: pytest.Config) -> float | None:
    given = str(config.getini("mnemosyne_expires")).strip()
    if not given:
        return None
    try:
        days = float(given)
    except ValueError:
        days = 0
    if not 0 < days < float("inf"):
        raise _usage_error()(
            f"the ini setting mnemosyne_expires takes a number of days, got {given!r}"
        )
    return days


def _secrets(config: pytest.Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(config.getini("mnemosyne_secrets"))
    for name in names:
        problem = too_short(environ.get(name, ""))
        if problem is not None:
            raise _usage_error()(f"the ini setting mnemosyne_secrets names {name}, {problem}")
    return names


def _block_hosts(config: pytest.Config) -> bool:
    try:
        return bool(config.getini("mnemosyne_block_hosts"))
    except (ValueError, pytest.UsageError) as error:
        raise _usage_error()(
            f"the ini setting mnemosyne_block_hosts takes true or false: {error}"
        ) from error


def _cassette_dir(config: pytest.Config) -> Path:
    given = str(config.getini("mnemosyne_cassette_dir"))
    if not given.strip():
        raise _usage_error()(
            "the ini setting mnemosyne_cassette_dir is empty; name a folder or remove the setting"
        )
    folder = config.rootpath / given
    if folder.exists() and not folder.is_dir():
        raise _usage_error()(
            f"the ini setting mnemosyne_cassette_dir names {folder}, which is a file; name a folder"
        )
    return folder
