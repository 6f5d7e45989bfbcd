from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anthropic
import pytest
from asking import TESTS, ask

if TYPE_CHECKING:
    from pytest_mnemosyne import ScriptedClaude

if "BENCHMARK_RECORDS" in os.environ:

    @pytest.fixture(autouse=True)
    def _script(scripted_claude: ScriptedClaude) -> None:
        scripted_claude.reply(
            "It is the smallest one that nobody has said anything special about, which is of "
            "course special. It also stands between its two neighbours, and always has."
        )


@pytest.mark.parametrize("number", TESTS)
async def test_call(number: int, claude: anthropic.AsyncAnthropic) -> None:
    await ask(claude, number)
