"""What a test leaves out of matching, and what this run makes that no other run will."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mnemosyne.plugin._markers import Chosen
from pytest_mnemosyne.plugin._options import Settings
from pytest_mnemosyne.plugin._record import TestRecord

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Cassette, Folders, Loosening, Matcher


class Matching:
    """Knows what the tests of one run may leave out, and the folders that are the run's."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        """Ask nobody yet: conftest files may still come."""
        self._config = config
        self._for_all = (*settings.match, *settings.ignore)
        self._declared: dict[str, Matcher] | None = None
        self._folders = _folders_of_run(config)

    def loosening(self, chosen: Chosen) -> Loosening:
        """What a test leaves out: what the run does, and what its marker says.

        Raises:
            UsageError: Something that nobody has declared, or that two have.
        """
        from pytest_mnemosyne.cassette import EXACTLY, Loosening

        asked = (*self._for_all, *chosen.match)
        return Loosening.of(asked, self._known()) if asked else EXACTLY

    def folders(self, item: pytest.Item) -> Folders:
        """Tells the folders of the run and, once there are some, of the test."""
        return lambda: (*_folders_of_test(item), *self._folders)

    def _known(self) -> dict[str, Matcher]:
        if self._declared is None:
            self._declared = _declared(self._config)
        return self._declared


def check_match(config: pytest.Config, settings: Settings) -> None:
    """Refuse a run that leaves out what nobody declares; once its conftest files are there.

    Raises:
        pytest.UsageError: The ini setting `mnemosyne_match` names such a thing.
    """
    if not settings.match:
        return
    from mnemosyne_core.errors import UsageError
    from pytest_mnemosyne.cassette import Loosening

    try:
        Loosening.of(settings.match, _declared(config))
    except UsageError as error:
        raise pytest.UsageError(
            f"pytest-mnemosyne: the ini setting mnemosyne_match: {error} (in a plug-in, or in a "
            "conftest.py that is there from the start, such as the one in rootdir)"
        ) from error


def _declared(config: pytest.Config) -> dict[str, Matcher]:
    """Every matcher that there is, by name.

    Raises:
        UsageError: Two have the same.
    """
    from mnemosyne_core.errors import UsageError
    from pytest_mnemosyne.cassette import LOOKS

    known = dict(LOOKS)
    for several in config.hook.pytest_mnemosyne_matchers(config=config):
        for matcher in several or ():
            if matcher.name in known:
                raise UsageError(
                    f"two matchers are called {matcher.name!r}; name the one that the hook "
                    "pytest_mnemosyne_matchers declares otherwise"
                )
            known[matcher.name] = matcher
    return known


def check_loosening(record: TestRecord, cassette: Cassette) -> None:
    """Tell where a test and its cassette do not leave out the same."""
    then = cassette.loosened_when_recorded
    if then is None or then == cassette.loosening.names:
        return
    from pytest_mnemosyne.cassette import differently

    record.notes += [
        f"{record.nodeid} {words}; record it anew, or match as before"
        for words in differently(then, cassette.loosening.names)
    ]


def _folders_of_run(config: pytest.Config) -> tuple[tuple[str, str], ...]:
    places = [("root", config.rootpath), ("cwd", config.invocation_params.dir)]
    # Right below the root of the disk a folder is a word in prompts, such as /app.
    named = [(name, path) for name, path in places if len(path.parts) > 2]
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - without a home it stays what it is
    if home.is_absolute() and len(home.parts) > 1:
        named.append(("home", home))
    return tuple(_spelled(named))


def _folders_of_test(item: pytest.Item) -> Iterable[tuple[str, str]]:
    made = getattr(item, "funcargs", {})
    folder, factory = made.get("tmp_path"), made.get("tmp_path_factory")
    places = []
    if isinstance(folder, Path):
        places += [("tmp_path", folder), ("tmp", folder.parent)]
    elif isinstance(factory, pytest.TempPathFactory):
        places.append(("tmp", factory.getbasetemp()))
    return _spelled(places)


def _spelled(places: Iterable[tuple[str, Path]]) -> Iterable[tuple[str, str]]:
    """Each folder under the names that lead to it."""
    for name, path in places:
        yield name, str(path)
        real = os.path.realpath(path)
        if real != str(path):
            yield name, real
