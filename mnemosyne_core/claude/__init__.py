"""The seam to Claude: what is asked, what comes back, and the client that does it."""

from __future__ import annotations

from mnemosyne_core.claude._anthropic import AnthropicClient
from mnemosyne_core.claude._values import (
    DEFAULT_MODEL,
    Block,
    ClaudeClient,
    ClaudeSettings,
    Prompt,
    Reply,
)

__all__ = [
    "DEFAULT_MODEL",
    "AnthropicClient",
    "Block",
    "ClaudeClient",
    "ClaudeSettings",
    "Prompt",
    "Reply",
]
