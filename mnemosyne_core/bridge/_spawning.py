"""Why an agent did not start, in terms of what is missing."""

from __future__ import annotations

from mnemosyne_core.errors import (
    BridgeSpawnError,
    MissingKeyError,
    MissingSdkError,
    NoAgentError,
    RemoteError,
    UsageError,
)
from mnemosyne_core.work import AgentRole


def spawn_error(role: AgentRole, error: Exception) -> BridgeSpawnError:
    """The error that says what `error` lacks and what to do about it."""
    if isinstance(error, BridgeSpawnError):
        return error
    missing, hint = _missing(error) or _unforeseen(error)
    # What is installed or written wrongly stays so for as long as the process lives.
    may_pass = not isinstance(error, MissingSdkError | ImportError | UsageError)
    return BridgeSpawnError(role=role, missing=missing, hint=hint, may_pass=may_pass)


def is_foreseen(error: Exception) -> bool:
    """Whether `spawn_error` can say what is missing; if not, the log has to say more."""
    return isinstance(error, BridgeSpawnError) or _missing(error) is not None


def late_start_error(role: AgentRole, timeout_s: float) -> BridgeSpawnError:
    """The error for a session that is not open in time."""
    return BridgeSpawnError(
        role=role,
        missing=f"its session was not open within {timeout_s:g} s",
        hint="see what start_session waits for, or raise BridgeSettings.start_timeout_s",
    )


def _missing(error: Exception) -> tuple[str, str] | None:
    match error:
        case MissingKeyError():
            return f"no API key (looked in {', '.join(error.looked_in)})", error.hint
        case MissingSdkError():
            return f"no anthropic package ({error.reason})", error.hint
        case NoAgentError():
            return f"{error.maker} made {error.made}, which is no agent", error.hint
        case ImportError():
            return f"no module {error.name or error}", "install the package that it comes from"
        case OSError() if error.filename is not None:
            what = f"{error.filename!r} cannot be used ({error.strerror})"
            return what, "create it, or name another one"
        case _:
            return None


def _unforeseen(error: Exception) -> tuple[str, str]:
    # The error of another process says itself of which class it was there.
    told = error if isinstance(error, RemoteError) else f"{type(error).__name__}: {error}"
    return f"its session could not be opened ({told})", "the agent's log shows where it came from"
