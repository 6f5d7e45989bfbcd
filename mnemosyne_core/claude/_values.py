"""A prompt, a reply, and the port between them.

Messages, blocks and tools keep the JSON shape of the Messages API: a block that
this release has never heard of goes back to Claude exactly as it came.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from pydantic import JsonValue, NonNegativeInt, PositiveFloat

from mnemosyne_core._value import Value
from mnemosyne_core.work import Usage

DEFAULT_MODEL = "claude-sonnet-5-5"

Block: TypeAlias = dict[str, JsonValue]
"""A message, a content block or a tool definition, as the API writes it."""


class ClaudeSettings(Value):
    """How to reach the API, for a client that is made here."""

    max_retries: NonNegativeInt = 2
    """How often the SDK repeats a request that failed for a passing reason."""

    timeout_s: PositiveFloat = 600.0
    """Patience for one answer, in seconds."""

    base_url: str | None = None
    """Where the API is; absent: what the SDK finds in its environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """All that Claude is asked in one turn."""

    model: str
    max_tokens: int
    messages: tuple[Block, ...]
    system: str = ""
    tools: tuple[Block, ...] = ()
    tool_choice: Block | None = None
    output_schema: Block | None = None
    """JSON schema that the final text must follow."""

    def body(self) -> Block:
        """The request's JSON; what is empty or absent is left out of it."""
        body: Block = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": list(self.messages),
        }
        if self.system:
            body["system"] = self.system
        if self.tools:
            body["tools"] = list(self.tools)
        if self.tool_choice is not None:
            body["tool_choice"] = self.tool_choice
        if self.output_schema is not None:
            body["output_config"] = {
                "format": {"type": "json_schema", "schema": self.output_schema}
            }
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Claude's complete answer to one prompt."""

    id: str
    model: str
    content: tuple[Block, ...]
    stop_reason: str
    """Never absent: an answer without one was cut, and is an error."""

    stop_details: Block | None = None
    """What the API adds to the stop reason, such as why it refused."""

    usage: Usage = field(default_factory=Usage)

    @property
    def text(self) -> str:
        """The text blocks, one after the other."""
        texts = (block.get("text") for block in self.content if block.get("type") == "text")
        return "".join(text for text in texts if isinstance(text, str))

    @property
    def tool_uses(self) -> tuple[Block, ...]:
        """The calls of our own tools, in order; the API's server runs its own."""
        return tuple(block for block in self.content if block.get("type") == "tool_use")


class ClaudeClient(Protocol):
    """Whoever can put a prompt to Claude."""

    async def open(self) -> None:
        """Get ready to be asked; harmless when repeated.

        Raises:
            MissingKeyError: There is nothing to authenticate with.
            MissingSdkError: The SDK that it stands on cannot be imported.
            ClaudeError: It found credentials that it cannot use.
        """
        ...

    async def send(self, prompt: Prompt) -> Reply:
        """Claude's complete answer.

        Cancelling it abandons the request.

        Raises:
            ClaudeError: There is none; the class and its attributes say why.
        """
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Block, None]:
        """Claude's answer while it is made: the API's own events, `message_start` first.

        Pings are left out. The last event is `message_stop`; a stream that ends without it
        raises. Nothing is asked before the first event is. Close the generator, best with
        `contextlib.aclosing`: closing it early abandons the request.

        Raises:
            ClaudeError: The answer did not come, or broke off; what came before counts.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the client holds; harmless when repeated."""
        ...
