"""Why an agent did not start, in terms of what is missing."""

from __future__ import annotations

from mnemosyne_core.errors import BridgeSpawnError, MissingKeyError, MissingSdkError
from mnemosyne_core.work import AgentRole


def spawn_error(role: AgentRole, error: Exception) -> BridgeSpawnError:
    """The error that says what `error` lacks and what to do about it."""
    if isinstance(error, BridgeSpawnError):
        return error
    missing, hint = _missing(error)
    return BridgeSpawnError(role=role, missing=missing, hint=hint)


def late_start_error(role: AgentRole, timeout_s: float) -> BridgeSpawnError:
    """The error for a session that is not open in time."""
    return BridgeSpawnError(
        role=role,
        missing=f"its session was not open within {timeout_s:g} s",
        hint="see what start_session waits for, or raise BridgeSettings.start_timeout_s",
    )


def _missing(error: Exception) -> tuple[str, str]:
    match error:
        case MissingKeyError():
            return f"no API key (looked in {', '.join(error.looked_in)})", "set ANTHROPIC_API_KEY"
        case MissingSdkError():
            return f"no anthropic package ({error.reason})", "pip install anthropic"
        case ImportError():
            return f"no module {error.name or error}", "install the package that it comes from"
        case OSError() if error.filename is not None:
            what = f"{error.filename!r} cannot be used ({error.strerror})"
            return what, "create it, or name another one"
        case _:
            what = f"its session could not be opened ({type(error).__name__}: {error})"
            return what, "this error's cause shows where"
