"""What a test's cassette says about a test that has passed.

Its calls were answered, and still something may be wrong: recorded calls that it did not
make, calls in another order, in a verify run live answers that are not like the recorded
ones. Each is an error, a warning or nothing, as the run's settings and the test's marker
have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_mnemosyne.plugin._commands import command_for, recording_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

    from pytest_mnemosyne.cassette import AgentCalls, CallDifference, Cassette, Interaction, Turn
    from pytest_mnemosyne.plugin._markers import Chosen
    from pytest_mnemosyne.plugin._options import Settings
    from pytest_mnemosyne.plugin._severity import Severity

DRIFT_TITLE: Final = "what has drifted from the recordings"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the calls of a test that has passed."""

    severity: Severity
    headline: str
    """A few words with agent and call, for a line that is cut at 80 columns."""

    text: str
    """The whole story, agent by agent, and what to do."""


def severity_of_unplayed(chosen: Chosen, settings: Settings) -> Severity:
    """What a recorded call is that the test did not make."""
    return chosen.unplayed or settings.unplayed


def judge(
    cassette: Cassette,
    turns: Iterable[Turn],
    unplayed: Sequence[Interaction],
    chosen: Chosen,
    settings: Settings,
    item: pytest.Item,
) -> list[Finding]:
    """What is wrong; nothing for most tests, so that nothing is all it costs.

    Args:
        cassette: The test's.
        turns: Its turns as they were on the wire.
        unplayed: What of it nobody asked for.
        chosen: What the test's marker says of it.
        settings: The run's.
        item: The test.
    """
    found = []
    if cassette.drift:
        found.append(_drifted(cassette, recording_command(item, settings, "rerecord")))
    if not unplayed and _is_in_order(turns):
        return found
    calls = cassette.calls()
    severity = severity_of_unplayed(chosen, settings)
    if unplayed and severity != "ignore" and not settings.trim and not chosen.is_shared:
        if cassette.mode.writes:
            # The old call stays beside the one that took its place, until it is trimmed.
            severity = "warn"
        found.append(_unplayed(calls, severity, cassette, _remedies(chosen, settings, item)))
    if settings.order != "ignore" and any(each.order for each in calls):
        found.append(_reordered(calls, settings.order, cassette))
    return found


def agent_lines(calls: Iterable[AgentCalls]) -> list[str]:
    """What is not as recorded, under the name of each agent."""
    return [line for each in calls if not each.is_as_recorded for line in each.lines()]


def drift_lines(differences: Iterable[CallDifference]) -> list[str]:
    """What has drifted, under the name of each agent."""
    found: dict[str, list[str]] = {}
    for each in differences:
        found.setdefault(each.agent, []).extend(each.lines(words=False))
    return [
        line
        for agent, lines in found.items()
        for line in (f"{agent}:", *(f"  {line}" for line in lines))
    ]


def _is_in_order(turns: Iterable[Turn]) -> bool:
    """Whether the calls came as they stand in the file; a file has one agent after the other."""
    indices = [turn.index for turn in turns if turn.index is not None]
    return indices == sorted(indices)


def _unplayed(
    calls: tuple[AgentCalls, ...],
    severity: Severity,
    cassette: Cassette,
    remedies: tuple[str, ...],
) -> Finding:
    missing = [(each.agent, call) for each in calls for call in each.missing]
    agent, first = missing[0]
    counted = "1 recorded call was" if len(missing) == 1 else f"{len(missing)} recorded calls were"
    return Finding(
        severity,
        f"unplayed: {agent}, {first.partition('. ')[2]}",
        "\n".join(
            [
                f"{counted} not asked for",
                *_indented(agent_lines(calls)),
                *_indented(remedies),
                f"  cassette: {cassette.path}",
            ]
        ),
    )


def _remedies(chosen: Chosen, settings: Settings, item: pytest.Item) -> tuple[str, ...]:
    return chosen.remedies or (
        f"remove:   {command_for(item, '--mnemosyne-trim')}",
        f"rerecord: {recording_command(item, settings, 'rerecord')}",
    )


def _reordered(calls: tuple[AgentCalls, ...], severity: Severity, cassette: Cassette) -> Finding:
    changed = [each for each in calls if each.order]
    return Finding(
        severity,
        f"order changed: {', '.join(each.agent for each in changed)}",
        "\n".join(
            [
                "recorded calls were asked for in another order",
                *(f"  {each.agent}: {each.order_in_words}" for each in changed),
                f"  cassette: {cassette.path}",
            ]
        ),
    )


def _drifted(cassette: Cassette, command: str) -> Finding:
    first = cassette.drift[0]
    return Finding(
        "error",
        f"drift: {first.agent}, {first.call}",
        "\n".join(
            [
                "Claude answers in another way than it did when this was recorded",
                *_indented(drift_lines(cassette.drift)),
                f"  rerecord: {command}",
                f"  cassette: {cassette.path}",
            ]
        ),
    )


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
