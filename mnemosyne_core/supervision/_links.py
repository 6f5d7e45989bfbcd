"""Links: actors that share their end.

A link goes both ways. When one end goes down, the other is sent a signal, and what
that does to it is this table; `trap_exit` is a choice of the actor that is told.

===================  ==============================  ==================
the peer             without `trap_exit`             with `trap_exit`
===================  ==============================  ==================
ended normally       nothing                         `ExitSignal`
was shut down        it ends with `shutdown`         `ExitSignal`
was killed, crashed  it ends as the peer did         `ExitSignal`
aborted              it ends with the abort          ends likewise
was dead already     it crashes, whatever that was   `ExitSignal`
===================  ==============================  ==================

An actor that ends through a link is interrupted in its message, has its `stopping`
and is then its supervisor's to restart by its spec, like anybody who failed. Its error
names the one that went first, however long the chain of links between them. An actor
whose end is decided already (it was asked to stop, or stopped itself) takes no signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemosyne_core.errors import LinkedActorDownError
from mnemosyne_core.supervision._exit import Exit, ExitKind

if TYPE_CHECKING:
    from mnemosyne_core.supervision._cell import ActorCell
    from mnemosyne_core.supervision._ref import Ref


@dataclass(frozen=True, slots=True)
class ExitSignal:
    """What an actor that traps exits is told in place of ending with its peer."""

    ref: Ref
    """The incarnation that it was linked to."""

    exit: Exit
    """How that one ended."""


def link(one: ActorCell, other: ActorCell) -> None:
    """Let the two share their end; harmless when they do."""
    if one is other:
        return
    if other.exit is not None:
        _tell(one, of=other, end=other.exit, was_dead=True)
        return
    one.links[other] = None
    other.links[one] = None


def unlink(one: ActorCell, other: ActorCell) -> None:
    """Let each end alone; harmless when they do."""
    one.links.pop(other, None)
    other.links.pop(one, None)


def part(cell: ActorCell, end: Exit) -> None:
    """Tell everybody who is linked to `cell` that it has ended."""
    for peer in tuple(cell.links):
        unlink(cell, peer)
        _tell(peer, of=cell, end=end, was_dead=False)


def through_link(end: Exit, *, path: str, was_dead: bool) -> Exit | None:
    """How an actor that does not trap exits ends with its peer; `None` if it lives on.

    Args:
        end: How the peer ended.
        path: The peer's path.
        was_dead: Whether the peer had ended before there was a link.
    """
    if end.kind is ExitKind.ABORT:
        return end
    error = end.error
    if not isinstance(error, LinkedActorDownError):
        error = LinkedActorDownError(path=path, reason=end.reason)
    if was_dead:
        return Exit(ExitKind.CRASH, error)
    return None if end.kind is ExitKind.NORMAL else Exit(end.kind, error)


def _tell(cell: ActorCell, *, of: ActorCell, end: Exit, was_dead: bool) -> None:
    if cell.traps_exits and end.kind is not ExitKind.ABORT:
        cell.signal(ExitSignal(of.ref, end), by=of.by)
        return
    fate = through_link(end, path=of.place.path, was_dead=was_dead)
    if fate is not None and not cell.closed:
        cell.strike(fate, by=of.by)
