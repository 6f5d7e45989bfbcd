"""The table of facts in docs/events-and-storage.md is complete and says what the code says."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_args

from mnemosyne_core._value import Value
from mnemosyne_core.events import Fact

PAGE = Path(__file__).parents[2] / "docs/events-and-storage.md"


def row(fact: type[Value]) -> str:
    """What the page has to say of a kind of fact."""
    kind = fact.model_fields["kind"].default
    said = (inspect.getdoc(fact) or "").splitlines()[0].rstrip(".")
    fields = ", ".join(f"`{name}`" for name in fact.model_fields if name != "kind")
    return f"| `{kind}` | {said} | {fields} |"


def test_the_page_shows_every_kind_of_fact_and_no_other() -> None:
    union, _ = get_args(Fact)
    section = PAGE.read_text(encoding="utf-8").partition("\n## Facts\n")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| `")]

    assert shown == [row(fact) for fact in get_args(union)]
