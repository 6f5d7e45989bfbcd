"""Secrets are kept out of what pytest tells of a test that talks to Claude.

A test that fails prints what it compared, what it logged and the values of its variables;
what Claude was asked and has answered is among them. So a report is searched as a cassette
is, before anybody prints it, stores it or sends it to another process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _pytest._code.code import TerminalRepr

from pytest_mnemosyne.plugin._summary import parcel_of

Clean = Callable[[str], str]
"""Takes the secrets out of a text."""


def redact_report(report: pytest.TestReport, clean: Clean) -> None:
    """Take the secrets out of a failure, of captured output, and of what we tell ourselves."""
    # Most reports tell nothing, and every test has three of them.
    for name in ("longrepr", "sections", "user_properties"):
        told = getattr(report, name)
        if told:
            setattr(report, name, _cleaned(told, clean))
    parcel = parcel_of(report)
    if parcel is not None:
        for part in ("violations", "notes", "sections"):
            if parcel[part]:
                parcel[part] = _cleaned(parcel[part], clean)


def _cleaned(value: Any, clean: Clean) -> Any:
    match value:
        case str():
            return clean(value) if value else value
        case [*lines] if isinstance(value, list) and all(
            isinstance(one, str) and "\n" not in one for one in lines
        ):
            # At once: a private key has many lines.
            return clean("\n".join(lines)).split("\n") if lines else value
        case list() | tuple():
            return type(value)([_cleaned(one, clean) for one in value])
        case dict():
            return {name: _cleaned(one, clean) for name, one in value.items()}
        case TerminalRepr():
            for name, one in vars(value).items():
                setattr(value, name, _cleaned(one, clean))
    return value
