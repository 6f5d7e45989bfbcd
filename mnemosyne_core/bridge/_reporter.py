"""What is said of an agent's health: degraded, stale, recovered, each once, when it changes."""

from __future__ import annotations

from collections.abc import Callable

from mnemosyne_core.bridge._health import Condition
from mnemosyne_core.bridge._heartbeats import HeartbeatWatch
from mnemosyne_core.bridge._settings import BridgeSettings
from mnemosyne_core.clock import Clock
from mnemosyne_core.events import (
    AgentDegraded,
    AgentDied,
    AgentErred,
    AgentRecovered,
    AgentStale,
    Event,
    Recorder,
)
from mnemosyne_core.work import Failure


class HealthReporter:
    """Follows one agent after the other and records how it does.

    An agent that is stale is that above all: what else is wrong with it is said when it is
    heard of again.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        *,
        recorder: Recorder,
        path: str,
        clock: Clock,
        on_dead: Callable[[float, Event], None],
    ) -> None:
        """Nobody is followed yet.

        Args:
            settings: The bounds.
            recorder: Where it is recorded.
            path: The agent's path.
            clock: What the window of errors is measured with.
            on_dead: Told when the agent is given up, with the seconds of its silence and
                the event that says so.
        """
        self._recorder = recorder
        self._path = path
        self._clock = clock
        self._on_dead = on_dead
        self._condition = Condition(
            window_s=settings.window_s, degraded_after=settings.degraded_after
        )
        self._watch = HeartbeatWatch(
            stale_after_s=settings.stale_after_beats * settings.heartbeat_s,
            dead_after_s=settings.dead_after_beats * settings.heartbeat_s,
            on_stale=self._went_stale,
            on_dead=self._died,
        )
        self._told: str | None = None
        """What made the agent degraded, as it was recorded last; `None`: it is not."""
        self._last_sign: int | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the agent is silent for longer than it should be."""
        return self._watch.is_stale

    @property
    def is_degraded(self) -> bool:
        """Whether it was said that the agent is degraded, and not yet that it recovered."""
        return self._told is not None

    @property
    def error_count(self) -> int:
        """Errors of the agent that are still in the window."""
        return self._condition.error_count(self._clock.monotonic())

    @property
    def last_sign(self) -> int | None:
        """Sequence number of the last event about the agent's being alive."""
        return self._last_sign

    # --- one agent after the other -----------------------------------------------------

    def expect(self) -> None:
        """A new agent is about to start; nothing is known of it."""
        self._condition.begin()
        self._told = None

    def begin(self) -> None:
        """It is up: listen for its heartbeats."""
        self._watch.begin()

    def end(self) -> None:
        """It is given up or asked to end: nothing is said of it any more."""
        self._watch.end()
        self._told = None

    # --- what is heard of it -----------------------------------------------------------

    def heard(self, beat: Event) -> None:
        """It gave a sign of life."""
        self._last_sign = beat.seq
        by: int | None = None
        if self._watch.beat():
            by = self._record(AgentRecovered(errors=self.error_count), by=beat.seq).seq
            self._told = None
        self.tell(by=by)

    def succeeded(self, active: Event) -> None:
        """Work went well that it took up with `active`."""
        self._condition.note_success()
        self.tell(attempt=active.attempt, by=active.seq)

    def lacks(self, failure: Failure, active: Event) -> None:
        """Work failed of something that no restart would give it."""
        self._condition.note_lack(failure, self._clock.monotonic())
        self.tell(attempt=active.attempt, by=active.seq)

    def erred(self, failure: Failure, active: Event) -> Event:
        """Work failed by its fault; the event says how many times that makes.

        Whether that makes the agent degraded is for `tell` to say, unless it is replaced.
        """
        errors = self._condition.count_error(failure, self._clock.monotonic())
        fact = AgentErred(error=failure, errors=errors)
        return self._record(fact, attempt=active.attempt, by=active.seq)

    def tell(self, *, attempt: int = 1, by: int | None = None) -> None:
        """Record it if the agent became degraded, or is so no longer."""
        if self._watch.is_stale:
            return
        trouble = self._condition.trouble(self._clock.monotonic())
        cause = None if trouble is None else trouble[0]
        if cause == self._told:
            return
        self._told = cause
        if trouble is None:
            self._record(AgentRecovered(errors=self.error_count), attempt=attempt, by=by)
        else:
            degraded = AgentDegraded(errors=self.error_count, reason=trouble[1])
            self._record(degraded, attempt=attempt, by=by)

    # --- what is not heard of it -------------------------------------------------------

    def _went_stale(self, silent_s: float) -> None:
        self._last_sign = self._record(AgentStale(silent_s=silent_s), by=self._last_sign).seq

    def _died(self, silent_s: float) -> None:
        self._on_dead(silent_s, self._record(AgentDied(silent_s=silent_s), by=self._last_sign))

    def _record(
        self,
        fact: AgentDegraded | AgentDied | AgentErred | AgentRecovered | AgentStale,
        *,
        attempt: int = 1,
        by: int | None,
    ) -> Event:
        return self._recorder.record(fact, agent=self._path, attempt=attempt, by=by)
