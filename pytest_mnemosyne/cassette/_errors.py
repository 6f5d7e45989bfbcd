"""What can be wrong with a cassette's file.

CassetteFileError
  - CassetteReadError
  - CorruptCassetteError
  - UnknownFormatError
  - UnreadableCassetteError
  - CassetteWriteError
  - SecretLeakError
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mnemosyne_core.errors import MnemosyneError

_WRONG_FILE: Final = "is this a cassette? name a file that a recording has written"


class CassetteFileError(MnemosyneError):
    """A cassette cannot be read or written.

    Attributes:
        path: The file.
        looks_recorded: Whether it is, as far as anybody has looked, a recording.
    """

    code = "cassette_file"
    looks_recorded: bool = True

    def __init__(self, *, path: Path, text: str) -> None:
        self.path = path
        super().__init__(text)


class CassetteReadError(CassetteFileError):
    """The file is there, and the operating system does not hand it out.

    Attributes:
        path: The file.
        reason: What the operating system said.
    """

    code = "cassette_read"

    def __init__(self, *, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(
            path=path,
            text=f"cannot read the cassette {path}: {reason}; make it a file that you may read",
        )


class CorruptCassetteError(CassetteFileError):
    """The file is damaged, or was edited into something that is no cassette.

    Attributes:
        path: The file.
        line: Where, counted from 1; `None` where no line can be named.
        problem: What is wrong there.
        looks_recorded: Whether anything in it says that it ever was a recording.
    """

    code = "corrupt_cassette"

    def __init__(
        self, *, path: Path, line: int | None, problem: str, looks_recorded: bool = True
    ) -> None:
        self.line = line
        self.problem = problem
        self.looks_recorded = looks_recorded
        where = f"{path}:{line}" if line is not None else str(path)
        mend = "restore the cassette from version control or record it anew"
        if not looks_recorded:
            mend = f"{_WRONG_FILE}; if it should be, {mend}"
        super().__init__(path=path, text=f"{where}: {problem}; {mend}")


class UnknownFormatError(CassetteFileError):
    """A newer version of this project wrote the file.

    Attributes:
        path: The file.
        found: The format number it claims.
        known: The newest format this release reads.
    """

    code = "unknown_cassette_format"

    def __init__(self, *, path: Path, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            path=path,
            text=(
                f"{path} is a cassette of format {found}, this release reads up to {known}; "
                f"upgrade pytest-mnemosyne to a version that writes format {found}, or remove the "
                f"file and record it in format {known}"
            ),
        )


class UnreadableCassetteError(CassetteFileError):
    """The file is of a kind that is not read here.

    Attributes:
        path: The file.
        container: What it seems to be.
        looks_recorded: Whether it may hold a recording all the same.
    """

    code = "unreadable_cassette"

    def __init__(self, *, path: Path, container: str, looks_recorded: bool = True) -> None:
        self.container = container
        self.looks_recorded = looks_recorded
        mend = "convert it with the tool that wrote it" if looks_recorded else _WRONG_FILE
        super().__init__(
            path=path,
            text=(
                f"{path} cannot be read: it is {container}; what can be read is this project's own "
                "format, vcrpy's YAML or JSON, Ruby VCR, go-vcr, HAR, and one JSON object with a "
                f"request and a response; {mend}"
            ),
        )


class CassetteWriteError(CassetteFileError):
    """The file could not be written; what was there before is untouched.

    Attributes:
        path: The file.
        reason: What the operating system said, or what is wrong with what it would hold.
    """

    code = "cassette_write"

    def __init__(
        self,
        *,
        path: Path,
        reason: str,
        remedy: str = "make its folder writable or choose another one (ini mnemosyne_cassette_dir)",
    ) -> None:
        self.reason = reason
        super().__init__(
            path=path,
            text=f"cannot write the cassette {path}: {reason}; nothing was changed, {remedy}",
        )


class SecretLeakError(CassetteFileError):
    """A secret would have reached the file and could not be taken out; nothing was written.

    Attributes:
        path: The file that was not written.
        secret: The secret's name, never its value.
        where: The part of the cassette that holds it.
    """

    code = "secret_leak"

    def __init__(self, *, path: Path, secret: str, where: str) -> None:
        self.secret = secret
        self.where = where
        super().__init__(
            path=path,
            text=(
                f"{path} was not written: {where} holds {secret} in a form that cannot be "
                "replaced; keep it out of what is sent and recorded"
            ),
        )
