"""Secrets are kept out of what pytest tells of a test that talks to Claude.

A test that fails prints what it compared, what it logged and the values of its variables;
what Claude was asked and has answered is among them. So a report is searched as a cassette
is, before anybody prints it, stores it or sends it to another process.

A test's reports pass by when they are made. What is told besides has no such place: subtests,
whose reports get their words only then, and warnings. `Tellings` sees these, from the first
cassette of a run on.
"""

from __future__ import annotations

import linecache
import warnings
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
    for name in ("longrepr", "sections", "user_properties", "wasxfail"):
        told = getattr(report, name, None)
        if told:
            setattr(report, name, _cleaned(told, clean))
    parcel = parcel_of(report)
    if parcel is not None:
        for part in ("violations", "notes", "sections"):
            if parcel[part]:
                parcel[part] = _cleaned(parcel[part], clean)


class Tellings:
    """Takes the secrets out of what is told besides a test's own reports; a plug-in.

    First of all, because others print it, write it to files or send it from a worker.
    """

    def __init__(self) -> None:
        self._clean: Clean | None = None

    def join(self, pluginmanager: pytest.PytestPluginManager, clean: Clean) -> None:
        """Listen from now on; `clean` takes the secrets out of a text."""
        pluginmanager.register(self, "mnemosyne-tellings")
        # Not before: whoever joins hears of earlier warnings, which have been told already.
        self._clean = clean

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Clean the report of a subtest, of pytest's own or of the plug-in pytest-subtests."""
        context = getattr(report, "context", None)
        clean = self._clean
        if context is None or clean is None:
            return
        redact_report(report, clean)
        parameters = {
            clean(name): _unless_clean(value, repr(value), clean)
            for name, value in context.kwargs.items()
        }
        # A frozen value, which is this report's alone.
        object.__setattr__(context, "msg", _unless_clean(context.msg, str(context.msg), clean))
        object.__setattr__(context, "kwargs", parameters)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Clean a warning's text, and the line of the source that is shown with it."""
        clean = self._clean
        if clean is None:
            return
        message = warning_message.message
        # A text may stand for a warning, which would make its text of whatever it holds.
        warning_message.message = _unless_clean(message, str(message), clean)
        line = warning_message.line
        shown = line or linecache.getline(warning_message.filename, warning_message.lineno)
        warning_message.line = _unless_clean(line, shown, clean)


def _unless_clean(value: Any, shown: str, clean: Clean) -> Any:
    """The value, or, where there is a secret in what is shown of it, that without it."""
    without = clean(shown)
    return value if without == shown else without


def _cleaned(value: Any, clean: Clean) -> Any:
    match value:
        case str():
            return clean(value) if value else value
        case [*lines] if isinstance(value, list) and all(
            isinstance(one, str) and "\n" not in one for one in lines
        ):
            # At once: a private key has many lines.
            return clean("\n".join(lines)).split("\n") if lines else value
        case list():
            return [_cleaned(one, clean) for one in value]
        case tuple():
            cleaned = tuple(_cleaned(one, clean) for one in value)
            # A named tuple is made of its fields one by one.
            return value._make(cleaned) if hasattr(value, "_make") else cleaned
        case dict():
            return {_cleaned(name, clean): _cleaned(one, clean) for name, one in value.items()}
        case TerminalRepr():
            for name, one in vars(value).items():
                setattr(value, name, _cleaned(one, clean))
            return value
        case None | bool() | int() | float():
            return value
    # What a test has noted of itself may be anything; whoever writes it writes its text.
    return _unless_clean(value, str(value), clean)
