"""From the bytes of a cassette's file, whoever wrote it, to its contents."""

from __future__ import annotations

from pathlib import Path

from pytest_mnemosyne.cassette._contents import FORMAT, CassetteFile
from pytest_mnemosyne.cassette._errors import (
    CorruptCassetteError,
    UnknownFormatError,
    UnreadableCassetteError,
)
from pytest_mnemosyne.cassette._foreign import NO_RECORDING, read_foreign
from pytest_mnemosyne.cassette._format1 import from_document, is_cut_off
from pytest_mnemosyne.cassette._raw import UnknownContainer, looks_recorded, parse_document
from pytest_mnemosyne.cassette._yaml import ShapeProblem, YamlProblem, line_of


def parse(data: bytes, path: Path) -> CassetteFile:
    """The contents of a file's bytes; `path` is for the errors.

    Raises:
        CorruptCassetteError: It is damaged.
        UnknownFormatError: A newer release wrote it.
        UnreadableCassetteError: It is of a kind that is not read.
    """
    return parse_whole(data, path)[1]


def parse_whole(data: bytes, path: Path) -> tuple[object, CassetteFile]:
    """The same beside the plain data that it was read from, which tells how it is written."""
    try:
        document = parse_document(data)
        if not isinstance(document, dict) or "mnemosyne" not in document:
            return document, read_foreign(document)
        _check_format(document["mnemosyne"], path)
        if is_cut_off(document, data):
            raise YamlProblem(data.rstrip().count(b"\n") + 1, "the file is cut off here")
        return document, from_document(document)
    except YamlProblem as problem:
        raise CorruptCassetteError(
            path=path,
            line=problem.line,
            problem=problem.problem,
            looks_recorded=not data.strip() or looks_recorded(data),
        ) from problem
    except ShapeProblem as problem:
        raise CorruptCassetteError(
            path=path, line=line_of(data, problem.where), problem=_located(problem)
        ) from problem
    except UnknownContainer as unknown:
        raise UnreadableCassetteError(
            path=path,
            container=unknown.container,
            looks_recorded=unknown.container != NO_RECORDING,
        ) from unknown


def _check_format(found: object, path: Path) -> None:
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ShapeProblem(
            ("mnemosyne",), f"{found!r} is no format number; this is format {FORMAT}"
        )
    if found > FORMAT:
        raise UnknownFormatError(path=path, found=found, known=FORMAT)


def _located(problem: ShapeProblem) -> str:
    where = ".".join(map(str, problem.where))
    return f"{where}: {problem.problem}" if where else problem.problem
