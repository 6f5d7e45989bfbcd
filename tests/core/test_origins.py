"""What a run makes that no other run will is told to whoever listens."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Thread

from mnemosyne_core import origins
from mnemosyne_core.clock import LoopClock
from mnemosyne_core.ids import CountedIds, RandomIds


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.ids: list[tuple[str, str]] = []
        self.instants: list[datetime] = []

    def minted(self, value: str, kind: str) -> None:
        self.ids.append((value, kind))

    def told(self, instant: datetime) -> None:
        self.instants.append(instant)


def test_random_ids_are_told_and_counted_ones_are_the_same_in_every_run() -> None:
    heard = Heard()
    with origins.listening(heard):
        minted = [RandomIds().mint("work"), RandomIds().mint("memory")]
        CountedIds().mint("work")

    assert heard.ids == list(zip(minted, ("work", "memory"), strict=True))


def test_an_id_minted_in_another_thread_is_told_as_well() -> None:
    heard = Heard()
    with origins.listening(heard):
        thread = Thread(target=RandomIds().mint, args=("work",))
        thread.start()
        thread.join()

    assert len(heard.ids) == 1


async def test_readings_of_the_wall_clock_are_told_and_durations_are_none() -> None:
    heard, clock = Heard(), LoopClock(epoch=datetime(2026, 1, 1, tzinfo=UTC))
    with origins.listening(heard):
        clock.monotonic()
        read = [clock.now(), clock.now()]

    assert heard.instants == read


def test_the_inner_listener_hears_and_the_outer_one_again_when_it_is_gone() -> None:
    outer, inner = Heard(), Heard()
    with origins.listening(outer):
        with origins.listening(inner):
            first = RandomIds().mint("work")
        second = RandomIds().mint("work")

    assert (inner.ids, outer.ids) == ([(first, "work")], [(second, "work")])


def test_without_a_listener_the_values_are_what_they_were() -> None:
    assert origins.minted("work-1") == "work-1"
    assert RandomIds().mint("work").startswith("work-")
