"""Errors of agents and their tools."""

from __future__ import annotations

from mnemosyne_core.errors._base import MnemosyneError, Recovery


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
    recovery = Recovery.LATER
    hint = "raise its timeout_s or make the item smaller"

    def __init__(self, *, item_id: str, timeout_s: float) -> None:
        self.item_id = item_id
        self.timeout_s = timeout_s
        super().__init__(
            f"work item {item_id!r} took longer than its {timeout_s:g} s and was cancelled; "
            f"{self.hint}"
        )


class IterationLimitError(AgentError):
    """The agent still wanted to use tools when its turns were used up.

    Attributes:
        limit: The number of turns it had.
    """

    code = "iteration_limit"
    recovery = Recovery.WORK
    hint = "raise AgentSettings.max_turns or make the item smaller"

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"the agent was still calling tools after {limit} turns, so the work is not done; "
            f"{self.hint}"
        )


class UnusableAnswerError(AgentError):
    """Claude answered, but not with something the agent can use.

    Attributes:
        problem: What is wrong with the answer.
        excerpt: The beginning of it.
    """

    code = "unusable_answer"
    recovery = Recovery.LATER
    hint = "ask again; if it stays, say in the item what the answer must hold"

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
    recovery = Recovery.WORK
    hint = "raise AgentSettings.max_tokens or make the item smaller"

    def __init__(self, *, stop_reason: str, max_tokens: int) -> None:
        self.stop_reason = stop_reason
        self.max_tokens = max_tokens
        super().__init__(
            f"Claude's answer is incomplete ({stop_reason}; it was allowed {max_tokens} tokens); "
            f"{self.hint}"
        )


class RefusalError(AgentError):
    """Claude declined to do the work.

    Attributes:
        explanation: The API's explanation, or Claude's own words; may be empty.
    """

    code = "refusal"
    recovery = Recovery.WORK
    hint = "asking again changes nothing, change the item"

    def __init__(self, *, explanation: str) -> None:
        self.explanation = explanation
        super().__init__(
            f"Claude declined this work item: {explanation or 'it gave no explanation'}; "
            f"{self.hint}"
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
