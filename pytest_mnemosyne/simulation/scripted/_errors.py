"""What can be wrong with a script, or between a script and the test that played it.

MnemosyneError
  + UsageError
    - ScriptError
  - ScriptNotPlayedError (also an AssertionError)
  - RequestRefusedError (becomes an answer; nobody else meets it)
"""

from __future__ import annotations

from mnemosyne_core.errors import MnemosyneError, UsageError
from pytest_mnemosyne.wire import JsonObject


class ScriptError(UsageError):
    """A script says something that Claude cannot say.

    Attributes:
        problem: What is wrong with it.
    """

    code = "script"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class ScriptNotPlayedError(MnemosyneError, AssertionError):
    """The test asked for more than the script holds, or for less.

    Attributes:
        unscripted: One text for each request without an answer.
        pending: One text for each answer that nobody asked for.
    """

    code = "script_not_played"

    def __init__(self, *, unscripted: tuple[str, ...], pending: tuple[str, ...]) -> None:
        self.unscripted = unscripted
        self.pending = pending
        lines = [
            *(f"asked, but not in the script: {text}" for text in unscripted),
            *(f"in the script, but never asked for: {text}" for text in pending),
        ]
        super().__init__("\n".join(("the script of the scripted Claude was not played", *lines)))


class RequestRefusedError(MnemosyneError):
    """The API refuses a request before anybody looks at what Claude is asked.

    Attributes:
        status: The HTTP status that says so.
        problem: Why, in the API's way.
        details: Machine-readable, as in the API's error.
    """

    code = "request_refused"

    def __init__(self, status: int, problem: str, *, details: JsonObject | None = None) -> None:
        self.status = status
        self.problem = problem
        self.details = details
        super().__init__(problem)
