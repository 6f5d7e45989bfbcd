"""Errors of the boundary between a supervised actor and its agent."""

from __future__ import annotations

from mnemosyne_core.errors._base import MnemosyneError, Recovery


class BridgeError(MnemosyneError):
    """The boundary between a supervised actor and its agent broke."""

    code = "bridge"
    recovery = Recovery.RESTART


class BridgeSpawnError(BridgeError):
    """An agent could not be started behind the bridge.

    Attributes:
        role: The agent's role.
        missing: What is not there: a module, a key, an interpreter, a folder.
        hint: What to do about it.
        may_pass: Whether the same try can go well later, in this process.
    """

    code = "bridge_spawn"
    recovery = Recovery.CONFIGURATION

    def __init__(self, *, role: str, missing: str, hint: str, may_pass: bool = True) -> None:
        self.role = role
        self.missing = missing
        self.hint = hint
        self.may_pass = may_pass
        super().__init__(f"the {role} agent cannot start: {missing}; {hint}")


class AgentUnavailableError(BridgeError):
    """Work needs an agent that is not there.

    Attributes:
        role: The role that has no agent.
        reason: Why not, in words.
        hint: What to do about it.
    """

    code = "agent_unavailable"
    recovery = Recovery.CONFIGURATION

    def __init__(self, *, role: str, reason: str, hint: str = "") -> None:
        self.role = role
        self.reason = reason
        self.hint = hint or "start its bridge, or await tree.restart_agent(role)"
        super().__init__(f"no {role} agent is available: {reason}")


class EnvelopeError(BridgeError):
    """What came over the bridge is not what may cross it.

    Attributes:
        problems: One `(field, what is wrong)` pair for each finding.
    """

    code = "envelope"
    recovery = Recovery.RESTART
    hint = "it is replaced; see that both ends are of one release"

    def __init__(self, *, problems: tuple[tuple[str, str], ...]) -> None:
        self.problems = problems
        listed = "; ".join(f"{field}: {problem}" for field, problem in problems)
        super().__init__(f"unusable message on the bridge: {listed}")


class ProtocolError(BridgeError):
    """Something came out of the pipe to an agent's process, or into it, that is no message.

    Attributes:
        problem: What is wrong, and what was expected.
        excerpt: The beginning of it, as text; may be empty.
    """

    code = "protocol"
    hint = "only the bridge may write to its pipes; see that both ends are of one release"

    def __init__(self, *, problem: str, excerpt: str = "") -> None:
        self.problem = problem
        self.excerpt = excerpt
        begins = f"; it begins {excerpt!r}" if excerpt else ""
        super().__init__(f"no message on the pipe of an agent's process: {problem}{begins}")


class MessageTooLargeError(BridgeError):
    """A message is larger than what may cross to an agent's process, or from it.

    Attributes:
        length: Its size in bytes.
        most: How many there may be.
    """

    code = "message_too_large"
    recovery = Recovery.WORK
    hint = "make the item smaller, or have it name a file in the workspace"

    def __init__(self, *, length: int, most: int) -> None:
        self.length = length
        self.most = most
        super().__init__(
            f"a message of {length:,} bytes is too large for the bridge, which carries {most:,}; "
            f"{self.hint}"
        )


class ProtocolVersionError(ProtocolError):
    """The two ends of a pipe do not speak the same language.

    Attributes:
        ours: The version spoken here, as `(major, minor)`.
        theirs: The version spoken at the other end.
    """

    code = "protocol_version"
    recovery = Recovery.CONFIGURATION
    hint = "install the same release of pytest-mnemosyne for both interpreters"

    def __init__(self, *, ours: tuple[int, int], theirs: tuple[int, int]) -> None:
        self.ours = ours
        self.theirs = theirs
        super().__init__(
            problem="the other end speaks version {}.{} of the protocol, this one {}.{}, and only "
            "the number after the point may differ".format(*theirs, *ours)
        )


class RemoteError(BridgeError):
    """An exception of another process that this one has no class for.

    Attributes:
        kind: The name of its class.
        problem: Its text.
    """

    code = "remote"

    def __init__(self, *, kind: str, problem: str) -> None:
        self.kind = kind
        self.problem = problem
        super().__init__(f"{kind}: {problem}")
