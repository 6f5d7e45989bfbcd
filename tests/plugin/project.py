"""A downstream project for one test: its files, its cassettes, its runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_mnemosyne.cassette import CassetteFile, Interaction, Recorded, Request, Response, write

MODEL = "claude-sonnet-5-5"

ASKING = f"""
    import asyncio, contextlib, queue, threading, time, unittest
    import pytest

    def asked(text):
        return dict(
            model="{MODEL}", max_tokens=16, messages=[{{"role": "user", "content": text}}]
        )

    async def ask(claude, text):
        return (await claude.messages.create(**asked(text))).content[0].text

    def ask_sync(claude, text):
        return claude.messages.create(**asked(text)).content[0].text
"""
"""What every test file begins with."""


_LEAN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:recording")
"""Inner runs import their plug-ins anew, and Hypothesis alone takes a second."""


@dataclass(frozen=True)
class Project:
    """Where a test's files and runs live."""

    pytester: pytest.Pytester
    path: Path

    def test_file(self, source: str, name: str = "test_it") -> None:
        """A test module that can ask Claude."""
        text = dedent(ASKING) + "\n" + dedent(source)
        self.pytester.path.joinpath(f"{name}.py").write_text(text, encoding="utf-8")

    def cassette(self, name: str, *exchanges: tuple[str, str]) -> Path:
        """A cassette below `cassettes`, with an answer to each question."""
        path = self.path / "cassettes" / f"{name}.yaml"
        file = CassetteFile(
            interactions=tuple(interaction(*each) for each in exchanges),
            recorded=Recorded(source="scripted"),
        )
        assert write(path, file)
        return path

    def run(self, *args: str) -> pytest.RunResult:
        """pytest on the project, inside this process."""
        return self.pytester.runpytest_inprocess(*_LEAN, *args)

    def run_apart(self, *args: str) -> pytest.RunResult:
        """pytest on the project, in a process of its own."""
        return self.pytester.runpytest_subprocess(*args)


def interaction(question: str, answer: str) -> Interaction:
    """One exchange, as the SDK asks and the API answers."""
    asked = {
        "max_tokens": 16,
        "messages": [{"role": "user", "content": question}],
        "model": MODEL,
    }
    answered = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": answer}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }
    return Interaction(
        request=Request(
            method="POST",
            url="https://api.anthropic.com/v1/messages",
            headers=(("content-type", "application/json"),),
            body=json.dumps(asked, separators=(",", ":")).encode(),
        ),
        response=Response(
            status=200,
            headers=(("content-type", "application/json"),),
            body=json.dumps(answered).encode(),
        ),
    )
