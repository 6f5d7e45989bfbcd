"""Restarts: who is stopped with a child that failed, and when they start again.

A restart has two halves. The first is made at once: the incident is counted, and
whoever the strategy restarts with the child is stopped, in reverse. From then on
they are *restarting*. The second half starts them, in order, as soon as nothing
holds them up: a delay, or a start that has just failed and is still to be judged.
In between the supervisor serves its other children and whoever asks it something.

============  =========================================================
strategy      what holds a child up
============  =========================================================
one_for_one   its own delay
one_for_all   the delay of any child: they start together
rest_for_one  its own delay, and those of the children before it
============  =========================================================

A child that waits for a delay of its own keeps it when it is restarted for a
sibling's sake. Taken out of a restart by hand, it holds up nobody any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from mnemosyne_core.errors import RestartIntensityError
from mnemosyne_core.events import Occasion, RestartDelayed, RestartIntensityReached
from mnemosyne_core.supervision._child import Child, FailedStart
from mnemosyne_core.supervision._children import Children
from mnemosyne_core.supervision._ending import Ending
from mnemosyne_core.supervision._incarnation import Place
from mnemosyne_core.supervision._intensity import RestartIntensity, RestartWindow
from mnemosyne_core.supervision._strategy import Strategy, affected


class Restarter:
    """How one supervisor brings its children back."""

    def __init__(
        self,
        children: Children,
        place: Place,
        *,
        strategy: Strategy,
        intensity: RestartIntensity,
        later: Callable[[Callable[[], Awaitable[Ending | None]]], None],
    ) -> None:
        """Nobody is restarting.

        Args:
            children: The supervisor's children.
            place: The supervisor's place.
            strategy: Who is restarted with a child that failed.
            intensity: How many restarts are tolerated.
            later: Has the supervisor do something after all that waits already.
        """
        self._children = children
        self._place = place
        self._strategy = strategy
        self._intensity = intensity
        self._window = RestartWindow(intensity)
        self._later = later

    async def restart(self, child: Child, *, reason: str, by: int | None) -> Ending | None:
        """Restart a child that has failed and those that go with it, or give up.

        Args:
            child: It has ended, or a start of it has failed.
            reason: What of, in words.
            by: The event that says so.
        """
        if not self._window.record(self._place.given.clock.monotonic()):
            return self._give_up(child, reason=reason, by=by)
        await self._stop_group(child, by=by)
        self._delay(child, by=by)
        await self.start_waiting(child)
        failure = self._children.failure
        return None if failure is None else Ending(failure, by)

    async def start_waiting(self, child: Child) -> FailedStart | None:
        """Start those that nothing holds up any more, after `child`'s case has changed.

        A failed start is tried again after whatever else the supervisor has to do.

        Returns:
            The first start that failed.
        """
        first_failure: FailedStart | None = None
        for member in self._ready(child):
            if self._children.failure is not None:
                break
            if self._place.given.failpoints is not None:
                await self._place.given.failpoints.restarting(
                    self._place.path, self._children.paths
                )
            failed = await self._children.start(
                member, by=member.restart_by, occasion=Occasion.RESTART
            )
            if failed is not None:
                first_failure = failed
                self._judge_later(failed)
                break
            if member.life is not None:
                member.restarts += 1
        return first_failure

    async def hurry(self, child: Child) -> FailedStart | None:
        """Restart a child that is restarting now, with those that have to come first.

        Returns:
            The first start that failed; it is tried again as ever.
        """
        for member in self._group_of(child):
            if member.restarting:
                member.disarm()
                member.may_start = True
            if member is child and self._strategy is Strategy.REST_FOR_ONE:
                break
        return await self.start_waiting(child)

    async def leave_out(self, child: Child) -> None:
        """Do not restart a child any more; those that waited for it go on."""
        if child.restarting:
            child.forget_restart()
            self._place.given.news.announce()
            await self.start_waiting(child)

    # --- the first half ----------------------------------------------------------------

    async def _stop_group(self, child: Child, *, by: int | None) -> None:
        children = self._children
        if self._strategy is Strategy.ONE_FOR_ONE:
            group = [child]
        else:
            ids = affected(self._strategy, children.ids, child.spec.id)
            group = [children.get(child_id) for child_id in ids]
        for member in group:
            # A temporary one is forgotten as it is stopped, and does not come back.
            member.await_restart(by=by)
        for member in reversed(group):
            await children.stop(member, by=by, occasion=Occasion.RESTART)

    def _delay(self, child: Child, *, by: int | None) -> None:
        backoff = child.spec.backoff
        child.may_start = backoff is None
        child.restart_by = by
        if backoff is None:
            return
        child.in_a_row += 1
        delay_s = backoff.delay_s(child.in_a_row, self._place.given.random)
        fact = RestartDelayed(
            child=child.spec.id,
            incarnation=child.incarnation,
            delay_s=delay_s,
            in_a_row=child.in_a_row,
            supervisor=self._place.path,
        )
        child.restart_by = self._children.record(fact, agent=child.path, by=by)
        due = partial(self._start_due, child, child.incarnation)
        child.timer = asyncio.get_running_loop().call_later(delay_s, self._later, due)

    def _give_up(self, child: Child, *, reason: str, by: int | None) -> Ending:
        child.forget_restart()
        path, intensity = self._place.path, self._intensity
        fact = RestartIntensityReached(
            supervisor=path,
            max_restarts=intensity.max_restarts,
            period_s=intensity.period_s,
            child=child.spec.id,
            incarnation=child.incarnation,
            reason=reason,
        )
        seq = self._children.record(fact, agent=path, by=by)
        error = RestartIntensityError(
            path=path,
            max_restarts=intensity.max_restarts,
            period_s=intensity.period_s,
            reason=f"{child.path}: {reason}",
        )
        return Ending(error, seq)

    # --- the second half ---------------------------------------------------------------

    def _group_of(self, child: Child) -> tuple[Child, ...]:
        """Those whose restarts have to do with each other, in start order."""
        return (child,) if self._strategy is Strategy.ONE_FOR_ONE else self._children.all()

    def _ready(self, child: Child) -> Iterator[Child]:
        restarting = [member for member in self._group_of(child) if member.restarting]
        if self._strategy is Strategy.ONE_FOR_ALL and not all(m.may_start for m in restarting):
            return
        for member in restarting:
            if not member.may_start:
                return
            yield member

    async def _start_due(self, child: Child, tried: int) -> None:
        if self._is_held_up(child, tried):
            child.disarm()
            child.may_start = True
            await self.start_waiting(child)

    def _judge_later(self, failed: FailedStart) -> None:
        child, tried = failed.child, failed.child.incarnation
        child.may_start = False

        async def judge() -> Ending | None:
            if not self._is_held_up(child, tried):
                return None
            return await self.restart(child, reason=failed.end.reason, by=failed.seq)

        self._later(judge)

    def _is_held_up(self, child: Child, tried: int) -> bool:
        """Whether the restart after incarnation `tried` is still to come, and not by itself."""
        return child.restarting and not child.may_start and child.incarnation == tried
