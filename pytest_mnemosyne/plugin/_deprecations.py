"""Models that are deprecated, as far as the SDK in use knows.

The list is the SDK's own, and is read only where the SDK is imported already: importing
it costs more than a whole run of replays.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Turn

_MODULE: Final = "anthropic.resources.messages.messages"
_LIST: Final = "DEPRECATED_MODELS"

# Inside of a JSON text the quotes would be escaped.
_MODEL: Final = re.compile(rb'"model":\s*"([^"\\]+)"')


def deprecated_models() -> Mapping[str, str]:
    """The deprecated models and the ends of their lives, in words; empty where nobody knows."""
    found = getattr(sys.modules.get(_MODULE), _LIST, None)
    return found if isinstance(found, Mapping) else {}


def deprecated_in(turns: Sequence[Turn]) -> dict[str, str]:
    """The deprecated models that the turns of a test have asked for, with their ends."""
    deprecated = deprecated_models()
    if not deprecated:
        return {}
    named = {
        name.decode("utf-8", "replace")
        for turn in turns
        for name in _MODEL.findall(turn.request.body)
    }
    if named.isdisjoint(deprecated):
        return {}
    # A field of that name may stand deeper in a request, too.
    asked = {turn.model for turn in turns}
    return {name: str(deprecated[name]) for name in sorted(named & asked) if name in deprecated}
