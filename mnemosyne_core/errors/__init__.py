"""Every exception this project raises on purpose.

MnemosyneError
  + UsageError
    - ChildSpecError
      - ChildExistsError
    - UnknownChildError
    - ActorStateError
    - UnknownRoleError
    - SessionNotStartedError
    - UnreachableMakerError
    - NoAgentError
    - UnknownTransportError
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
    - LinkedActorDownError
    - AskTimeoutError
    - StartError
    - StartTimeoutError
    - NameInUseError
    - TooManyChildrenError
    - RestartIntensityError
    - TreeNotRunningError
  + BridgeError
    - BridgeSpawnError
    - AgentUnavailableError
    - EnvelopeError
    - MessageTooLargeError
    - ProtocolError
      - ProtocolVersionError
    - RemoteError
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
      - ClaudeAuthenticationError
      - ClaudePermissionError
      - ClaudeNotFoundError
      - ClaudeRateLimitError
      - ClaudeOverloadedError
    - ClaudeStreamError
    - ClaudeDeadlineError
    - RateLimitWaitError
    - CircuitOpenError
    - BudgetExceededError
    - MissingPriceError
    - MissingKeyError
    - MissingSdkError
  + StorageError
    - StorageVersionError
Abort (BaseException)

Every class carries its facts as attributes and survives pickling; `code` is a
stable word for programs, the text is for people; `recovery` and `hint` say who can
mend it and how. Packages further up the house derive their own errors from these.
"""

from __future__ import annotations

from mnemosyne_core.errors._agents import (
    AgentError,
    AnswerTooLongError,
    CommandNotAllowedError,
    IterationLimitError,
    RefusalError,
    ToolError,
    UnusableAnswerError,
    WorkspaceEscapeError,
    WorkTimeoutError,
)
from mnemosyne_core.errors._base import (
    Abort,
    MnemosyneError,
    Recovery,
)
from mnemosyne_core.errors._bridge import (
    AgentUnavailableError,
    BridgeError,
    BridgeSpawnError,
    EnvelopeError,
    MessageTooLargeError,
    ProtocolError,
    ProtocolVersionError,
    RemoteError,
)
from mnemosyne_core.errors._claude import (
    BudgetExceededError,
    CircuitOpenError,
    ClaudeAuthenticationError,
    ClaudeConnectionError,
    ClaudeDeadlineError,
    ClaudeError,
    ClaudeNotFoundError,
    ClaudeOverloadedError,
    ClaudePermissionError,
    ClaudeRateLimitError,
    ClaudeRequestError,
    ClaudeStatusError,
    ClaudeStreamError,
    MissingKeyError,
    MissingPriceError,
    MissingSdkError,
    RateLimitWaitError,
)
from mnemosyne_core.errors._storage import (
    StorageError,
    StorageVersionError,
)
from mnemosyne_core.errors._supervision import (
    ActorDownError,
    ActorError,
    AskTimeoutError,
    LinkedActorDownError,
    MailboxFullError,
    NameInUseError,
    RestartIntensityError,
    StartError,
    StartTimeoutError,
    TooManyChildrenError,
    TreeNotRunningError,
)
from mnemosyne_core.errors._usage import (
    ActorStateError,
    ChildExistsError,
    ChildSpecError,
    NoAgentError,
    PluginError,
    SessionNotStartedError,
    UnknownChildError,
    UnknownRoleError,
    UnknownTransportError,
    UnreachableMakerError,
    UsageError,
)
from mnemosyne_core.errors._work import (
    DependencyCycleError,
    DuplicateWorkItemError,
    IllegalPhaseTransitionError,
    IllegalWorkStateError,
    InvalidWorkItemError,
    QueueFullError,
    ResultTimeoutError,
    StaleClaimError,
    StateTimeoutError,
    UnknownDependencyError,
    UnknownWorkItemError,
    WorkError,
)

__all__ = [
    "Abort",
    "ActorDownError",
    "ActorError",
    "ActorStateError",
    "AgentError",
    "AgentUnavailableError",
    "AnswerTooLongError",
    "AskTimeoutError",
    "BridgeError",
    "BridgeSpawnError",
    "BudgetExceededError",
    "ChildExistsError",
    "ChildSpecError",
    "CircuitOpenError",
    "ClaudeAuthenticationError",
    "ClaudeConnectionError",
    "ClaudeDeadlineError",
    "ClaudeError",
    "ClaudeNotFoundError",
    "ClaudeOverloadedError",
    "ClaudePermissionError",
    "ClaudeRateLimitError",
    "ClaudeRequestError",
    "ClaudeStatusError",
    "ClaudeStreamError",
    "CommandNotAllowedError",
    "DependencyCycleError",
    "DuplicateWorkItemError",
    "EnvelopeError",
    "IllegalPhaseTransitionError",
    "IllegalWorkStateError",
    "InvalidWorkItemError",
    "IterationLimitError",
    "LinkedActorDownError",
    "MailboxFullError",
    "MessageTooLargeError",
    "MissingKeyError",
    "MissingPriceError",
    "MissingSdkError",
    "MnemosyneError",
    "NameInUseError",
    "NoAgentError",
    "PluginError",
    "ProtocolError",
    "ProtocolVersionError",
    "QueueFullError",
    "RateLimitWaitError",
    "Recovery",
    "RefusalError",
    "RemoteError",
    "RestartIntensityError",
    "ResultTimeoutError",
    "SessionNotStartedError",
    "StaleClaimError",
    "StartError",
    "StartTimeoutError",
    "StateTimeoutError",
    "StorageError",
    "StorageVersionError",
    "TooManyChildrenError",
    "ToolError",
    "TreeNotRunningError",
    "UnknownChildError",
    "UnknownDependencyError",
    "UnknownRoleError",
    "UnknownTransportError",
    "UnknownWorkItemError",
    "UnreachableMakerError",
    "UnusableAnswerError",
    "UsageError",
    "WorkError",
    "WorkTimeoutError",
    "WorkspaceEscapeError",
]

# In tracebacks, pickles and messages they go by the name that users import.
for _name in __all__:
    globals()[_name].__module__ = __name__
