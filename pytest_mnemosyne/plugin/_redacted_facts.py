"""Secrets are kept out of the events of a test's trees.

What an agent said, an error's text, a reviewer's reasons: whatever came from Claude may
repeat a secret, and an event is stored, published and printed. The one fact that is left
as it is is the item that somebody has submitted: it is what is worked on, and to change it
would change the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mnemosyne_core.events import Fact, WorkSubmitted

if TYPE_CHECKING:
    from pytest_mnemosyne.cassette import Redactor


def facts_without_secrets(redactor: Callable[[], Redactor]) -> Callable[[Fact], Fact]:
    """What takes the secrets out of a fact; `redactor` is asked for at the first one."""

    def redacted(fact: Fact) -> Fact:
        if isinstance(fact, WorkSubmitted):
            return fact
        data = fact.model_dump_json().encode()
        clean = redactor().redact(data)
        return fact if clean == data else type(fact).model_validate_json(clean)

    return redacted
