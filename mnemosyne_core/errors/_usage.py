"""The caller's mistakes."""

from __future__ import annotations

from mnemosyne_core.errors._base import MnemosyneError, Recovery


class UsageError(MnemosyneError):
    """The caller asked for something that cannot work; fix the call."""

    code = "usage"


class ChildSpecError(UsageError):
    """A child spec contradicts itself or its supervisor."""

    code = "child_spec"


class ChildExistsError(ChildSpecError):
    """A supervisor has a child of that id already.

    Attributes:
        supervisor: The supervisor's path.
        child: The id.
        state: What the child that has it is doing.
    """

    code = "child_exists"

    def __init__(self, *, supervisor: str, child: str, state: str) -> None:
        self.supervisor = supervisor
        self.child = child
        self.state = state
        hint = (
            "give the new one an id of its own"
            if self.already_started
            else "use restart_child, or delete_child first"
        )
        super().__init__(f"supervisor {supervisor} has a child {child!r}, which is {state}; {hint}")

    @property
    def already_started(self) -> bool:
        """Whether that child runs or is being restarted; otherwise only its spec is present."""
        return self.state != "stopped"


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
    recovery = Recovery.NONE
    hint = "await start_session() first, or use the agent as an async context manager"

    def __init__(self, *, role: str) -> None:
        self.role = role
        super().__init__(f"the {role} agent has no session; {self.hint}")


class UnreachableMakerError(UsageError):
    """What makes an agent cannot be found by another process.

    Attributes:
        maker: What was given, as text.
        problem: Why its name leads nowhere.
    """

    code = "unreachable_maker"
    hint = "make the agent in a function at the top of a module that can be imported"

    def __init__(self, *, maker: str, problem: str) -> None:
        self.maker = maker
        self.problem = problem
        super().__init__(
            f"another process cannot make its agent with {maker}: {problem}; {self.hint}"
        )


class NoAgentError(UsageError):
    """What is to make an agent makes something else.

    Attributes:
        maker: What was called, as text.
        made: What came of it, as text.
        missing: What an agent has, and this has not.
    """

    code = "no_agent"
    hint = "return an agent, as mnemosyne_core.agents.Agent describes one"

    def __init__(self, *, maker: str, made: str, missing: tuple[str, ...]) -> None:
        self.maker = maker
        self.made = made
        self.missing = missing
        super().__init__(
            f"{maker} made {made}, which is no agent: it has no {', '.join(missing)}; {self.hint}"
        )


class UnknownTransportError(UsageError):
    """There is no transport of that name.

    Attributes:
        given: What the settings name.
        known: The names that exist.
    """

    code = "unknown_transport"
    hint = "correct BridgeSettings.transport, or install the plug-in that offers it"

    def __init__(self, *, given: str, known: tuple[str, ...]) -> None:
        self.given = given
        self.known = known
        super().__init__(
            f"no transport is called {given!r}; there are: {', '.join(known)}; {self.hint}"
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
