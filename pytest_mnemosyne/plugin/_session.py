"""One run of pytest: its settings, its door, its guard, and the test that is running.

The run lives on `config.stash`. What belongs to Claude (the door, the cassettes, the
clients) is imported and made when the first test asks for it.
"""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from mnemosyne_core import origins
from pytest_mnemosyne.plugin import _environment, _markers, _vcr_tests
from pytest_mnemosyne.plugin._bystanders import OlderThreads
from pytest_mnemosyne.plugin._completeness import Completeness
from pytest_mnemosyne.plugin._guard import Guard
from pytest_mnemosyne.plugin._interrupt import Interrupter
from pytest_mnemosyne.plugin._journals import notes_on_journals, notes_on_loss
from pytest_mnemosyne.plugin._matching import check_loosening
from pytest_mnemosyne.plugin._modes import SCRIPTED
from pytest_mnemosyne.plugin._money import budget_of, money_line, prices_of
from pytest_mnemosyne.plugin._options import Settings
from pytest_mnemosyne.plugin._record import TestRecord, Violation
from pytest_mnemosyne.plugin._redacted_report import Tellings
from pytest_mnemosyne.plugin._schedules import plan_of
from pytest_mnemosyne.plugin._summary import Summary, attach
from pytest_mnemosyne.plugin._temporary_names import tell_temporary_names
from pytest_mnemosyne.plugin._virtual import (
    VirtualLoops,
    prepare_virtual_time,
    wants_virtual_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mnemosyne_core.errors import Abort
    from pytest_mnemosyne.cassette import Budget, Cassette, Door, Miss, Prices, Upstream
    from pytest_mnemosyne.plugin._cassettes import Cassettes, Makes
    from pytest_mnemosyne.plugin._clients import SharedClients
    from pytest_mnemosyne.plugin._run_folder import RunFolder
    from pytest_mnemosyne.simulation import ScriptedClaude
    from pytest_mnemosyne.wire import ClaudeHosts

RUN: Final = pytest.StashKey["Run"]()

_FIXTURES: Final = frozenset(
    {
        "agent_bridge",
        "claude",
        "claude_cassette",
        "claude_sync",
        "make_supervision_tree",
        "supervision_tree",
    }
)
"""The fixtures that give a test its cassette."""

_FIRST_BYTES: Final = b"mnemosyne:"
"""How every cassette of ours begins."""

_EVERY_INTERFACE: Final = ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound


class Run:
    """Everything that the plug-in knows while pytest runs."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        """Take the settings; nothing is installed yet."""
        self.config = config
        self.settings = settings
        self.summary = Summary()
        self.completeness = Completeness(config)
        self.current: TestRecord | None = None
        self.strays: list[Violation] = []
        """Refused requests that no test made: before, between and after the tests."""

        self.loops = VirtualLoops(lambda: self.running.schedule)
        self._door: Door | None = None
        self._clients: SharedClients | None = None
        self._older_threads = OlderThreads()
        self._interrupter = Interrupter(in_test=self._is_in_phase)
        self._guard = Guard(refuse=self._judge_contact, environ=os.environ)
        # Worked out once, because every test asks.
        self._is_fenced = not settings.mode.forwards or settings.upstream is not None
        self._is_guarded = self._is_fenced or settings.block_hosts
        self._variables = _environment.variables_for(settings)

    # --- the run -----------------------------------------------------------------------

    def start(self) -> None:
        """Put up the guard where some host must not be reached."""
        if self._is_guarded:
            self._guard.install()

    def listen(self) -> None:
        """Be ready to stop a test whose request is refused in another thread."""
        self._interrupter.arm()

    def stop(self) -> None:
        """Take everything away again; safe to call twice."""
        if self.current is not None:
            self.end(self.current)
        self._interrupter.disarm()
        if self._clients is not None:
            self._clients.close()
            self._clients = None
        if self._door is not None:
            self._door.uninstall()
            self._door = None
        self._guard.uninstall()
        if "folder" in self.__dict__ and self.folder is not None:
            self.folder.remove()

    @functools.cached_property
    def cassettes(self) -> Cassettes:
        """The cassettes of this run."""
        from pytest_mnemosyne.plugin._cassettes import Cassettes

        made = Cassettes(self.config, self.settings, self.folder, self.budget)
        Tellings().join(self.config.pluginmanager, self.shown_text)
        return made

    @functools.cached_property
    def budget(self) -> Budget | None:
        """What may be spent on Claude; `None` where nobody has set a bound."""
        return budget_of(self.settings, self.folder, self._refused)

    @functools.cached_property
    def folder(self) -> RunFolder | None:
        """What the processes of this run share; `None` where nothing leaves it."""
        if not self.settings.mode.forwards:
            return None
        from pytest_mnemosyne.plugin._run_folder import RunFolder

        return RunFolder(self.config)

    def shown_text(self, text: str) -> str:
        """A text without the secrets of this run."""
        return self.cassettes.redactor.shown_text(text)

    @property
    def has_cassettes(self) -> bool:
        """Whether there is a folder of cassettes; without one, ends of runs are none of ours."""
        return self.settings.cassette_dir.is_dir()

    @property
    def clients(self) -> SharedClients:
        """The SDK clients of this run."""
        if self._clients is None:
            from pytest_mnemosyne.plugin._clients import SharedClients

            self._clients = SharedClients()
        return self._clients

    @property
    def door(self) -> Door:
        """The door, made at the first cassette."""
        if self._door is None:
            from pytest_mnemosyne.cassette import Door, RecordMode, Upstream

            upstream = self.settings.upstream
            self._door = Door(
                mode=RecordMode(self.settings.mode.name),
                hosts=self._hosts,
                upstream=None if upstream in (None, SCRIPTED) else Upstream(upstream),
                block_other_hosts=self.settings.block_hosts,
                on_uncovered=self._refused,
                is_recorded_elsewhere=self._is_recorded_elsewhere,
                budget=self.budget,
            )
        return self._door

    def is_own_cassette(self, path: Path) -> bool:
        """Whether this is a file that the project's recording wrote, in its folder."""
        if path.suffix != ".yaml" or not path.is_relative_to(self.settings.cassette_dir):
            return False
        try:
            if not path.is_file():
                return False  # a pipe would be waited for
            with path.open("rb") as file:
                return file.read(len(_FIRST_BYTES)) == _FIRST_BYTES
        except OSError:
            return False

    # --- one test ----------------------------------------------------------------------

    def begin(self, item: pytest.Item) -> TestRecord:
        """A test begins."""
        self.current = TestRecord(item)
        return self.current

    def end(self, record: TestRecord) -> None:
        """A test is over, in whatever way."""
        try:
            if not record.is_closed:
                record.close()
        finally:
            self.current = None
            if not record.is_reported:
                self._note_broken_off(record)
            # The two know each other: apart, they need no garbage collector.
            record.cassette = None
            self._older_threads.look()

    def _note_broken_off(self, record: TestRecord) -> None:
        cassette = record.cassette
        if cassette is not None and cassette.mode.writes and cassette.recorded:
            self.summary.take_note(
                f"{record.nodeid} was broken off, so {cassette.path} was not written"
            )
            for note in notes_on_loss(record.nodeid, cassette):
                self.summary.take_note(note)

    def tell_the_end(self) -> None:
        """Say what was spent, and name the recordings that no cassette holds."""
        if any(self.summary.counts.values()):
            self.summary.money = money_line(self.summary.counts, self.settings, self.folder)
        # A miss may be of what an earlier run has recorded and lies aside.
        if self.settings.mode.writes or self.summary.counts["missed"]:
            for note in self.notes_on_journals():
                self.summary.take_note(note)

    def notes_on_journals(self) -> list[str]:
        """Lines about recordings that no cassette holds."""
        return notes_on_journals(self.settings.cassette_dir, self.config.rootpath)

    def prepare(self, item: pytest.Item) -> None:
        """What the test's markers ask for, and its cassette if it needs one; in its setup."""
        if self._is_guarded:
            self._guard.hold_tls_if_loaded()
        asked = _markers.Asked.of(item)
        if wants_virtual_time(item, asked):
            plan_of(item, self.settings)
            prepare_virtual_time(item, self.running)
        if asked.live_only:
            from pytest_mnemosyne.plugin._skips import apply_live_only

            apply_live_only(item, self.settings)
        if asked.requires_key:
            from pytest_mnemosyne.plugin._skips import apply_requires_key

            has_cassette = self.cassettes.path_for(item, asked).is_file()
            apply_requires_key(item, self.settings, has_cassette=has_cassette)
        if asked.requires_key or asked.cassette is not None or _markers.uses_any(item, _FIXTURES):
            self.open_cassette(asked)

    def open_cassette(self, asked: _markers.Asked | None = None) -> Cassette:
        """The test's cassette, current until the test is over; opened at the first call.

        Raises:
            CassetteFileError: Its file cannot be read.
            UncoveredClientError: The SDK's requests would not pass the door.
            UsageError: The test's marker says what cannot be.
        """
        record = self.running
        if record.cassette is not None:
            return record.cassette
        _vcr_tests.refuse_two_recorders(record.item)
        from pytest_mnemosyne.plugin._conclusion import check_age

        asked = asked or _markers.Asked.of(record.item)
        cassette = self.cassettes.open(
            record.item, asked, on_miss=functools.partial(self._missed, record)
        )
        record.chosen = asked.chosen()
        check_age(record, cassette, record.chosen, self.settings)
        check_loosening(record, cassette)
        closers = record.closers
        tell_temporary_names()
        closers.enter_context(origins.listening(cassette.origins))
        closers.enter_context(self.door.playing(cassette))
        closers.callback(cassette.close)
        closers.enter_context(_environment.replaced(os.environ, self._variables))
        if cassette.mode.forwards and self.settings.upstream == SCRIPTED:
            closers.enter_context(_forwarding_to(self.scripted().url, self.door))
        record.cassette = cassette
        return cassette

    @contextmanager
    def adopting(self, make: Makes, chosen: _markers.Chosen) -> Iterator[Cassette]:
        """Let the running test have a cassette from elsewhere, which is current in the block.

        Args:
            make: Makes it.
            chosen: What a marker would say of it.

        Raises:
            CassetteFileError: Its file cannot be read.
        """
        record = self.running
        on_miss = functools.partial(self._missed, record)
        record.cassette = self.cassettes.adopt(make, record.item, chosen, on_miss=on_miss)
        record.chosen = chosen
        with self.door.playing(record.cassette):
            yield record.cassette

    def scripted(self) -> ScriptedClaude:
        """The script of the test that is running; its server ends with the test."""
        record = self.running
        if record.scripted is None:
            from pytest_mnemosyne.simulation import ScriptedClaude

            record.scripted = ScriptedClaude()
            record.closers.callback(record.scripted.stop)
        return record.scripted

    def save(self, record: TestRecord) -> None:
        """Write what a test recorded, if it passed; at the end of its teardown.

        Raises:
            CassetteFileError: It cannot be written, or would hold a secret.
        """
        cassette = record.cassette
        if cassette is None:
            return
        forked = self.door.heard_of_forks()
        if forked is not None:
            record.note(Violation(f"refused: a forked process, {forked.call}", str(forked)))
        if record.is_worth_saving and cassette.mode.writes and cassette.recorded:
            record.was_worth_saving = True
            record.notes += self.cassettes.save(cassette, test=record.nodeid)
            record.saved = True

    def report(self, record: TestRecord, report: pytest.TestReport) -> list[Violation]:
        """Note how a phase went, give its report what belongs there, and say what was refused."""
        when = report.when
        assert when in ("setup", "call", "teardown"), f"no such phase: {when!r}"
        if record.cassette is not None and record.cassette.mode.writes:
            # Now, while the fixtures are there that have set some.
            self.cassettes.read_secrets()
        violations = record.to_report(when)
        record.failed |= report.failed or bool(violations)
        if when == "call":
            record.passed_call = report.passed
        record.ended_well |= report.skipped or (when == "call" and report.passed)
        if when == "teardown" and record.cassette is not None:
            record.is_reported = True
            from pytest_mnemosyne.plugin._conclusion import conclude

            conclude(record, record.cassette, report, violations, self.settings, self._prices)
        elif violations:
            attach(report, mode=self.settings.mode.name, violations=violations)
        elif when == "teardown" and not record.has_passed and self.has_cassettes:
            from pytest_mnemosyne.plugin._conclusion import conclude_unopened

            conclude_unopened(self, record, report)
        return violations

    @functools.cached_property
    def _prices(self) -> Prices:
        return prices_of(self.settings)

    @property
    def running(self) -> TestRecord:
        """The record of the test that is running."""
        assert self.current is not None, "fixtures are made while a test runs"
        return self.current

    def _is_recorded_elsewhere(self) -> bool:
        return self.current is not None and _vcr_tests.is_recorded(self.current.item)

    def _is_in_phase(self) -> bool:
        return self.current is not None and self.current.in_phase

    # --- what was refused --------------------------------------------------------------

    def _missed(self, record: TestRecord, miss: Miss) -> None:
        agent = f"{miss.lane.agent}, " if miss.lane is not None else ""
        record.note(Violation(f"miss: {agent}{miss.call}", f"{miss}{self._older_threads.words()}"))
        self._interrupter.stop_test()

    def _refused(self, error: Abort) -> None:
        text = self.shown_text(str(error))
        violation = Violation(f"refused: {text.splitlines()[0]}", text)
        if self.current is None:
            self.strays.append(violation)
        else:
            self.current.note(violation)
            self._interrupter.stop_test()

    def _judge_contact(self, host: str) -> Abort | None:
        """What is raised for contact with a host, having noted it; `None` lets it pass."""
        error = self._error_for_contact(host.lower())
        if error is not None:
            self._refused(error)
        return error

    def _error_for_contact(self, host: str) -> Abort | None:
        if host == self._upstream_host and self.settings.mode.forwards:
            return None
        if self._is_recorded_elsewhere():
            return None
        if self._hosts.covers_host(host):
            return self._error_for_claude(host) if self._is_fenced else None
        if not self.settings.block_hosts:
            return None
        from pytest_mnemosyne.wire import is_loopback

        if host in _EVERY_INTERFACE or is_loopback(host):
            return None
        from pytest_mnemosyne.plugin._errors import ContactRefusedError

        return ContactRefusedError.blocked(host)

    def _error_for_claude(self, host: str) -> Abort:
        from pytest_mnemosyne.plugin._errors import ContactRefusedError

        if self.current is not None and self.current.cassette is not None:
            return ContactRefusedError.past_cassette(host)
        return ContactRefusedError.without_cassette(host)

    @functools.cached_property
    def _hosts(self) -> ClaudeHosts:
        from pytest_mnemosyne.wire import ClaudeHosts

        return ClaudeHosts.from_environment(os.environ)

    @functools.cached_property
    def _upstream_host(self) -> str | None:
        from urllib.parse import urlsplit

        upstream = self.settings.upstream
        return urlsplit(upstream).hostname if upstream not in (None, SCRIPTED) else None


def run_of(config: pytest.Config) -> Run:
    """The run that `config` belongs to."""
    return config.stash[RUN]


@contextmanager
def _forwarding_to(url: str, door: Door) -> Iterator[None]:
    from pytest_mnemosyne.cassette import Upstream

    before: Upstream | None = door.upstream
    door.upstream = Upstream(url)
    try:
        yield
    finally:
        door.upstream = before
