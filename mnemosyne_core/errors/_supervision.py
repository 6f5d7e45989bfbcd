"""Errors of actors and supervisors."""

from __future__ import annotations

from mnemosyne_core.errors._base import MnemosyneError, Recovery


class ActorError(MnemosyneError):
    """An actor or its supervisor cannot do what was asked of it."""

    code = "actor"


class MailboxFullError(ActorError):
    """A message was refused because the mailbox is full.

    Attributes:
        path: The actor's path.
        capacity: The mailbox's bound, in messages.
        can_wait: Whether a sender may wait for room; some actors have none wait.
    """

    code = "mailbox_full"
    recovery = Recovery.LATER

    def __init__(self, *, path: str, capacity: int, can_wait: bool = True) -> None:
        self.path = path
        self.capacity = capacity
        self.can_wait = can_wait
        hint = "await send() to wait for room" if can_wait else "send again later"
        super().__init__(
            f"the mailbox of {path} holds {capacity} messages and takes no more; "
            f"{hint}, or give the actor a larger mailbox"
        )


class ActorDownError(ActorError):
    """The actor is dead, or died before it answered.

    Attributes:
        path: The actor's path.
        reason: Why it ended, in words.
    """

    code = "actor_down"
    recovery = Recovery.LATER

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} is down ({reason}); this reference stays dead, "
            "ask the supervisor for the new incarnation's"
        )


class LinkedActorDownError(ActorError):
    """An actor went down with one that it is linked to.

    Attributes:
        path: The path of the one that went first; links may lead there through others.
        reason: Why that one ended, in words.
    """

    code = "linked_actor_down"

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} is down ({reason}), and with it whoever is linked to it; an actor with "
            "trap_exit = True gets a message instead"
        )


class AskTimeoutError(ActorError, TimeoutError):
    """An actor did not answer in time; a late answer is dropped.

    Attributes:
        path: The actor's path.
        timeout_s: How long was waited, in seconds.
    """

    code = "ask_timeout"
    recovery = Recovery.LATER

    def __init__(self, *, path: str, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s
        super().__init__(f"{path} did not answer within {timeout_s:g} s")


class StartError(ActorError):
    """A child did not start.

    Attributes:
        path: The child's path.
        reason: What its start raised, in words.
        undone: Whether its supervisor was starting too, and so did not start either.
    """

    code = "start"

    def __init__(self, *, path: str, reason: str, undone: bool = True) -> None:
        self.path = path
        self.reason = reason
        self.undone = undone
        rest = "; the children before it were stopped again" if undone else ""
        super().__init__(f"{path} did not start: {reason}{rest}")


class StartTimeoutError(ActorError, TimeoutError):
    """A child's start took too long and was interrupted.

    Attributes:
        path: The child's path.
        timeout_s: How long it may take, in seconds.
    """

    code = "start_timeout"

    def __init__(self, *, path: str, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s
        super().__init__(
            f"{path} had not started after {timeout_s:g} s and was interrupted; give its spec "
            "a longer start_timeout_s, or do less before it has started"
        )


class NameInUseError(ActorError):
    """A name is not given to a new child while somebody who was left behind still runs under it.

    Attributes:
        path: The child's path.
        leaked: How many earlier incarnations still run.
    """

    code = "name_in_use"

    def __init__(self, *, path: str, leaked: int) -> None:
        self.path = path
        self.leaked = leaked
        left = "incarnation that was" if leaked == 1 else "incarnations that were"
        super().__init__(
            f"{path} is in use by {leaked} {left} left behind and still run; let them end "
            "(the event leak_ended says when), or use another id"
        )


class TooManyChildrenError(ActorError):
    """A dynamic supervisor has as many children as it may have.

    Attributes:
        supervisor: The supervisor's path.
        max_children: How many it may have.
        count: How many it has.
    """

    code = "too_many_children"

    def __init__(self, *, supervisor: str, max_children: int, count: int) -> None:
        self.supervisor = supervisor
        self.max_children = max_children
        self.count = count
        super().__init__(
            f"supervisor {supervisor} has {count} children and may have {max_children}; "
            "wait until one has ended, or raise max_children"
        )


class TreeNotRunningError(ActorError):
    """The supervision tree is not up.

    Attributes:
        reason: Why not.
    """

    code = "tree_not_running"
    recovery = Recovery.NONE

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the supervision tree does not run: {reason}")


class RestartIntensityError(ActorError):
    """A supervisor gave up: its children failed more often than it tolerates.

    Attributes:
        path: The supervisor's path.
        max_restarts: How many restarts it tolerates per period.
        period_s: The period, in seconds.
        reason: The last child's failure, in words.
    """

    code = "restart_intensity"
    recovery = Recovery.NONE
    hint = "mend what the last failure names, then start a new tree"

    def __init__(self, *, path: str, max_restarts: int, period_s: float, reason: str) -> None:
        self.path = path
        self.max_restarts = max_restarts
        self.period_s = period_s
        self.reason = reason
        super().__init__(
            f"supervisor {path} gave up after more than {max_restarts} restarts in {period_s:g} s; "
            f"the last failure: {reason}"
        )
