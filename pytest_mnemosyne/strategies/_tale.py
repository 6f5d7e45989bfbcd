"""A history in the making: what has been told, and what may happen next.

A move says "the third of those to whom it can happen" rather than a name, and where there is
nobody, nothing happens. What follows from a move is told by the part that it is about.

=======  ======================================  ==================
part     tells of                                stands in
=======  ======================================  ==================
work     items, attempts, reviews                `_tale_work`
actors   starts, ends, restarts                  `_tale_actors`
agents   heartbeats, errors, replacements        `_tale_agents`
calls    what policies do to calls of Claude     `_tale_calls`
=======  ======================================  ==================
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from mnemosyne_core.events import Event, LoopBlocked, PhaseChanged, TreeStarted, TreeStopped
from mnemosyne_core.work import AgentRole, Claim, Failure, Phase, Verdict, WorkItem, WorkResult
from pytest_mnemosyne.strategies._tale_actors import ROOT, TOLERATED, Actors, Mishap, Parting
from pytest_mnemosyne.strategies._tale_agents import Agents
from pytest_mnemosyne.strategies._tale_calls import Calls, Fate
from pytest_mnemosyne.strategies._tale_work import Work
from pytest_mnemosyne.strategies._telling import Telling

_BLOCKED_S = 6.0
_STACK = '  File "agent.py", line 7, in think\n    time.sleep(6)\n'

_T = TypeVar("_T")


class Tale:
    """One run of a tree, move by move; there are none any more once it is over.

    `which` chooses among those to whom a thing can happen; where there is nobody, it does not.
    """

    def __init__(self) -> None:
        self._telling = Telling()
        self._work = Work(self._telling)
        self._agents = Agents(self._telling)
        self._actors = Actors(self._telling, self._agents)
        self._calls = Calls(self._telling)
        self._phase = Phase.PROMPT_TO_SPEC
        self.is_over = False
        self._actors.start_all(by=self._telling.tell(TreeStarted(), agent=ROOT))

    @property
    def events(self) -> list[Event]:
        """What has been told."""
        return self._telling.events

    # --- the tree ---

    def wait(self, passed_ms: int) -> None:
        """Time passes."""
        self._telling.let_pass(passed_ms / 1000)

    def advance(self) -> None:
        """The project enters its next phase."""
        if self._phase.successors:
            previous, self._phase = self._phase, self._phase.successors[0]
            changed = PhaseChanged(previous=previous, phase=self._phase)
            self._telling.tell(changed, agent=AgentRole.ORCHESTRATOR.value)

    def block_loop(self) -> None:
        """Something runs on without ever waiting, and nothing else happens meanwhile."""
        self._telling.let_pass(_BLOCKED_S)
        self._telling.tell(LoopBlocked(blocked_s=_BLOCKED_S, stack=_STACK), agent=ROOT)

    def stop(self) -> None:
        """The tree is stopped."""
        self._actors.stop_all()
        self._end("stopped")

    # --- work ---

    def work(
        self,
        which: int,
        item: WorkItem,
        back: frozenset[int],
        fates: Sequence[Fate],
        result: WorkResult,
        verdict: Verdict,
    ) -> None:
        """An attempt goes on, or one begins, or there is a new item; see `Work.go_on`.

        If it is an agent's turn it asks Claude first, once for each of the fates; its attempt
        fails of what a call fails of, and comes to the result otherwise.
        """

        def outcome(claim: Claim) -> WorkResult:
            agent = claim.item.role.value
            for fate in fates:
                failure = self._calls.make(fate, agent=agent, attempt=claim.attempt)
                if failure is not None:
                    return WorkResult.failed(claim.item, failure)
            return result

        self._work.go_on(which, item, back, outcome, verdict)

    def cancel(self, which: int) -> None:
        """Somebody takes an item back."""
        if (item_id := _chosen(self._work.live, which)) is not None:
            self._work.cancel(item_id)

    def block(self, which: int) -> None:
        """An item is ready, but its agent is missing."""
        if (item := _chosen(self._work.ready, which)) is not None:
            self._work.block(item.id)

    # --- actors ---

    def crash(self, which: int, mishaps: Collection[Mishap]) -> None:
        """An actor without work ends by itself and comes back, or the tree gives up."""
        if (path := _chosen(self._idle, which)) is not None:
            self._actors.crash(path, mishaps)
            if self._actors.end is not None:
                self._end(self._actors.end)

    def crash_on(self) -> None:
        """An actor without work, if there is one, crashes so often that the tree gives up.

        Unless it has waited long for its restarts lately: then that many crashes are tolerated.
        """
        for _ in range(TOLERATED + 1):
            if not self.is_over:
                self.crash(0, ())

    def replace(self, which: int, parting: Parting) -> None:
        """Somebody replaces an actor without work by hand."""
        if (path := _chosen(self._idle, which)) is not None:
            self._actors.replace(path, parting)

    def end_leak(self, which: int) -> None:
        """Somebody who was left behind has ended at last."""
        if (place := _chosen(self._actors.leaks, which)) is not None:
            self._actors.end_leak(place)

    # --- agents ---

    def beat(self, which: int) -> None:
        """An agent gives a sign of life."""
        if (path := _chosen(self._actors.paths, which)) is not None:
            self._agents.beat(path)

    def err(self, which: int, error: Failure, times: int) -> None:
        """An agent without work has erred so many times in a row; see `Agents.err`."""
        if (path := _chosen(self._idle, which)) is not None:
            self._agents.err(path, error, times)

    def recover(self, which: int) -> None:
        """The errors of an agent have passed out of the window."""
        if (path := _chosen(self._agents.with_errors, which)) is not None:
            self._agents.recover(path)

    def fall_silent(self, which: int, *, dies: bool) -> None:
        """An agent without work is not heard of for a while, or never again and is replaced."""
        if (path := _chosen(self._idle, which)) is not None:
            self._agents.fall_silent(path, dies=dies)

    def lose_agent(self, which: int, error: Failure) -> None:
        """The agent behind an actor without work is not there for a while."""
        if (path := _chosen(self._idle, which)) is not None:
            self._agents.lose(path, error)

    # --- within ---

    @property
    def _idle(self) -> list[str]:
        """The actors that nobody waits for."""
        busy = self._work.busy
        return [path for path in self._actors.paths if path not in busy]

    def _end(self, reason: str) -> None:
        self._telling.tell(TreeStopped(reason=reason), agent=ROOT)
        self.is_over = True


def _chosen(candidates: Iterable[_T], which: int) -> _T | None:
    listed = list(candidates)
    return listed[which % len(listed)] if listed else None
