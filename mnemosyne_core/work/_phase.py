"""The phases of a project, each entered from the one before it.

==================  ==================
phase               may turn into
==================  ==================
prompt_to_spec      spec_to_full_spec
spec_to_full_spec   full_spec_to_plan
full_spec_to_plan   plan_to_artifacts
plan_to_artifacts   complete
complete
==================  ==================
"""

from __future__ import annotations

from enum import StrEnum

from mnemosyne_core.errors import IllegalPhaseTransitionError


class Phase(StrEnum):
    """How far the project has come."""

    PROMPT_TO_SPEC = "prompt_to_spec"
    SPEC_TO_FULL_SPEC = "spec_to_full_spec"
    FULL_SPEC_TO_PLAN = "full_spec_to_plan"
    PLAN_TO_ARTIFACTS = "plan_to_artifacts"
    COMPLETE = "complete"

    @property
    def successors(self) -> tuple[Phase, ...]:
        """The phases that this one may turn into."""
        phases = tuple(Phase)
        position = phases.index(self)
        return phases[position + 1 : position + 2]

    def advance(self, to: Phase) -> Phase:
        """`to`, if this phase may turn into it.

        Raises:
            IllegalPhaseTransitionError: It may not.
        """
        if to not in self.successors:
            raise IllegalPhaseTransitionError(current=self, wanted=to, legal=self.successors)
        return to
