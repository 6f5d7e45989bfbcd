"""pykka: an actor is a thread; what fails is started again by the user's `on_failure`."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pykka
from programs import CRASH, IN_FLIGHT, BlockingPeer

# It logs every crash, which the others do not.
logging.disable(logging.CRITICAL)


class Worker(pykka.ThreadingActor):
    def on_receive(self, message: object) -> object:
        if message == CRASH:
            raise RuntimeError(message)
        return message


class Phoenix(Worker):
    """Starts its own successor and hands over its ref once that is ready."""

    def __init__(self, successors: queue.SimpleQueue[pykka.ActorRef]) -> None:
        super().__init__()
        self._successors = successors

    def on_start(self) -> None:
        self._successors.put(self.actor_ref)

    def on_failure(self, *_: object) -> None:
        Phoenix.start(self._successors)


class Pykka(BlockingPeer):
    @contextmanager
    def worker(
        self,
    ) -> Iterator[tuple[Callable[[object], object], Callable[[object], None]]]:
        ref = Worker.start()
        yield ref.ask, ref.tell
        ref.stop()

    @contextmanager
    def spawning(self) -> Iterator[Callable[[], object]]:
        refs = []

        def spawn() -> None:
            ref = Worker.start()
            refs.append(ref)
            ref.ask("ready")

        yield spawn
        for ref in refs:
            ref.stop()

    @contextmanager
    def breaking(self) -> Iterator[Callable[[], object]]:
        successors: queue.SimpleQueue[pykka.ActorRef] = queue.SimpleQueue()
        Phoenix.start(successors)
        present = successors.get()

        def crash() -> None:
            nonlocal present
            present.tell(CRASH)
            present = successors.get()

        yield crash
        present.stop()

    def ask_in_flight(self, count: int) -> float:
        ref = Worker.start()
        began_s = time.process_time()
        for _ in range(count // IN_FLIGHT):
            for answer in [ref.ask(number, block=False) for number in range(IN_FLIGHT)]:
                answer.get()
        seconds = time.process_time() - began_s
        ref.stop()
        return seconds
