"""Every exception this project raises on purpose.

MnemosyneError
  + UsageError
    - ChildSpecError
    - UnknownChildError
    - ActorStateError
    - UnknownRoleError
    - SessionNotStartedError
    - PluginError
  + WorkError
    - InvalidWorkItemError
    - DuplicateWorkItemError
    - UnknownDependencyError
    - DependencyCycleError
    - IllegalPhaseTransitionError
    - QueueFullError
    - UnknownWorkItemError
    - IllegalWorkStateError
    - StaleClaimError
    - ResultTimeoutError
    - StateTimeoutError
  + ActorError
    - MailboxFullError
    - ActorDownError
    - AskTimeoutError
    - StartError
    - RestartIntensityError
    - TreeNotRunningError
  + BridgeError
    - BridgeSpawnError
    - AgentUnavailableError
    - EnvelopeError
  + AgentError
    - WorkTimeoutError
    - IterationLimitError
    - UnusableAnswerError
    - AnswerTooLongError
    - RefusalError
    - ToolError
      - WorkspaceEscapeError
      - CommandNotAllowedError
  + ClaudeError
    - ClaudeConnectionError
    - ClaudeStatusError
      - ClaudeRequestError
    - ClaudeStreamError
    - MissingKeyError
    - MissingSdkError
  + StorageError
    - StorageVersionError
Abort (BaseException)

Every class carries its facts as attributes and survives pickling; `code` is a
stable word for programs, the text is for people. Packages further up the house
derive their own errors from these.
"""

from __future__ import annotations

from typing import Any, ClassVar


def _restore(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class _Portable:
    """Pickling for exceptions whose constructor takes facts, not the finished text.

    The default replays `args` (the text) into the constructor; this restores the
    attributes without calling it, so every subclass crosses a process boundary.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), getattr(self, "args", ()), dict(self.__dict__))


class MnemosyneError(_Portable, Exception):
    """Base of every exception raised on purpose by this project."""

    code: ClassVar[str] = "error"


class Abort(_Portable, BaseException):
    """The run itself has become meaningless; everybody passes this on, nobody handles it.

    Supervisors do not restart for it, actors, bus and bridge do not absorb it, and
    it is no `Exception`, so that `except Exception` in the code under test cannot
    turn a run that asked the impossible into a green one.
    """


# --- the caller's mistakes -------------------------------------------------------------


class UsageError(MnemosyneError):
    """The caller asked for something that cannot work; fix the call."""

    code = "usage"


class ChildSpecError(UsageError):
    """A child spec contradicts itself or its supervisor."""

    code = "child_spec"


class UnknownChildError(UsageError):
    """A supervisor has no child of that name.

    Attributes:
        supervisor: The supervisor's path.
        child: What was asked for.
        known: The ids of the children that exist, in start order.
    """

    code = "unknown_child"

    def __init__(self, *, supervisor: str, child: str, known: tuple[str, ...]) -> None:
        self.supervisor = supervisor
        self.child = child
        self.known = known
        there_are = f"its children are {', '.join(known)}" if known else "it has no children"
        super().__init__(f"supervisor {supervisor} has no child {child!r}; {there_are}")


class ActorStateError(UsageError):
    """What was asked does not fit the state that a child or a supervisor is in.

    Attributes:
        path: The path of whoever was asked.
        state: The state it is in.
        hint: What to do instead.
    """

    code = "actor_state"

    def __init__(self, *, path: str, state: str, hint: str) -> None:
        self.path = path
        self.state = state
        self.hint = hint
        super().__init__(f"{path} is {state}; {hint}")


class UnknownRoleError(UsageError):
    """There is no agent role of that name.

    Attributes:
        given: What was asked for.
        known: The names that exist.
    """

    code = "unknown_role"

    def __init__(self, *, given: object, known: tuple[str, ...]) -> None:
        self.given = given
        self.known = known
        super().__init__(f"no agent role is called {given!r}; the roles are {', '.join(known)}")


class SessionNotStartedError(UsageError):
    """An agent was given work outside its session.

    Attributes:
        role: The agent's role.
    """

    code = "session_not_started"

    def __init__(self, *, role: str) -> None:
        self.role = role
        super().__init__(
            f"the {role} agent has no session; await start_session() first, "
            "or use the agent as an async context manager"
        )


class PluginError(UsageError):
    """A plug-in cannot be used as it is.

    Attributes:
        plugin: Its name, or the name of what it offers.
        problem: What is wrong with it, and what to do.
    """

    code = "plugin"

    def __init__(self, *, plugin: str, problem: str) -> None:
        self.plugin = plugin
        self.problem = problem
        super().__init__(f"plug-in {plugin!r}: {problem}")


# --- work ------------------------------------------------------------------------------


class WorkError(MnemosyneError):
    """A work item cannot go where it was sent."""

    code = "work"


class InvalidWorkItemError(WorkError):
    """What was submitted is no work item; nothing of it was stored.

    Attributes:
        problems: One `(field, what is wrong)` pair for each finding.
    """

    code = "invalid_work_item"

    def __init__(self, *, problems: tuple[tuple[str, str], ...]) -> None:
        self.problems = problems
        listed = "; ".join(f"{field}: {problem}" for field, problem in problems)
        super().__init__(
            f"not a work item: {listed}; nothing was stored, correct it and submit again"
        )


class DuplicateWorkItemError(WorkError):
    """An item with this id has been submitted before.

    Attributes:
        item_id: The id that is taken.
    """

    code = "duplicate_work_item"

    def __init__(self, *, item_id: str) -> None:
        self.item_id = item_id
        super().__init__(
            f"a work item {item_id!r} was submitted before; give the new one an id of its own, "
            "or leave the id out to have one minted"
        )


class UnknownDependencyError(WorkError):
    """An item waits for ids that nobody has submitted.

    Attributes:
        item_id: The waiting item.
        missing: The ids that do not exist.
    """

    code = "unknown_dependency"

    def __init__(self, *, item_id: str, missing: tuple[str, ...]) -> None:
        self.item_id = item_id
        self.missing = missing
        super().__init__(
            f"work item {item_id!r} depends on {', '.join(map(repr, missing))}, which "
            f"{'was' if len(missing) == 1 else 'were'} never submitted; submit dependencies first"
        )


class DependencyCycleError(WorkError):
    """Work items wait for each other in a circle, so none can ever start.

    Attributes:
        cycle: The ids in waiting order; the last one waits for the first.
    """

    code = "dependency_cycle"

    def __init__(self, *, cycle: tuple[str, ...]) -> None:
        self.cycle = cycle
        super().__init__(
            f"work items wait for each other: {' -> '.join((*cycle, cycle[0]))}; "
            "remove one of these dependencies"
        )


class IllegalPhaseTransitionError(WorkError):
    """The project cannot go from one phase straight to the other.

    Attributes:
        current: The phase it is in.
        wanted: The phase that was asked for.
        legal: The phases that may follow `current`.
    """

    code = "illegal_phase_transition"

    def __init__(self, *, current: str, wanted: str, legal: tuple[str, ...]) -> None:
        self.current = current
        self.wanted = wanted
        self.legal = legal
        follow = f"only {', '.join(legal)} may follow" if legal else "it is the last one"
        super().__init__(f"phase {current} cannot turn into {wanted}; {follow}")


class QueueFullError(WorkError):
    """The queue has no room for what was submitted; nothing of it was taken.

    Attributes:
        capacity: The bound on live items.
        live: How many items are waiting or under way.
        offered: How many were submitted together.
    """

    code = "queue_full"

    def __init__(self, *, capacity: int, live: int | None = None, offered: int = 1) -> None:
        self.capacity = capacity
        self.live = capacity if live is None else live
        self.offered = offered
        super().__init__(
            f"{self.live} work items are already waiting or under way and {offered} more would "
            f"exceed the queue's {capacity}; "
            "await some results first or raise SupervisionConfig.queue_capacity"
        )


class UnknownWorkItemError(WorkError):
    """Nobody has submitted an item with this id.

    Attributes:
        item_id: The id that does not exist.
    """

    code = "unknown_work_item"

    def __init__(self, *, item_id: str) -> None:
        self.item_id = item_id
        super().__init__(f"there is no work item {item_id!r}; submit it first")


class IllegalWorkStateError(WorkError):
    """What was asked of a work item does not go with the state it is in.

    Attributes:
        item_id: The item.
        state: The state it is in.
        wanted: What was asked for, such as `complete`.
        legal: The states in which that can be asked.
    """

    code = "illegal_work_state"

    def __init__(self, *, item_id: str, state: str, wanted: str, legal: tuple[str, ...]) -> None:
        self.item_id = item_id
        self.state = state
        self.wanted = wanted
        self.legal = legal
        super().__init__(
            f"cannot {wanted} work item {item_id!r}: it is {state}, not {' or '.join(legal)}"
        )


class StaleClaimError(WorkError):
    """Somebody still works on an attempt that is over; what came of it does not count.

    Attributes:
        item_id: The item.
        attempt: The attempt that the caller holds.
        current: The item's attempt by now.
        state: The state the item is in.
    """

    code = "stale_claim"

    def __init__(self, *, item_id: str, attempt: int, current: int, state: str) -> None:
        self.item_id = item_id
        self.attempt = attempt
        self.current = current
        self.state = state
        super().__init__(
            f"attempt {attempt} at work item {item_id!r} is not under way: the item is {state} "
            f"in attempt {current}; drop what came of the other attempt"
        )


class ResultTimeoutError(WorkError, TimeoutError):
    """A caller stopped waiting for a result; the item itself goes on.

    Attributes:
        item_id: The item that was waited for.
        timeout_s: How long, in seconds.
        state: The item's state when the patience ended.
    """

    code = "result_timeout"

    def __init__(self, *, item_id: str, timeout_s: float, state: str) -> None:
        self.item_id = item_id
        self.timeout_s = timeout_s
        self.state = state
        super().__init__(
            f"no result of work item {item_id!r} within {timeout_s:g} s; it is still {state} "
            "and goes on (await the handle again, or give the item itself a timeout_s)"
        )


class StateTimeoutError(WorkError, TimeoutError):
    """The system did not come into the state that was waited for.

    Attributes:
        timeout_s: How long was waited, in seconds.
        found: The state when the patience ended, in words.
    """

    code = "state_timeout"

    def __init__(self, *, timeout_s: float, found: str) -> None:
        self.timeout_s = timeout_s
        self.found = found
        super().__init__(f"the state waited for did not come within {timeout_s:g} s; now: {found}")


# --- actors and supervisors ------------------------------------------------------------


class ActorError(MnemosyneError):
    """An actor or its supervisor cannot do what was asked of it."""

    code = "actor"


class MailboxFullError(ActorError):
    """A message was refused because the mailbox is full.

    Attributes:
        path: The actor's path.
        capacity: The mailbox's bound, in messages.
    """

    code = "mailbox_full"

    def __init__(self, *, path: str, capacity: int) -> None:
        self.path = path
        self.capacity = capacity
        super().__init__(
            f"the mailbox of {path} holds {capacity} messages and takes no more; "
            "await send() to wait for room, or give the actor a larger mailbox"
        )


class ActorDownError(ActorError):
    """The actor is dead, or died before it answered.

    Attributes:
        path: The actor's path.
        reason: Why it ended, in words.
    """

    code = "actor_down"

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} is down ({reason}); this reference stays dead, "
            "ask the supervisor for the new incarnation's"
        )


class AskTimeoutError(ActorError, TimeoutError):
    """An actor did not answer in time; a late answer is dropped.

    Attributes:
        path: The actor's path.
        timeout_s: How long was waited, in seconds.
    """

    code = "ask_timeout"

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


class TreeNotRunningError(ActorError):
    """The supervision tree is not up.

    Attributes:
        reason: Why not.
    """

    code = "tree_not_running"

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

    def __init__(self, *, path: str, max_restarts: int, period_s: float, reason: str) -> None:
        self.path = path
        self.max_restarts = max_restarts
        self.period_s = period_s
        self.reason = reason
        super().__init__(
            f"supervisor {path} gave up after more than {max_restarts} restarts in {period_s:g} s; "
            f"the last failure: {reason}"
        )


# --- bridge ----------------------------------------------------------------------------


class BridgeError(MnemosyneError):
    """The boundary between a supervised actor and its agent broke."""

    code = "bridge"


class BridgeSpawnError(BridgeError):
    """An agent could not be started behind the bridge.

    Attributes:
        role: The agent's role.
        missing: What is not there: a module, a key, an interpreter, a folder.
        hint: What to do about it.
    """

    code = "bridge_spawn"

    def __init__(self, *, role: str, missing: str, hint: str) -> None:
        self.role = role
        self.missing = missing
        self.hint = hint
        super().__init__(f"the {role} agent cannot start: {missing}; {hint}")


class AgentUnavailableError(BridgeError):
    """Work needs an agent that is not there.

    Attributes:
        role: The role that has no agent.
        reason: Why not, in words.
    """

    code = "agent_unavailable"

    def __init__(self, *, role: str, reason: str) -> None:
        self.role = role
        self.reason = reason
        super().__init__(f"no {role} agent is available: {reason}")


class EnvelopeError(BridgeError):
    """What came over the bridge is not what may cross it.

    Attributes:
        problems: One `(field, what is wrong)` pair for each finding.
    """

    code = "envelope"

    def __init__(self, *, problems: tuple[tuple[str, str], ...]) -> None:
        self.problems = problems
        listed = "; ".join(f"{field}: {problem}" for field, problem in problems)
        super().__init__(f"unusable message on the bridge: {listed}")


# --- agents ----------------------------------------------------------------------------


class AgentError(MnemosyneError):
    """An agent could not do its work."""

    code = "agent"


class WorkTimeoutError(AgentError, TimeoutError):
    """A work item took longer than it may; the agent's work on it was cancelled.

    Attributes:
        item_id: The work item.
        timeout_s: Its bound, in seconds.
    """

    code = "work_timeout"

    def __init__(self, *, item_id: str, timeout_s: float) -> None:
        self.item_id = item_id
        self.timeout_s = timeout_s
        super().__init__(
            f"work item {item_id!r} took longer than its {timeout_s:g} s and was cancelled; "
            "raise its timeout_s or make the item smaller"
        )


class IterationLimitError(AgentError):
    """The agent still wanted to use tools when its turns were used up.

    Attributes:
        limit: The number of turns it had.
    """

    code = "iteration_limit"

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"the agent was still calling tools after {limit} turns, so the work is not done; "
            "raise AgentSettings.max_turns or make the item smaller"
        )


class UnusableAnswerError(AgentError):
    """Claude answered, but not with something the agent can use.

    Attributes:
        problem: What is wrong with the answer.
        excerpt: The beginning of it.
    """

    code = "unusable_answer"

    def __init__(self, *, problem: str, excerpt: str) -> None:
        self.problem = problem
        self.excerpt = excerpt
        super().__init__(f"Claude's answer cannot be used: {problem}; it begins {excerpt!r}")


class AnswerTooLongError(AgentError):
    """Claude's answer did not fit, so it ends in the middle.

    Attributes:
        stop_reason: The API's word for the bound that was met.
        max_tokens: How many tokens the answer was allowed.
    """

    code = "answer_too_long"

    def __init__(self, *, stop_reason: str, max_tokens: int) -> None:
        self.stop_reason = stop_reason
        self.max_tokens = max_tokens
        super().__init__(
            f"Claude's answer is incomplete ({stop_reason}; it was allowed {max_tokens} tokens); "
            "raise AgentSettings.max_tokens or make the item smaller"
        )


class RefusalError(AgentError):
    """Claude declined to do the work.

    Attributes:
        explanation: The API's explanation, or Claude's own words; may be empty.
    """

    code = "refusal"

    def __init__(self, *, explanation: str) -> None:
        self.explanation = explanation
        super().__init__(
            f"Claude declined this work item: {explanation or 'it gave no explanation'}; "
            "asking again changes nothing, change the item"
        )


class ToolError(AgentError):
    """A tool refused or failed; the text goes back to Claude as the tool's result."""

    code = "tool"


class WorkspaceEscapeError(ToolError):
    """A tool was pointed outside the agent's workspace.

    Attributes:
        path: The path as given.
    """

    code = "workspace_escape"

    def __init__(self, *, path: str) -> None:
        self.path = path
        super().__init__(f"{path!r} is outside the workspace; use a path relative to it")


class CommandNotAllowedError(ToolError):
    """The agent asked for a command that is not on its allow-list.

    Attributes:
        command: The program that was asked for.
        allowed: The programs it may run.
    """

    code = "command_not_allowed"

    def __init__(self, *, command: str, allowed: tuple[str, ...]) -> None:
        self.command = command
        self.allowed = allowed
        may = ", ".join(allowed) if allowed else "none"
        super().__init__(f"{command!r} may not be run here; allowed commands: {may}")


# --- Claude ----------------------------------------------------------------------------


class ClaudeError(MnemosyneError):
    """A turn with Claude failed."""

    code = "claude"


class ClaudeConnectionError(ClaudeError):
    """The API could not be reached, or the connection broke.

    Attributes:
        reason: What the transport said.
        timed_out: Whether patience ended rather than the connection.
    """

    code = "claude_connection"

    def __init__(self, *, reason: str, timed_out: bool = False) -> None:
        self.reason = reason
        self.timed_out = timed_out
        super().__init__(f"{'timed out waiting for' if timed_out else 'lost'} Claude: {reason}")


class ClaudeStatusError(ClaudeError):
    """The API answered with an error.

    Attributes:
        status: The HTTP status; 200 when an error event ended a stream.
        error_type: The API's own word, such as `overloaded_error`.
        message: The API's own text.
        request_id: The API's id of the request, for its support.
        retry_after_s: Seconds after which the API wants to be asked again.
    """

    code = "claude_status"

    def __init__(
        self,
        *,
        status: int,
        error_type: str,
        message: str,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.status = status
        self.error_type = error_type
        self.message = message
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        named = f" (request {request_id})" if request_id else ""
        super().__init__(f"Claude answered {status} {error_type}: {message}{named}")


class ClaudeRequestError(ClaudeStatusError):
    """The API does not take this request as it is; asking again changes nothing."""

    code = "claude_request"


class ClaudeStreamError(ClaudeError):
    """An answer ended before it was complete.

    Attributes:
        reason: What was missing.
    """

    code = "claude_stream"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Claude's answer was cut: {reason}")


class MissingKeyError(ClaudeError):
    """There is no API key.

    Attributes:
        looked_in: The places that were searched, in order.
    """

    code = "missing_key"

    def __init__(self, *, looked_in: tuple[str, ...]) -> None:
        self.looked_in = looked_in
        super().__init__(
            f"no Anthropic API key: looked in {', '.join(looked_in)}; set ANTHROPIC_API_KEY"
        )


class MissingSdkError(ClaudeError):
    """The anthropic package cannot be imported.

    Attributes:
        reason: What the import raised.
    """

    code = "missing_sdk"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the anthropic package cannot be imported ({reason}); pip install anthropic"
        )


# --- storage ---------------------------------------------------------------------------


class StorageError(MnemosyneError):
    """The database cannot be read or written.

    Attributes:
        path: The database's file, or `:memory:`.
        reason: What went wrong.
    """

    code = "storage"

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"database {path}: {reason}")


class StorageVersionError(StorageError):
    """A newer version of this project wrote the database.

    Attributes:
        found: The schema version of the file.
        known: The newest version this release reads.
    """

    code = "storage_version"

    def __init__(self, *, path: str, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            path=path,
            reason=f"its schema is version {found}, this release reads up to {known}; "
            "upgrade pytest-mnemosyne or use another file",
        )
