"""How an agent works, apart from what it is asked."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from mnemosyne_core._value import Value
from mnemosyne_core.claude import DEFAULT_MODEL


class AgentSettings(Value):
    """Bounds and choices for one agent; all of them have sensible defaults."""

    model: str = DEFAULT_MODEL
    max_tokens: PositiveInt = 8192
    """Bound on one answer, in tokens; an answer that does not fit is a failure."""

    stream: bool = False
    """Whether answers are asked for as streams: long ones then do not run into a proxy's
    patience. What the agent makes of them is the same."""

    max_turns: PositiveInt = 30
    """Turns with Claude for one attempt; still wanting tools after the last is a failure."""

    allowed_commands: tuple[str, ...] = ()
    """Programs that `run_command` may start, as Claude names them: `pytest`, `git`, or a full
    path. A program can do whatever it is able to, also outside the workspace: name only
    those that you trust with what Claude writes. Empty: there is no `run_command`."""

    command_timeout_s: PositiveFloat = 60.0
    """Bound on one command, in seconds; it is then killed with all that it started."""

    max_output_chars: PositiveInt = 20_000
    """Longest text that one tool call may answer with; the middle of a longer one is left out."""

    max_file_bytes: PositiveInt = 1_000_000
    """Largest file that a tool reads or writes."""
