"""What a call will use, before anybody knows."""

from __future__ import annotations

import json

from mnemosyne_core.claude._values import Prompt

_BYTES_PER_TOKEN = 3
"""English and code have about four bytes for each token, so this is rather too much."""


def input_tokens(prompt: Prompt) -> int:
    """About how many tokens a prompt has; what is counted afterwards puts it right."""
    text = json.dumps(prompt.body(), ensure_ascii=False, separators=(",", ":"))
    return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)
