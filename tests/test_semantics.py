"""The guarantees in docs/concepts/semantics.md name tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/concepts/semantics.md"
REFERENCE = re.compile(r"`(test_\w+)(?:::(test_\w+))?`")


@cache
def named_in(file: str) -> frozenset[str]:
    """Names of the tests in the files called `file`, wherever below tests/ they are."""
    return frozenset(
        node.name
        for path in (ROOT / "tests").glob(f"**/{file}.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def guarantees() -> list[str]:
    """The rows of the page's tables, without their heads."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    heads = {index - 1 for index, line in enumerate(lines) if line.startswith("|---")}
    rows = enumerate(lines)
    return [
        line
        for index, line in rows
        if line.startswith("| ") and index not in heads and not line.startswith("|---")
    ]


@pytest.mark.parametrize("row", guarantees(), ids=lambda row: row.split("|")[1].strip()[:60])
def test_a_guarantee_is_shown_by_a_test(row: str) -> None:
    references = REFERENCE.findall(row.rstrip("| ").rpartition("|")[2])

    assert references, f"no test stands beside: {row}"
    for file, name in references:
        assert named_in(file), f"there is no tests/**/{file}.py"
        assert not name or name in named_in(file), f"{file}.py has no {name}"
