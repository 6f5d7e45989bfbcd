"""Feeds the readers of cassettes with bytes that the branches they take lead to.

    pip install atheris
    python tests/fuzz/fuzz_readers.py -max_total_time=600 CORPUS

`CORPUS` is a folder that may be empty: it is filled with a valid cassette of each
container, and afterwards with what took a new branch. The folder of the project's own
cassettes beside it is a good second one. A crash leaves the bytes in a file `crash-...`;
`python tests/fuzz/fuzz_readers.py crash-...` repeats it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["pytest_mnemosyne.cassette", "yaml", "json"]):
    from pytest_mnemosyne.cassette import CassetteFileError, Redactor, find_leaks
    from pytest_mnemosyne.cassette._file import render
    from pytest_mnemosyne.cassette._reading import parse
    from tests.cassette.files.cassettes_of_all import originals

PATH = Path("fuzzed.yaml")
REDACTOR = Redactor({"TOKEN": "t0ken-with/16+chars"})


def check(data: bytes) -> None:
    """Read the bytes; whatever comes out but an error of a file's is a crash."""
    find_leaks(data, redactor=REDACTOR)
    try:
        file = parse(data, PATH)
    except CassetteFileError:
        return
    render(file)


def fill(corpus: Path) -> None:
    """Begin with cassettes that are valid."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(originals()):
        (corpus / f"original-{number}").write_bytes(data)


if __name__ == "__main__":
    folders = [Path(given) for given in sys.argv[1:] if not given.startswith("-")]
    if folders and not folders[0].is_file():
        fill(folders[0])
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
