"""thespian in one process: an actor is an object; the user's own parent restarts it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from programs import CRASH, BlockingPeer
from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystem,
    ChildActorExited,
    PoisonMessage,
)

# It logs every crash, which the others do not.
logging.disable(logging.CRITICAL)

START = "start"
READY = "ready"
PATIENCE_S = 10


@dataclass(frozen=True)
class Question:
    """A message that wants to be answered."""

    content: object


class Worker(Actor):
    def receiveMessage(self, message: object, sender: ActorAddress) -> None:  # noqa: N802
        match message:
            case Question(content=content):
                self.send(sender, content)
            case str() if message == CRASH:
                raise RuntimeError(message)


class Parent(Actor):
    """Has one worker, and answers when that, or its successor, is ready."""

    def receiveMessage(self, message: object, sender: ActorAddress) -> None:  # noqa: N802
        match message:
            case PoisonMessage():
                # Raising does not end an actor here; its message comes back instead.
                self.send(self.worker, ActorExitRequest())
            case ChildActorExited():
                self._start()
            case str() if message == START:
                self.asker = sender
                self._start()
            case str() if message == CRASH:
                self.asker = sender
                self.send(self.worker, message)
            case str() if message == READY:
                self.send(self.asker, message)

    def _start(self) -> None:
        self.worker = self.createActor(Worker)
        self.send(self.worker, Question(READY))


class Thespian(BlockingPeer):
    @contextmanager
    def worker(self) -> Iterator[tuple[Callable[[object], object], Callable[[object], None]]]:
        with _system() as system:
            worker = system.createActor(Worker)
            yield (
                lambda message: system.ask(worker, Question(message), PATIENCE_S),
                lambda message: system.tell(worker, message),
            )

    @contextmanager
    def spawning(self) -> Iterator[Callable[[], object]]:
        with _system() as system:
            yield lambda: system.ask(system.createActor(Worker), Question(READY), PATIENCE_S)

    @contextmanager
    def breaking(self) -> Iterator[Callable[[], object]]:
        with _system() as system:
            parent = system.createActor(Parent)
            system.ask(parent, START, PATIENCE_S)
            yield lambda: system.ask(parent, CRASH, PATIENCE_S)


@contextmanager
def _system() -> Iterator[ActorSystem]:
    system = ActorSystem("simpleSystemBase")
    yield system
    system.shutdown()
