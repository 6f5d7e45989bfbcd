from __future__ import annotations

import json
import os
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pytest_mnemosyne.cassette import CassetteFile, Interaction, Outcome
from pytest_mnemosyne.commands._conversation import talks
from pytest_mnemosyne.commands._printing import Style, talk_lines
from pytest_mnemosyne.wire import error_body

from .conftest import Cassettes
from .making import (
    EXECUTOR,
    REVIEWER,
    call,
    cassette,
    message,
    sent_back,
    stream,
    text,
    tool_result,
    tool_use,
    unanswered,
    user,
)

HI = user("Hi")
WRITES = message(
    text("I write it."), tool_use({"path": "hello.py", "content": "def hello():\n    pass"})
)


def shown(*interactions: Interaction, style: Style | None = None) -> str:
    """What is printed of these turns, without the name of the agent above them."""
    (talk,) = talks(CassetteFile(interactions=interactions))
    return "\n".join(list(talk_lines(talk, style or Style(full=False)))[4:])


def test_a_cassette_is_shown_as_a_conversation(cassettes: Cassettes, tmp_path: Path) -> None:
    question = user("Create hello()")
    path = cassette(
        tmp_path / "test_y.yaml",
        call(
            [question],
            stream(WRITES),
            lane=EXECUTOR,
            took_s=1.25,
            system="You write files.",
            tools=[{"name": "write_file"}],
            stream=True,
        ),
        call(
            [question, sent_back(WRITES), user(tool_result("wrote 22 bytes"))],
            message(text("Done.")),
            lane=EXECUTOR,
            system="You write files.",
            tools=[{"name": "write_file"}],
        ),
        call([user("Is it good?")], message(text("Yes.")), lane=REVIEWER),
    )

    ran = cassettes("show", path)

    assert ran.exit_code == 0
    assert ran.stdout == dedent(
        f"""\
        {path}
          recorded from scripted, 2026-11-22 15:00:00 UTC
          test tests/test_x.py::test_y
          with anthropic 2.12.0
          3 interactions, 36 tokens in, 9 out

        executor, attempt 1
        -------------------

          1  POST /v1/messages  claude-sonnet-5-5  streamed
             settings: max_tokens 100
             tools: write_file
             system
               You write files.
             user
               Create hello()
             assistant: 200, 1.25 s, 12 tokens in, 3 out, stops: end_turn
               I write it.
               tool use write_file (toolu_1)
                 path: hello.py
                 content:
                   def hello():
                       pass

          2  POST /v1/messages  claude-sonnet-5-5
             user
               tool result (toolu_1)
                 wrote 22 bytes
             assistant: 200, 12 tokens in, 3 out, stops: end_turn
               Done.

        reviewer, attempt 2
        -------------------

          3  POST /v1/messages  claude-sonnet-5-5
             settings: max_tokens 100
             user
               Is it good?
             assistant: 200, 12 tokens in, 3 out, stops: end_turn
               Yes.
        """
    )


def test_only_the_agent_that_was_asked_for_is_shown(cassettes: Cassettes, tmp_path: Path) -> None:
    path = cassette(
        tmp_path / "x.yaml",
        call([user("for the executor")], WRITES, lane=EXECUTOR),
        call([user("for the reviewer")], WRITES, lane=REVIEWER),
    )

    ran = cassettes("show", path, "--lane", "executor")
    wrong = cassettes("show", path, "--lane", "exec")

    assert "for the executor" in ran.stdout
    assert "for the reviewer" not in ran.stdout
    assert (wrong.exit_code, wrong.stderr) == (
        1,
        "mnemosyne: no agent is called 'exec' in this cassette; there are executor, reviewer\n",
    )


def test_json_holds_the_turns_for_scripts(cassettes: Cassettes, tmp_path: Path) -> None:
    path = cassette(tmp_path / "x.yaml", call([HI], WRITES, lane=EXECUTOR))

    found = json.loads(cassettes("show", path, "--json").stdout)

    (talk,) = found["talks"]
    (turn,) = talk["turns"]
    assert found["recorded"]["at"] == "2026-11-22T15:00:00+00:00"
    assert (talk["agent"], talk["attempt"]) == ("executor", 1)
    assert turn["messages"] == [{"role": "user", "blocks": [text("Hi")]}]
    assert turn["answer"]["blocks"] == WRITES["content"]
    assert (turn["stop_reason"], turn["outcome"]) == ("end_turn", "complete")


ANSWER = message(text("Hello"))


@pytest.mark.parametrize(
    ("second", "third", "told"),
    [
        pytest.param(
            [HI, sent_back(ANSWER), user("a")], [user("b")], "a new conversation", id="new"
        ),
        pytest.param(
            [user("b")], [HI, sent_back(ANSWER), user("c")], "goes on from 1", id="earlier"
        ),
        pytest.param([user("b")], [HI], "the messages of 1", id="again"),
        pytest.param([user("b")], [user("b"), sent_back(ANSWER), user("c")], "user", id="last"),
    ],
)
def test_a_turn_tells_where_it_goes_on_from(
    second: list[dict[str, Any]], third: list[dict[str, Any]], told: str
) -> None:
    turns = shown(call([HI], ANSWER), call(second, ANSWER), call(third, ANSWER))

    first_line = turns.split("\n\n")[2].splitlines()[1].strip()
    assert first_line == told


def test_what_a_client_left_out_when_it_sent_an_answer_back_is_told() -> None:
    without_text = {"role": "assistant", "content": WRITES["content"][1:]}

    turns = shown(call([HI], WRITES), call([HI, without_text, user(tool_result("ok"))], ANSWER))

    assert "assistant, sent back without text\n     user\n" in turns
    assert turns.count("tool use write_file") == 1


def test_an_answer_that_was_changed_before_it_was_sent_back_is_shown_again() -> None:
    changed = {"role": "assistant", "content": "Something else"}

    turns = shown(call([HI], ANSWER), call([HI, changed, user("Go on")], ANSWER))

    assert "     assistant\n       Something else\n" in turns


def test_cache_marks_that_move_do_not_make_a_message_new() -> None:
    marked = user({**text("Hi"), "cache_control": {"type": "ephemeral"}})

    turns = shown(call([marked], ANSWER), call([HI, sent_back(ANSWER), user("More")], ANSWER))

    assert turns.count("Hi") == 1


def test_a_step_of_a_thread_goes_on_from_the_message_that_it_names() -> None:
    held = {"type": "continue", "previous_message_id": "msg_1"}

    turns = shown(
        call([HI], WRITES, system="Be brief.", tools=[{"name": "write_file"}]),
        call([user(tool_result("ok"))], ANSWER, thread=held),
    )

    assert "a new conversation" not in turns
    assert "none any more" not in turns
    assert 'thread: {"type":"continue","previous_message_id":"msg_1"}' in turns


def test_a_system_prompt_that_changes_or_goes_is_shown() -> None:
    turns = shown(
        call([HI], ANSWER, system="one"),
        call([HI], ANSWER, system="two"),
        call([HI], ANSWER),
    )

    assert re.findall(r"system\n +(.+)\n", turns) == ["one", "two", "(none any more)"]


ERROR = error_body("overloaded_error", "Overloaded")
OPEN = stream(message(text("Hello"))).partition(b"event: message_delta")[0]
ERROR_EVENT = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n'


@pytest.mark.parametrize(
    ("interaction", "lines"),
    [
        pytest.param(
            call([HI], ERROR, status=529),
            ["error: 529", "overloaded_error: Overloaded"],
            id="error",
        ),
        pytest.param(
            call([HI], OPEN + ERROR_EVENT, stream=True),
            ["assistant: 200, 12 tokens in, 1 out", "Hello", "error", "api_error: x"],
            id="error-in-a-stream",
        ),
        pytest.param(
            call([HI], OPEN, stream=True),
            ["assistant: 200, 12 tokens in, 1 out, its stream has no end", "Hello"],
            id="stream-without-end",
        ),
        pytest.param(
            unanswered([HI], Outcome.RESET),
            ["answer: reset: the connection broke before an answer began"],
            id="reset",
        ),
        pytest.param(call([HI], b"", status=204), ["answer: 204"], id="nothing"),
        pytest.param(
            call([HI], b"\x00\xff\x01"), ["answer: 200", "[3 bytes that are no text]"], id="bytes"
        ),
        pytest.param(call([HI], b"Bad gateway"), ["answer: 200", "Bad gateway"], id="text"),
        pytest.param(
            call([HI], b'{"input_tokens":7}'), ["answer: 200", "input_tokens: 7"], id="json"
        ),
        pytest.param(call([HI], b"[" * 300 + b"]" * 300), ["answer: 200", "[" * 300], id="tower"),
        pytest.param(
            call([HI], b'event: completion\ndata: {"type":"completion","completion":"Hi"}\n\n'),
            ["assistant: 200", "Hi"],
            id="text-completion",
        ),
    ],
)
def test_however_an_exchange_ended_is_told(interaction: Interaction, lines: list[str]) -> None:
    turn = shown(interaction)

    answered = [line.strip() for line in turn.splitlines()[4:]]
    assert [line.rstrip("]") for line in answered] == [line.rstrip("]") for line in lines]


@pytest.mark.parametrize(
    ("block", "lines"),
    [
        pytest.param(
            {"type": "thinking", "thinking": "Hm.", "signature": "ab"},
            ["thinking", "  Hm.", "  signature: ab"],
            id="thinking",
        ),
        pytest.param(
            tool_use({}) | {"caller": {"type": "direct"}, "cache_control": None},
            ["tool use write_file (toolu_1)"],
            id="tool-use",
        ),
        pytest.param(
            tool_use({"a": [1, {"b": "c\nd"}]}) | {"caller": {"type": "code"}},
            [
                "tool use write_file (toolu_1)",
                '  a: [1,{"b":"c\\nd"}]',
                '  (caller): {"type":"code"}',
            ],
            id="caller",
        ),
        pytest.param(
            tool_result("no such file") | {"is_error": True},
            ["tool result (toolu_1), an error", "  no such file"],
            id="tool-error",
        ),
        pytest.param(
            tool_result("") | {"content": [text("one"), text("two")]},
            ["tool result (toolu_1)", "  one", "  two"],
            id="tool-blocks",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "base64", "data": "iVBORw0KGgo" * 20}},
            [
                "image",
                "  source:",
                "    type: base64",
                "    data: [220 characters of data, digest b2553e3c]",
            ],
            id="image",
        ),
        pytest.param({"type": "new_kind", "x": 1}, ["new kind", "  x: 1"], id="unknown"),
        pytest.param({"no": "type"}, ["no: type"], id="no-type"),
    ],
)
def test_every_kind_of_block_is_readable(block: dict[str, Any], lines: list[str]) -> None:
    turn = shown(call([user(block, text("end"))], ANSWER), style=Style(full=False, width=60))

    told = turn.partition("     user\n")[2].partition("       end\n")[0]
    assert [line[7:] for line in told.splitlines()] == lines


def test_what_a_terminal_would_obey_is_spelled_out(cassettes: Cassettes, tmp_path: Path) -> None:
    path = cassette(tmp_path / "x.yaml", call([user("\x1b[2J\u202eevil\ttab\r\nend")], ANSWER))

    ran = cassettes("show", path)

    assert "       \\u001b[2J\\u202eevil\ttab\n       end\n" in ran.stdout


def test_a_long_text_is_cut_with_a_word_about_it(cassettes: Cassettes, tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(40)]
    path = cassette(tmp_path / "x.yaml", call([user("\n".join(lines))], ANSWER))

    cut, full = cassettes("show", path).stdout, cassettes("show", path, "--full").stdout

    assert "       line 19\n       [20 more lines; --full shows them]\n     assistant" in cut
    assert "line 20" not in cut
    assert "       line 39\n     assistant" in full


def test_full_shows_the_schemas_of_tools(cassettes: Cassettes, tmp_path: Path) -> None:
    tool = {"name": "add", "description": "Adds.", "input_schema": {"type": "object"}}
    path = cassette(tmp_path / "x.yaml", call([HI], ANSWER, tools=[tool]))

    ran = cassettes("show", path, "--full")

    assert (
        "     tools\n       add\n         description: Adds.\n         input_schema: {"
        in ran.stdout
    )


def test_texts_are_wrapped_to_the_width_and_keep_their_indent() -> None:
    said = "    indented words that are more than fit on one line of this terminal"

    turn = shown(call([user(said)], ANSWER), style=Style(width=40))

    told = turn.partition("     user\n")[2].partition("     assistant")[0]
    assert told == (
        "           indented words that are more\n"
        "           than fit on one line of this\n"
        "           terminal\n"
    )


def test_another_hosts_exchange_keeps_its_origin() -> None:
    other = call([HI], b'{"ok":true}')
    request = other.request.__class__(method="GET", url="https://example.com/a?b=c")

    turn = shown(Interaction(request=request, response=other.response))

    assert turn.startswith("  1  GET https://example.com/a?b=c\n     answer: 200\n       ok: true")


def test_what_stands_in_for_values_of_the_run_is_listed(
    cassettes: Cassettes, tmp_path: Path
) -> None:
    path = cassette(tmp_path / "x.yaml", call([user("Read /mnemosyne/tmp/a.txt")], ANSWER))

    ran = cassettes("show", path)

    assert "  stand-ins: /mnemosyne/tmp\n" in ran.stdout
    assert "stand-ins" not in cassettes("textconv", path).stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(None, "there is no {path}; name a file that exists", id="missing"),
        pytest.param("folder", "{path} is a folder; name a cassette in it", id="folder"),
        pytest.param(b"mnemosyne: 99\n", "{path} is a cassette of format 99, *", id="newer"),
        pytest.param(b"mnemosyne: 1\ninteractions: 7\n", "{path}:2: interactions: *", id="damaged"),
        pytest.param(b"PK\x03\x04", "{path} cannot be read: it is a zip archive; *", id="packed"),
        pytest.param(
            b'{"name": "package"}',
            "{path} cannot be read: it is data without *; is this a cassette? *",
            id="something-else",
        ),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(
    cassettes: Cassettes, tmp_path: Path, content: bytes | str | None, told: str
) -> None:
    path = tmp_path / "x.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()

    ran = cassettes("show", path)

    assert (ran.exit_code, ran.stdout) == (1, "")
    pytest.LineMatcher(ran.stderr.splitlines()).fnmatch_lines(
        [f"mnemosyne: {told.format(path=path)}"]
    )
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["show", "textconv", "diff", "check", "export", "import"])
def test_a_file_that_may_not_be_read_is_told_in_one_line(
    cassettes: Cassettes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    path = cassette(tmp_path / "x.yaml", call([user("Hi")], message(text("Hello."))))
    more = {
        "diff": (cassette(tmp_path / "y.yaml", call([user("Hi")], message(text("Hello.")))),),
        "export": ("-o", tmp_path / "out.yaml"),
        "import": ("-o", tmp_path / "out.yaml"),
    }.get(command, ())
    opened = os.open

    def refusing(name: str | Path, *rest: int) -> int:
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", str(name))
        return opened(name, *rest)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(os, "access", lambda name, *_, **__: str(name) != str(path))
    ran = cassettes(command, path, *more)

    assert ran.exit_code == (2 if command in ("diff", "check") else 1)
    (line,) = ran.stderr.splitlines()
    assert line.startswith("mnemosyne: cannot read ")
    assert "Permission denied" in line
