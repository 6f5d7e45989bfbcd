"""Whether a run was a full one: every test of the project collected, kept and run.

What no test asked for can only be known then. Whatever leaves a test out makes a run
partial, and in doubt it is.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

PARTIAL_KEY: Final = "mnemosyne_partial"
"""Where an xdist worker's output says why its run was partial."""

_PHASES: Final = ("setup", "call", "teardown")

_LEAVING_OUT: Final = {
    "collectonly": "nothing was run (--collect-only)",
    "ignore": "--ignore left files out",
    "ignore_glob": "--ignore-glob left files out",
    "lf": "--last-failed left tests out",
    "setuponly": "no test was run (--setup-only)",
    "setupplan": "no test was run (--setup-plan)",
}
"""Options that leave something out without anybody being told."""


class Completeness:
    """Watches a run for tests that are left out; registered as a plug-in of its own."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._why: str | None = None

    def partial_because(self, session: pytest.Session) -> str | None:
        """Why the run was partial, in words; `None` for a full one. Asked at its end."""
        if self._why is not None:
            return self._why
        for option, why in _LEAVING_OUT.items():
            if getattr(self._config.option, option, None):
                return why
        if not _covers_everything(self._config):
            return "only a part of the tests was asked for"
        if session.shouldstop or session.shouldfail:
            return "it stopped early"
        if session.exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return "it was broken off"
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Notice tests that are taken out, also by who tells nobody."""
        before = len(items)
        result = yield
        if len(items) < before:
            self._note(f"{before - len(items)} of {before} tests were deselected")
        return result

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Notice tests that are taken out elsewhere, such as at collection."""
        if items:
            self._note("some tests were deselected")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notice files whose tests nobody knows."""
        if not report.passed:
            how = "failed" if report.failed else "was skipped"
            self._note(f"the collection of {report.nodeid or 'the project'} {how}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice a test whose worker crashed."""
        if report.when not in _PHASES:
            self._note(f"{report.nodeid} was not run to its end")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what an xdist worker has noticed; one that crashed tells nothing."""
        output = getattr(node, "workeroutput", None)
        why = output.get(PARTIAL_KEY) if output else f"the worker {node.gateway.id} crashed"
        if why:
            self._note(why)

    def _note(self, why: str) -> None:
        self._why = self._why or why


def _covers_everything(config: pytest.Config) -> bool:
    """Whether what was asked for contains all that the project has."""
    root = config.rootpath
    source = config.args_source
    if source is pytest.Config.ArgsSource.TESTPATHS:
        return True
    given = [config.invocation_params.dir / argument for argument in config.args]
    if source is pytest.Config.ArgsSource.INVOCATION_DIR:
        given = [config.invocation_params.dir]
    wanted = [root / path for path in config.getini("testpaths")] or [root]
    # An argument that names a test, or a module's name, is no folder and contains nothing.
    return all(any(_contains(folder, path) for folder in given) for path in wanted)


def _contains(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
