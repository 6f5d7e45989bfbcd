"""The vcrpy cassette of a test: its `VCR`, its file, and the files that are played besides.

Where the file lies, how a name that is too long is cut and which setting wins is as with
pytest-recording, so that its cassettes are found. What is wrong with a file is told with
the file's name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from vcr import VCR
from vcr.persisters.filesystem import CassetteNotFoundError, FilesystemPersister
from vcr.serialize import deserialize

from pytest_mnemosyne.cassette import CorruptCassetteError

if TYPE_CHECKING:
    from vcr.request import Request

    from pytest_mnemosyne.compat._wanted import Wanted

REWRITE: Final = "rewrite"
"""The mode that vcrpy does not know: the file goes, and every request is recorded."""

_LONGEST: Final = 255
_GAP: Final = "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A `VCR` that is made for one test, and what its cassette is opened with."""

    vcr: VCR
    name: str
    settings: dict[str, Any]
    persister: OwnAndExtras

    @property
    def path(self) -> Path:
        """The test's own file."""
        config = self.config()
        return Path(config["path_transformer"](config["path"]))

    def own(self, loaded: int) -> int:
        """How many of the exchanges that were loaded, the first ones, are from the test's file."""
        # A persister that a hook has put in its place knows of no extra files.
        is_in_place = self.config()["persister"] is self.persister
        return min(self.persister.own, loaded) if is_in_place else loaded

    def config(self, *, matchers: tuple[str, ...] = ()) -> dict[str, Any]:
        """What a cassette class is told, by a `VCR` that would otherwise choose its own class.

        Args:
            matchers: The names of more of them, registered on the `VCR`.
        """
        more = (*self.settings.get("additional_matchers", ()), *matchers)
        settings = {**self.settings, "additional_matchers": more}
        return self.vcr.get_merged_config(path=self.name, **settings)


def prepare(wanted: Wanted) -> Prepared:
    """Make the `VCR` of a test; in the mode `rewrite`, take the old file away."""
    settings = dict(wanted.settings)
    suffix = f".{settings['serializer']}" if "serializer" in settings else ".yaml"
    complete = VCR.ensure_suffix(suffix)
    name = _short_enough(wanted.name, suffix)
    mode = settings.get("record_mode", wanted.record_mode)
    if mode == REWRITE:
        with suppress(OSError):
            Path(complete(Path(wanted.folder, name))).unlink()
        mode = "new_episodes"
    if "record_mode" in settings:
        settings["record_mode"] = mode
    persister = OwnAndExtras([str(Path(wanted.folder, path)) for path in wanted.extras])
    vcr = VCR(path_transformer=complete, cassette_library_dir=wanted.folder, record_mode=mode)
    vcr.register_persister(persister)
    return Prepared(vcr=vcr, name=name, settings=settings, persister=persister)


class OwnAndExtras(FilesystemPersister):
    """Plays a test's own file and more of them; writes its own alone."""

    def __init__(self, extras: Iterable[str]) -> None:
        self._extras = tuple(extras)
        self.own = 0
        """How many exchanges the test's own file holds."""

    def load_cassette(
        self, cassette_path: str | os.PathLike[str], serializer: object
    ) -> tuple[list[Request], list[dict[str, Any]], dict[str, Any]]:
        """The exchanges of all files, those of the test's own first, and its metadata.

        Raises:
            CassetteNotFoundError: There are none.
            CorruptCassetteError: A file is damaged.
        """
        own = os.fspath(cassette_path)
        requests: list[Request] = []
        responses: list[dict[str, Any]] = []
        metadata: dict[str, Any] = {}
        for path in dict.fromkeys((own, *self._extras)):
            found = _read(Path(path), serializer)
            requests += found[0]
            responses += found[1]
            if path == own:
                self.own = len(requests)
                metadata = found[2] if len(found) > 2 else {}
        if not requests:
            raise CassetteNotFoundError
        return requests, responses, metadata


def _read(path: Path, serializer: object) -> Sequence[Any]:
    """A file's requests, its answers, and metadata if it has any."""
    try:
        text = path.read_text(encoding="utf-8")
        return deserialize(text, serializer) if text.strip() else ([], [])
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return [], []
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        words = getattr(error, "problem", None) or " ".join(str(error).split())
        problem = f"{type(error).__name__}: {words}"
        raise CorruptCassetteError(path=path, line=line, problem=problem) from error


def _short_enough(name: str, suffix: str) -> str:
    """The name, or as much of it as a file may have, with a digest of the whole."""
    longest = _longest()
    if len(name) + len(suffix) <= longest:
        return name
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{name[: longest - len(suffix) - len(digest) - len(_GAP)]}{_GAP}{digest}"


def _longest() -> int:
    try:
        return os.pathconf(".", "PC_NAME_MAX")
    except (AttributeError, ValueError, OSError):
        return _LONGEST
