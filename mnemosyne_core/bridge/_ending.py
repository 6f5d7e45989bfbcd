"""How an agent's process ended, and the errors that say so."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from mnemosyne_core.bridge._transport import AgentGoneError
from mnemosyne_core.errors import BridgeSpawnError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """What is known of the end of a process."""

    pid: int
    returncode: int | None
    """Its exit status, negative for a signal; `None`: it has not ended, or nobody knows."""

    problem: str = ""
    """What was wrong with it before, if that is why it ended."""

    log: tuple[str, ...] = ()
    """The last lines of its standard error."""

    @property
    def signal(self) -> str | None:
        """The name of the signal that killed it, such as `SIGKILL`."""
        if self.returncode is None or self.returncode >= 0:
            return None
        try:
            return signal.Signals(-self.returncode).name
        except ValueError:
            return f"signal {-self.returncode}"

    def __str__(self) -> str:
        if self.returncode is None:
            how = f"its process {self.pid} has not ended"
        elif self.signal is not None:
            how = f"its process {self.pid} was killed by {self.signal}"
        else:
            how = f"its process {self.pid} ended with exit status {self.returncode}"
        if self.problem:
            how = f"{self.problem}; {how}"
        if not self.log:
            return how
        return "\n".join((f"{how}; its log ends:", *(f"    {line}" for line in self.log)))


class _OfProcess:
    """Facts about the process of whoever is missing."""

    end: ProcessEnd

    @property
    def pid(self) -> int:
        """The number that the process had."""
        return self.end.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal."""
        return self.end.returncode

    @property
    def signal(self) -> str | None:
        """The name of the signal that killed it."""
        return self.end.signal

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines of its standard error."""
        return self.end.log


class AgentProcessGoneError(_OfProcess, AgentGoneError):
    """The agent's process ended while it had work, or before it got some.

    Attributes:
        end: How it ended, with `pid`, `returncode`, `signal` and `log`, which this has, too.
    """

    def __init__(self, *, end: ProcessEnd) -> None:
        self.end = end
        super().__init__(f"the agent is gone: {end}")


class AgentProcessSpawnError(_OfProcess, BridgeSpawnError):
    """The agent's process ended, or was ended, before its session was open.

    Attributes:
        end: How it ended, with `pid`, `returncode`, `signal` and `log`, which this has, too.
    """

    def __init__(self, *, role: str, end: ProcessEnd, hint: str = "") -> None:
        self.end = end
        super().__init__(
            role=role, missing=str(end), hint=hint or "its log, as far as there is one, says why"
        )
