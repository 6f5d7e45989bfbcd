"""What an agent's process makes is told once, and before anybody can see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mnemosyne_core import origins
from mnemosyne_core.bridge._made import Made, MadeId, Making, retell
from mnemosyne_core.ids import RandomIds
from mnemosyne_core.lane import Lane, current, entered

NOW = datetime(2026, 11, 27, 10, 0, 5, 123, tzinfo=UTC)


def test_what_is_new_is_taken_once() -> None:
    making = Making()
    with origins.listening(making), entered(Lane("executor", 2)):
        minted = RandomIds().mint("memory")
        for moment in (NOW, NOW + timedelta(microseconds=1), NOW + timedelta(seconds=1)):
            origins.told(moment)

    second = NOW.replace(microsecond=0)
    assert making.take() == Made(
        ids=(MadeId(value=minted, kind="memory", attempt=2),),
        readings=(second, second + timedelta(seconds=1)),
    )
    making.told(NOW)
    assert making.take() is None


def test_it_is_told_in_the_lane_of_the_agent() -> None:
    class Heard:
        def minted(self, value: str, kind: str) -> None:
            heard.append((value, kind, current.get()))

        def told(self, instant: datetime) -> None:
            heard.append(instant)

    heard: list[object] = []
    made = Made(ids=(MadeId(value="memory-1", kind="memory", attempt=2),), readings=(NOW,))
    with origins.listening(Heard()):
        retell(made, "executor/sub-1")
        retell(None, "executor")

    assert heard == [("memory-1", "memory", Lane("executor/sub-1", 2)), NOW]
