"""What Claude is asked about a work item: the same words in every run.

No ids, dates or absolute paths: two runs of the same work ask the same thing, so
an answer recorded for one is an answer for the other.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from mnemosyne_core.work import AgentRole, WorkItem


@cache
def system_prompt(role: AgentRole) -> str:
    """The role's standing instructions, from its text file in this package."""
    return files(__package__).joinpath("prompts", f"{role}.md").read_text("utf-8").strip()


def work_prompt(
    item: WorkItem, *, attempt: int, guidance: tuple[str, ...], commands: tuple[str, ...]
) -> str:
    """The message that hands over one attempt at an item.

    Args:
        item: The work.
        attempt: Which attempt this is; the first is 1.
        guidance: What earlier attempts taught.
        commands: Programs that the agent may run.
    """
    parts = [
        f"# Work item\n\n{item.description}",
        f"Phase of the project: {item.phase}\nAttempt: {attempt}",
    ]
    if item.requirements:
        parts.append(f"## Requirements\n\n{_listed(item.requirements)}")
    if item.context:
        context = json.dumps(item.context, indent=2, sort_keys=True, ensure_ascii=False)
        parts.append(f"## Context\n\n```json\n{context}\n```")
    if guidance:
        parts.append(f"## Guidance from earlier attempts\n\n{_listed(guidance)}")
    if commands:
        parts.append(f"## Programs that you may run\n\n{_listed(commands)}")
    return "\n\n".join(parts)


def _listed(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
