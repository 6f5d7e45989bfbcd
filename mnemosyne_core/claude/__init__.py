"""The seam to Claude: what is asked, what comes back, and the client that does it."""

from __future__ import annotations

from mnemosyne_core.claude._anthropic import AnthropicClient, LimitsHeard, Provider
from mnemosyne_core.claude._collect import collect
from mnemosyne_core.claude._limits import Limits, Measure, Quota
from mnemosyne_core.claude._passing import is_passing
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
    "Limits",
    "LimitsHeard",
    "Measure",
    "Prompt",
    "Provider",
    "Quota",
    "Reply",
    "collect",
    "is_passing",
]
