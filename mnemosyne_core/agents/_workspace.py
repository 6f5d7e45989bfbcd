"""The one folder in which an agent may read and write.

A path is checked after every link in it is followed, so a link that leads out is
refused however it got there. Texts that go to Claude name files relative to the
folder: an absolute path would differ from run to run and tell what is not
Claude's to know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnemosyne_core.errors import ToolError, WorkspaceEscapeError

# Made by tools, not by people; a listing is unreadable with them.
UNLISTED = frozenset(
    {".git", ".hg", ".venv", "__pycache__", "node_modules"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache"}
)


class Workspace:
    """File access below `root`, whose paths are POSIX-like and relative."""

    def __init__(self, root: Path, *, max_file_bytes: int) -> None:
        """Use the existing folder `root`.

        Raises:
            OSError: It is not there.
        """
        self.root = root.resolve(strict=True)
        if not self.root.is_dir():
            raise NotADirectoryError(20, "the workspace is not a folder", str(root))
        self._max_file_bytes = max_file_bytes
        # The longer one first: one may be the beginning of the other.
        self._names = sorted({str(self.root), str(root.absolute())}, key=len, reverse=True)

    def resolve(self, path: str) -> Path:
        """The place that `path` names, which need not exist yet.

        Raises:
            WorkspaceEscapeError: It is absolute, climbs with `..`, or leads out by a link.
            ToolError: No file can have this name.
        """
        given = Path(path)
        if given.is_absolute() or ".." in given.parts:
            raise WorkspaceEscapeError(path=path)
        try:
            with _told(path, "used"):
                place = (self.root / given).resolve()
        except ValueError as error:
            problem = "it holds a character that no file name can have"
            raise ToolError(f"{path!r} cannot be used: {problem}") from error
        except RuntimeError as error:  # Python 3.13 finds nothing there instead
            raise ToolError(f"{path!r} cannot be used: a link leads back to itself") from error
        if not place.is_relative_to(self.root):
            raise WorkspaceEscapeError(path=path)
        return place

    def read(self, path: str) -> str:
        """The text of a file.

        Raises:
            ToolError: It is missing, no ordinary file, too large, or no UTF-8 text.
        """
        place = self.resolve(path)
        with _told(path, "read"):
            if not place.exists():
                raise ToolError(f"there is no file {path!r}; list_files shows what there is")
            self._check_ordinary(place, path)
            size = place.stat().st_size
            self._check_size(path, size)
            content = place.read_bytes()
        if b"\0" in content:
            raise ToolError(f"{path!r} is a binary file of {size} bytes, not text")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise ToolError(
                f"{path!r} is not UTF-8 text: {error.reason} at byte {error.start} of {size}"
            ) from error

    def write(self, path: str, text: str) -> int:
        """Replace or make a file, with its folders, and say how many bytes it has now.

        Raises:
            ToolError: Something other than a file is there, or it is too large.
        """
        place = self.resolve(path)
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            raise ToolError(
                f"the text for {path!r} is not valid Unicode: {error.reason}"
            ) from error
        self._check_size(path, len(content))
        with _told(path, "written"):
            if place.exists():
                self._check_ordinary(place, path)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                problem = "a file is where its folder would be"
                raise ToolError(f"{path!r} cannot be written: {problem}") from error
            place.write_bytes(content)
        return len(content)

    def files(self, path: str = ".") -> Iterator[str]:
        """The files below a folder in the order of their names; links are not followed.

        Raises:
            ToolError: The folder is not there.
        """
        top = self.resolve(path)
        if not top.is_dir():
            raise ToolError(f"there is no folder {path!r}")
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(set(folders) - UNLISTED)
            for name in sorted(names):
                yield self.name_of(Path(folder, name))

    def name_of(self, place: Path) -> str:
        """The relative name of a place in the workspace."""
        return place.relative_to(self.root).as_posix()

    def without_root(self, text: str) -> str:
        """`text` with the workspace's own path replaced by `.`."""
        for name in self._names:
            text = text.replace(name, ".")
        return text

    def _check_ordinary(self, place: Path, path: str) -> None:
        # Reading a pipe or a device would never end.
        if place.is_dir():
            raise ToolError(f"{path!r} is a folder")
        if not place.is_file():
            raise ToolError(f"{path!r} is not an ordinary file")

    def _check_size(self, path: str, size: int) -> None:
        if size > self._max_file_bytes:
            raise ToolError(
                f"{path!r} would be {size} bytes; files here may have {self._max_file_bytes}"
            )


@contextmanager
def _told(path: str, done: str) -> Iterator[None]:
    """Turn an `OSError` into a `ToolError` without the absolute path that it carries."""
    try:
        yield
    except OSError as error:
        raise ToolError(f"{path!r} cannot be {done}: {error.strerror or error}") from error
