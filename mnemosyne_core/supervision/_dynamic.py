"""Dynamic supervisors: children that come and go, as many as are allowed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from mnemosyne_core.clock import Clock
from mnemosyne_core.errors import ChildSpecError
from mnemosyne_core.events import Recorder
from mnemosyne_core.failpoints import Failpoints
from mnemosyne_core.supervision._info import ChildInfo
from mnemosyne_core.supervision._intensity import RestartIntensity
from mnemosyne_core.supervision._spec import ChildSpec
from mnemosyne_core.supervision._supervisor import Supervisor


class DynamicSupervisor(Supervisor):
    """A supervisor that begins without children and is given them by hand.

    Its children have nothing to do with each other: the strategy is `one_for_one`, and
    when it ends all of them are stopped together, each within its own shutdown time, so
    that it takes no longer than the slowest. A child that has ended for good, that had
    nothing to run, or that was terminated, is forgotten, and its id is free again.
    Restarted after it gave up, a dynamic supervisor has no children.

    Children of one kind need no template: a function that makes their spec says what
    they have in common and takes what they have not, and `start_numbered` finds the ids.
    """

    def __init__(
        self,
        *,
        max_children: int | None = None,
        intensity: RestartIntensity | None = None,
        recorder: Recorder | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        name: str = "tree",
        kill_grace_s: float = 1.0,
        failpoints: Failpoints | None = None,
    ) -> None:
        """A supervisor that has not been started.

        Args:
            max_children: How many children there may be, those that are being restarted
                included; `None` for any number.
            intensity: As for `Supervisor`; it counts the restarts of all children.
            recorder: As for `Supervisor`.
            clock: As for `Supervisor`.
            random: As for `Supervisor`.
            name: As for `Supervisor`.
            kill_grace_s: As for `Supervisor`.
            failpoints: As for `Supervisor`.

        Raises:
            ChildSpecError: `max_children` is negative.
        """
        if max_children is not None and max_children < 0:
            raise ChildSpecError(f"max_children must be 0 or more, got {max_children!r}")
        super().__init__(
            intensity=intensity,
            recorder=recorder,
            clock=clock,
            random=random,
            name=name,
            kill_grace_s=kill_grace_s,
            failpoints=failpoints,
        )
        self._plan = replace(self._plan, dynamic=True, max_children=max_children)
        self._numbers = 0

    async def start_numbered(self, spec: ChildSpec, *, by: int | None = None) -> ChildInfo:
        """Start a child under the next number: of the id `sub`, `sub-1`, `sub-2` and so on.

        No number is used twice, also when a child of another id came in between.

        Raises:
            TooManyChildrenError: There are as many children as there may be.
            StartError: It did not start; it is not kept.
        """
        self._numbers += 1
        return await self.start_child(replace(spec, id=f"{spec.id}-{self._numbers}"), by=by)
