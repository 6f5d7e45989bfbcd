"""pytest-recording's surface, to be loaded in its place: `-p pytest_mnemosyne.compat.recording`.

Tests marked `vcr` run on vcrpy's own cassettes, found, matched and recorded as they were
before. pytest-recording may stay installed: whoever loads this module keeps it out.

What is added is one word. A test whose marker says `strict=True`, or whose file the ini
setting `mnemosyne_strict` names, has its requests to Claude answered by this project's
rules. Loading this module imports neither vcrpy nor the SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_mnemosyne.compat import _hooks, _strictness
from pytest_mnemosyne.compat._network import Network
from pytest_mnemosyne.compat._wanted import Wanted, settings_of
from pytest_mnemosyne.plugin._plainly import PLAINLY
from pytest_mnemosyne.plugin._vcr_tests import MARKER, PLUGINS

if TYPE_CHECKING:
    from vcr.cassette import Cassette

_NETWORK: Final = pytest.StashKey[Network]()

_PLAYS_ONLY: Final = "none"
_MODES: Final = ("once", "new_episodes", _PLAYS_ONLY, "all", "rewrite")

_INCOMPATIBLE: Final = "vcr"
"""What pytest-vcr is called."""

_NOT_IN_NAMES: Final = str.maketrans(dict.fromkeys("<>?%*:|\"'/\\", "-"))

_MARKERS: Final = (
    (
        "vcr(*paths, strict=False, **settings): let vcrpy record and play the test; paths: "
        "cassettes that are played besides its own; settings: those of VCR.use_cassette; strict: "
        "have requests to Claude matched by what the model is asked"
    ),
    "default_cassette(name): the name of the test's cassette",
    (
        "block_network(allowed_hosts=None): keep the test from the network, unless vcrpy records "
        "it; allowed_hosts: regular expressions of hosts that it may reach"
    ),
    "allowed_hosts(*regexes): has no effect, and is known so that suites may have it",
)


# --- loading ---------------------------------------------------------------------------


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Take pytest-recording's place: before it is loaded, and before its options are."""
    if any(map(pluginmanager.has_plugin, PLUGINS)):
        raise pytest.UsageError(
            "pytest-recording is loaded already, and pytest_mnemosyne.compat.recording stands in "
            "for it; load the latter by -p on the command line or in addopts, or leave the former "
            "out with -p no:recording"
        )
    for name in PLUGINS:
        pluginmanager.set_blocked(name)
    pluginmanager.add_hookspecs(_hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare pytest-recording's options."""
    group = parser.getgroup("recording")
    group.addoption(
        "--record-mode",
        choices=_MODES,
        default=None,
        help=f"what vcrpy does in tests marked vcr; default {_PLAYS_ONLY}",
    )
    group.addoption(
        "--block-network",
        action="store_true",
        default=False,
        help="keep every test from the network, except where vcrpy records",
    )
    group.addoption(
        "--allowed-hosts",
        default=None,
        metavar="REGEX,...",
        help="hosts that may be reached although the network is blocked",
    )
    group.addoption(
        "--disable-recording",
        action="store_true",
        default=False,
        help="leave vcrpy out of all tests",
    )
    _strictness.add_ini(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and be there before test modules import pycurl."""
    if config.pluginmanager.has_plugin(_INCOMPATIBLE):
        raise pytest.UsageError(
            "pytest-vcr is loaded, and pytest_mnemosyne.compat.recording has fixtures and markers "
            "of the same names; leave one of the two out, such as with -p no:vcr"
        )
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    _strictness.check_ini(config)
    network = config.stash[_NETWORK] = Network()
    closers = ExitStack()
    closers.enter_context(network.watching_curl())
    config.add_cleanup(closers.close)


# --- what a project may override -------------------------------------------------------


@pytest.fixture(scope="session")
def record_mode(request: pytest.FixtureRequest) -> str:
    """What vcrpy does in this run, unless a test says otherwise."""
    mode: str | None = request.config.getoption("record_mode")
    return mode or _PLAYS_ONLY


@pytest.fixture(scope="session")
def disable_recording(request: pytest.FixtureRequest) -> bool:
    """Whether vcrpy is left out."""
    return bool(request.config.getoption("disable_recording"))


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    """Settings for `VCR.use_cassette`; those of the markers win."""
    return {}


@pytest.fixture
def vcr_markers(request: pytest.FixtureRequest) -> list[pytest.Mark]:
    """The test's markers `vcr`, the closest first."""
    return list(request.node.iter_markers(MARKER))


@pytest.fixture(scope="module")
def vcr_cassette_dir(request: pytest.FixtureRequest) -> str:
    """The folder of a module's cassettes."""
    path: Path = request.node.path
    return str(path.parent / "cassettes" / path.stem)


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest) -> str:
    """The name of a test's own cassette."""
    marker: pytest.Mark | None = request.node.get_closest_marker("default_cassette")
    if marker is not None:
        with PLAINLY:
            return _named_by(marker)
    name: str = request.node.name
    if request.cls is not None:
        name = f"{request.cls.__name__}.{name}"
    return name.translate(_NOT_IN_NAMES)


@pytest.fixture
def allowed_hosts(request: pytest.FixtureRequest) -> list[str] | None:
    """What may be reached although the network is blocked."""
    marker: pytest.Mark | None = request.node.get_closest_marker("block_network")
    found: list[str] | str | None = (
        (marker.kwargs.get("allowed_hosts") if marker is not None else None)
        or request.config.getoption("allowed_hosts")
        or request.getfixturevalue("vcr_config").get("allowed_hosts")
    )
    return found.split(",") if isinstance(found, str) else found


# --- what every test gets --------------------------------------------------------------


@pytest.fixture(autouse=True)
def block_network(
    request: pytest.FixtureRequest, record_mode: str, vcr_markers: list[pytest.Mark]
) -> Iterator[None]:
    """Keep a test from the network, where it or the run says so and vcrpy does not record."""
    marker: pytest.Mark | None = request.node.get_closest_marker("block_network")
    if marker is not None:
        with PLAINLY:
            _check_block(marker)
    elif not request.config.getoption("block_network"):
        yield
        return
    if vcr_markers and request.config.getoption("record_mode") is None:
        settings = settings_of(request.getfixturevalue("vcr_config"), vcr_markers)
        record_mode = settings.get("record_mode", _PLAYS_ONLY)
    if vcr_markers and record_mode != _PLAYS_ONLY:
        yield
        return
    with ExitStack() as stack:
        with PLAINLY:
            allowed = request.getfixturevalue("allowed_hosts") or ()
            stack.enter_context(request.config.stash[_NETWORK].blocked(allowed))
        yield


@pytest.fixture(autouse=True)
def vcr(
    request: pytest.FixtureRequest, vcr_markers: list[pytest.Mark]
) -> Iterator[Cassette | None]:
    """The vcrpy cassette of a test that is marked `vcr`; nothing for any other."""
    if not vcr_markers or request.getfixturevalue("disable_recording"):
        yield None
        return
    with ExitStack() as stack:
        with PLAINLY:
            cassette = stack.enter_context(_opened(request, vcr_markers))
        yield cassette


def _opened(
    request: pytest.FixtureRequest, marks: list[pytest.Mark]
) -> AbstractContextManager[Cassette]:
    from pytest_mnemosyne.compat import _claude, _vcr_cassettes

    settings = settings_of(request.getfixturevalue("vcr_config"), marks)
    is_strict = _strictness.is_strict(request.node, settings)
    wanted = Wanted(
        name=request.getfixturevalue("default_cassette_name"),
        folder=request.getfixturevalue("vcr_cassette_dir"),
        record_mode=request.getfixturevalue("record_mode"),
        settings=settings,
        extras=[path for mark in marks for path in mark.args],
    )
    prepared = _vcr_cassettes.prepare(wanted)
    request.config.hook.pytest_recording_configure(config=request.config, vcr=prepared.vcr)
    return _claude.opened(request.node, prepared, is_strict=is_strict)


def _named_by(marker: pytest.Mark) -> str:
    if marker.args:
        name: str = marker.args[0]
        return name
    from mnemosyne_core.errors import UsageError

    raise UsageError(
        "the marker default_cassette takes the name of a cassette: default_cassette('name')"
    )


def _check_block(marker: pytest.Mark) -> None:
    if not marker.args and set(marker.kwargs) <= {"allowed_hosts"}:
        return
    from mnemosyne_core.errors import UsageError

    raise UsageError(
        "Invalid arguments to `block_network`. It accepts only the following keyword arguments: "
        f"`allowed_hosts`. Got args: {marker.args!r}; kwargs: {marker.kwargs!r}"
    )
