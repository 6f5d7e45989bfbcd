"""The in-process door: stands between every HTTP client of this process and the network.

It is installed once per run, because patching all clients costs more than a replayed
call; from test to test only the current cassette changes. That is a plain attribute
and no context variable, because threads do not inherit those.

What a request meets:

=====================  ===================  ====================================
the request goes to    a cassette is open   no cassette is open
=====================  ===================  ====================================
Claude                 the cassette         refused in replay, else forwarded
Claude on this host    the cassette         passes
somewhere else         passes, or is refused where other hosts are blocked
=====================  ===================  ====================================

While somebody else records the test, nothing is refused: what has no cassette passes.

What goes to Claude is told from the URL, and elsewhere from the header that every client of
Claude sends: an SDK client may be pointed at a gateway in the code alone. Claude on this host
is Claude on a loopback address that nobody declared as a base URL: a test's own stand-in,
which cannot leave the machine.

The httpx2 transports (the SDK's) and httpx's get handlers of our own that stream; all
other clients are covered by vcrpy's stubs, which read an answer whole. A fault plan
stands in front of the cassette.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mnemosyne_core import lane
from pytest_mnemosyne.cassette._cassette import Cassette
from pytest_mnemosyne.cassette._forks import ForkedProcessError, ForkWatch
from pytest_mnemosyne.cassette._interaction import Request
from pytest_mnemosyne.cassette._miss import NoCassetteError, OtherHostError, call_summary
from pytest_mnemosyne.cassette._modes import RecordMode
from pytest_mnemosyne.cassette._upstream import Upstream
from pytest_mnemosyne.wire import VERSION_HEADER, Address, ClaudeHosts, is_loopback

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette._budget import Budget
    from pytest_mnemosyne.simulation.faults import RunningPlan

Refusal = NoCassetteError | OtherHostError


class _Goes(Enum):
    """Where a request goes."""

    CLAUDE = auto()
    STAND_IN = auto()
    HERE = auto()
    ELSEWHERE = auto()


_UNLESS_FOR_CLAUDE: Final = {_Goes.HERE: _Goes.STAND_IN, _Goes.ELSEWHERE: _Goes.CLAUDE}
"""Where a request goes of which the URL does not say that it is for Claude, and a header does."""


class Door:
    """Intercepts this process's requests to Claude while it is installed."""

    def __init__(
        self,
        *,
        mode: RecordMode,
        hosts: ClaudeHosts | None = None,
        upstream: Upstream | None = None,
        block_other_hosts: bool = False,
        on_uncovered: Callable[[Refusal], None] | None = None,
        is_recorded_elsewhere: Callable[[], bool] = lambda: False,
        budget: Budget | None = None,
    ) -> None:
        """Make a door that is not installed yet.

        Args:
            mode: What happens to a request to Claude while no cassette is open.
            hosts: What counts as Claude; by default the known hosts and those that the
                environment points clients at.
            upstream: Where forwarded requests go instead of where they were sent.
            block_other_hosts: Refuse requests to hosts that are not Claude's, those on
                this machine excepted.
            on_uncovered: Told about a refused request, in the thread that made it, before
                the error is raised there.
            is_recorded_elsewhere: Whether somebody else records just now what is sent.
            budget: Refuses to forward what is not paid for, while no cassette is open.
        """
        self.mode = mode
        self.upstream = upstream
        self._hosts = hosts or ClaudeHosts.from_environment(os.environ)
        self._block_other_hosts = block_other_hosts
        self._on_uncovered = on_uncovered
        self._is_recorded_elsewhere = is_recorded_elsewhere
        self._budget = budget
        self.faults: RunningPlan | None = None
        """What goes wrong with the calls that meet a cassette; nothing where it is absent."""

        self._forks: ForkWatch | None = None
        self._current: Cassette | None = None
        self._opened_in = os.getpid()
        """The process that has opened the current cassette; all that it forks have copies."""

        self._patches: AbstractContextManager[object] | None = None
        self._probed = False
        self._goes_to = lru_cache(maxsize=256)(self._judge)

    @property
    def current(self) -> Cassette | None:
        """The cassette that is open."""
        return self._current

    @property
    def installed(self) -> bool:
        """Whether requests are intercepted."""
        return self._patches is not None

    def install(self) -> None:
        """Put the door in place; a second call does nothing.

        Raises:
            UncoveredClientError: The anthropic package is imported and its requests
                would not pass here.
        """
        if self._patches is not None:
            return
        from pytest_mnemosyne.cassette._door_vcrpy import interception

        patches = interception(self)
        patches.__enter__()
        self._patches = patches
        self._forks = ForkWatch()
        try:
            self._probe()
        except BaseException:
            self.uninstall()
            raise

    def uninstall(self) -> None:
        """Take the door away; what it replaced is back. A second call does nothing."""
        patches, self._patches = self._patches, None
        if patches is not None:
            patches.__exit__(None, None, None)
        if self._forks is not None:
            self._forks.close()
            self._forks = None

    @contextmanager
    def playing(self, cassette: Cassette) -> Iterator[Cassette]:
        """Make `cassette` the current one for the block, installing the door if need be."""
        self.install()
        self._probe()
        previous = self._current, self._opened_in
        self._current, self._opened_in = cassette, os.getpid()
        try:
            yield cassette
        finally:
            self._current, self._opened_in = previous
            # The code under test may have brought the SDK only now.
            self._probe()

    def meet(self, method: str, url: str, headers: Container[str]) -> Cassette | None:
        """The cassette that a request belongs to; `None` where it passes untouched.

        Args:
            method: The request's.
            url: Where it goes.
            headers: The names of its headers, found in any case.

        Raises:
            NoCassetteError: It goes to Claude, there is no cassette, and the mode is replay.
            OtherHostError: It goes elsewhere, and other hosts are blocked.
            ForkedProcessError: It belongs to a cassette that is open in the process from which
                this one was forked.
        """
        goes = self._goes_to(url)
        if goes in _UNLESS_FOR_CLAUDE and VERSION_HEADER in headers:
            goes = _UNLESS_FOR_CLAUDE[goes]
        match goes:
            case _Goes.CLAUDE | _Goes.STAND_IN if self._is_out_of_reach():
                raise self._refused_here(method, url)
            case _Goes.CLAUDE:
                if self._current is None and not self._forwards():
                    request = Request(method=method, url=url)
                    raise self._told(NoCassetteError(request=request, lane=lane.current.get()))
                # Without a cassette it is forwarded through one that nobody keeps.
                return self._current or Cassette(None, mode=RecordMode.LIVE, budget=self._budget)
            case _Goes.STAND_IN:
                return self._current
            case _Goes.ELSEWHERE if self._block_other_hosts and not self._is_recorded_elsewhere():
                raise self._told(OtherHostError(method=method, url=url))
            case _:
                return None

    def covers(self, url: str) -> bool:
        """Whether a request to `url` is one that a cassette answers, if one is open."""
        return self._goes_to(url) in (_Goes.CLAUDE, _Goes.STAND_IN)

    def takes(self, url: str) -> bool:
        """Whether a request to `url` belongs to the cassette that is open now."""
        return self._current is not None and self.covers(url)

    def heard_of_forks(self) -> ForkedProcessError | None:
        """What a copy of this process was refused since the last time, if anything."""
        return None if self._forks is None else self._forks.heard()

    def _is_out_of_reach(self) -> bool:
        """Whether a cassette is open that this process has a copy of."""
        cassette = self._current
        if cassette is None or cassette.mode is RecordMode.LIVE or self._forks is None:
            return False
        return self._opened_in != os.getpid()

    def _refused_here(self, method: str, url: str) -> ForkedProcessError:
        call = call_summary(Request(method=method, url=url.partition("?")[0]))
        assert self._forks is not None
        self._forks.tell(call)
        return ForkedProcessError(call=call)

    def _forwards(self) -> bool:
        return self.mode.forwards or self._is_recorded_elsewhere()

    def _judge(self, url: str) -> _Goes:
        address = Address.of(url)
        if self._hosts.covers(url):
            return _Goes.CLAUDE
        if address is None or not is_loopback(address.host):
            return _Goes.ELSEWHERE
        return _Goes.STAND_IN if "/v1/messages" in address.path else _Goes.HERE

    def _told(self, error: Refusal) -> Refusal:
        if self._on_uncovered is not None:
            self._on_uncovered(error)
        return error

    def _probe(self) -> None:
        """Prove once, as soon as the SDK is there, that its requests pass through here."""
        if self._probed or self._patches is None or "anthropic" not in sys.modules:
            return
        from pytest_mnemosyne.cassette._door_probe import probe

        probe()
        self._probed = True
