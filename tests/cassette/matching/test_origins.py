"""Values of one run, put into the words of a cassette, and back into those of another run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnemosyne_core.lane import Lane, entered
from pytest_mnemosyne.cassette import CassetteMissError, RecordMode, load

from .runs import Run, recorded, replayed, running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test_it.yaml"


# --- ids -------------------------------------------------------------------------------


def test_an_id_that_the_run_minted_is_another_one_in_each_run(path: Path) -> None:
    def program(run: Run) -> str:
        item = run.mint("work")
        assert run.say(f"Do {item}.") == f"You said: Do {item}."
        return item

    written = recorded(path, program)
    replayed(path, program)

    assert "Do this-run-work-1." in written
    assert load(path).volatile.ids == ("this-run-work-1",)


def test_what_an_answer_says_of_an_id_is_carried_into_the_rest_of_the_run(path: Path) -> None:
    def program(run: Run) -> None:
        first, second = run.mint("work"), run.mint("work")
        answer = run.say(f"First {second}, then {first}?")
        assert first in answer
        assert second in answer
        run.say(f"As you wish: {answer}")

    recorded(path, program)
    replayed(path, program)


def test_a_swapped_id_misses_and_the_miss_says_which(path: Path) -> None:
    def program(run: Run, *, swapped: bool = False) -> None:
        items = [run.mint("work"), run.mint("work")]
        run.say(f"There are {items[0]} and {items[1]}.")
        run.say(f"Do {items[swapped]}.")

    recorded(path, program)
    replayed(path, program)

    with running(path) as run, pytest.raises(CassetteMissError) as caught:
        program(run, swapped=True)
    assert "interaction 2 is the same, but for work-" in caught.value.miss.words
    assert " where work-" in caught.value.miss.words


def test_ids_that_were_minted_in_another_order_are_known_by_what_is_asked(path: Path) -> None:
    def program(run: Run, *, backwards: bool = False) -> None:
        first, second = sorted((run.mint("work"), run.mint("work")), reverse=backwards)
        run.say(f"{first}: write it.")
        run.say(f"{second}: read it.")
        run.say(f"{first}, {second}: done?")

    recorded(path, program)
    for _ in range(4):
        replayed(path, program)


def test_one_id_is_never_two(path: Path) -> None:
    def program(run: Run, *, same: bool = False) -> None:
        first, second = run.mint("work"), run.mint("work")
        run.say(f"Do {first}.")
        run.say(f"Do {first if same else second}.")

    recorded(path, program)

    with running(path) as run, pytest.raises(CassetteMissError, match="already played"):
        program(run, same=True)


def test_each_agent_s_ids_are_counted_by_themselves(path: Path) -> None:
    agents = [Lane("executor/sub-1"), Lane("executor/sub-2"), Lane("reviewer", 2)]

    def program(run: Run, order: tuple[int, ...]) -> None:
        noted = {}
        for at in order:
            with entered(agents[at]):
                noted[at] = run.mint("memory")
        for at in reversed(order):
            run.say(f"Noted {noted[at]}.", agents[at])
        for at in order:
            run.say(f"{at} has noted {noted[at]}.", agents[at])

    written = recorded(path, lambda run: program(run, (0, 1, 2)))
    replayed(path, lambda run: program(run, (2, 1, 0)))
    replayed(path, lambda run: program(run, (1, 0, 2)))

    assert "this-run-memory-executor.sub_1-1" in written
    assert "this-run-memory-reviewer.2-1" in written


def test_an_id_that_only_the_answer_names_is_this_run_s(path: Path) -> None:
    def program(run: Run) -> str:
        item = run.mint("work")
        answer = run.say("Which one?")
        assert item in answer
        return item

    def model(body: dict[str, object], _: object) -> dict[str, object]:
        return {"id": "msg_1", "content": [{"type": "text", "text": f"{minted[0]}, of course"}]}

    minted: list[str] = []
    with running(path, RecordMode.RERECORD, model=model) as run:
        minted.append(run.mint("work"))
        run.say("Which one?")

    replayed(path, program)


def test_ids_of_claude_s_are_played_as_they_were_recorded(path: Path) -> None:
    def program(run: Run) -> str:
        answer = json.loads(run.ask({"messages": [{"role": "user", "content": "Hi"}]}))
        thread = {"type": "continue", "previous_message_id": answer["id"]}
        run.ask({"messages": [], "thread": thread})
        return str(answer["id"])

    recorded(path, program)
    replayed(path, program)

    other = {"type": "continue", "previous_message_id": "msg_2"}
    with running(path) as run, pytest.raises(CassetteMissError):
        run.ask({"messages": [], "thread": other})


@pytest.mark.parametrize("value", ["work-1", "work-12345"])
def test_a_short_id_stands_in_other_texts_by_chance_and_counts_as_it_is(
    path: Path, value: str
) -> None:
    from mnemosyne_core import origins

    def program(run: Run) -> None:
        origins.minted(value, "work")
        run.say(f"Do {value}.")

    assert value in recorded(path, program)
    replayed(path, program)


def test_a_name_that_tempfile_draws_counts_with_the_underscores_in_it(path: Path) -> None:
    from mnemosyne_core import origins

    drawn = iter(["tmp_a_b_cde", "tmp____f_2_"])

    def program(run: Run) -> None:
        run.say(f"Read /tmp/{origins.minted(next(drawn), 'tmp')}.")

    written = recorded(path, program)
    replayed(path, program)

    assert "Read /tmp/this-run-tmp-1." in written


# --- folders ---------------------------------------------------------------------------


def test_a_folder_of_the_run_is_another_one_in_each_run(path: Path) -> None:
    def program(run: Run) -> None:
        answer = run.say(f"Read {run.folder}/test_it0/a.txt and {run.folder}/b.txt.")
        assert f"{run.folder}/test_it0/a.txt" in answer
        run.say(f"You said {answer!r}")

    written = recorded(path, program)
    replayed(path, program)

    assert "Read /mnemosyne/tmp_path/a.txt and /mnemosyne/tmp/b.txt." in written
    assert "pytest-of-" not in written


def test_a_folder_is_no_part_of_another_name(path: Path) -> None:
    texts = ("/home/alice", "/home/al-2", "x/home/al", "/home/al.b", "./home/al")

    written = recorded(path, lambda run: [run.say(text) for text in texts])

    assert "/mnemosyne/" not in written


@pytest.mark.parametrize("text", ["/home/al", "In /home/al.", "file:///home/al/x", '"/home/al"'])
def test_nobody_s_home_folder_is_in_a_file(path: Path, text: str) -> None:
    assert "/home/al" not in recorded(path, lambda run: run.say(text))


def test_a_folder_that_was_not_recorded_is_a_text_like_any_other(path: Path) -> None:
    """A prompt may name what happens to be the folder of whoever plays it."""

    def program(run: Run) -> None:
        run.cassette.origins._folders = lambda: ()
        run.say("Never write to /home/al.")

    recorded(path, program)
    replayed(path, lambda run: run.say("Never write to /home/al."))


# --- the clock ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        pytest.param("", "2001-02-03T04:05:06+00:00", id="isoformat"),
        pytest.param("%Y-%m-%dT%H:%M:%SZ", "2001-02-03T04:05:06Z", id="zulu"),
        pytest.param("%Y-%m-%d %H:%M", "2001-02-03 04:05", id="minutes"),
        pytest.param("%Y%m%dT%H%M%SZ", "20010203T040506Z", id="basic"),
    ],
)
def test_a_reading_of_the_clock_is_another_one_in_each_run(
    path: Path, form: str, stored: str
) -> None:
    def program(run: Run) -> None:
        now = run.now()
        spelled = now.strftime(form) if form else now.isoformat()
        answer = run.say(f"It is {spelled} now.")
        assert f"It is {spelled.partition('.')[0]}" in answer
        run.say(answer)

    written = recorded(path, program)
    replayed(path, program)

    assert f"It is {stored} now." in written


def test_whether_two_readings_are_equal_is_chance(path: Path) -> None:
    def program(run: Run, *, twice: bool) -> None:
        first = run.now()
        second = first if twice else run.now()
        run.say(f"From {first:%Y-%m-%d %H:%M:%S} to {second:%Y-%m-%d %H:%M:%S}.")

    recorded(path, lambda run: program(run, twice=False))
    replayed(path, lambda run: program(run, twice=True))


def test_a_date_that_no_clock_gave_is_compared(path: Path) -> None:
    recorded(path, lambda run: (run.now(), run.say("Due 2026-12-24T18:00:00Z.")))

    with running(path) as run, pytest.raises(CassetteMissError):
        run.say("Due 2026-12-25T18:00:00Z.")


# --- how they are spelled ----------------------------------------------------------------


def test_values_that_a_stream_brings_in_several_pieces_are_replaced_too(path: Path) -> None:
    def program(run: Run) -> None:
        item = run.mint("work")
        words = " ".join(f"{item} {run.folder}/{at}" for at in range(5))
        body = run.ask({"stream": True, "messages": [{"role": "user", "content": words}]})
        deltas = [
            json.loads(line[6:])["delta"]["text"]
            for line in body.decode().splitlines()
            if line.startswith("data: ") and '"text_delta"' in line
        ]
        assert "".join(deltas) == f"You said: {words}"

    def with_pieces(run: Run) -> None:
        program(run)
        response = run.answered[0].response
        assert response is not None
        assert b"".join(chunk.data for chunk in response.chunks) == response.body

    written = recorded(path, with_pieces)
    replayed(path, with_pieces)

    assert "this-run-work-1 /mnemosyne/tmp" in written.replace("\n", "")


@pytest.mark.parametrize("before", ["\n", "\t", "\\", '"', "/", "ä", "(", "n ", "\\n"])
def test_a_value_is_found_behind_whatever_stands_before_a_word(path: Path, before: str) -> None:
    def program(run: Run) -> None:
        item = run.mint("note")
        said = f"See{before}{item} or{before}{run.folder}/x"
        assert run.say(said) == f"You said: {said}"
        run.say(json.dumps({"it": said}))

    written = recorded(path, program)
    replayed(path, program)

    assert "pytest-of" not in written
    assert "this-run-note-1" in written


@pytest.mark.parametrize("before", ["n", "x", "1"])
def test_a_value_is_no_part_of_another_word(path: Path, before: str) -> None:
    def program(run: Run) -> None:
        run.say(f"See {before}{run.mint('note')}.")

    assert "this-run" not in recorded(path, program)


def test_a_value_is_found_in_json_that_is_a_text_in_json(path: Path) -> None:
    folder = 'C:\\Temp\\"al" ä'

    def program(run: Run) -> None:
        run.cassette.origins._folders = lambda: (("tmp", folder),)
        inner = json.dumps({"file": f"{folder}\\x.txt"})
        run.ask({"messages": [{"role": "user", "content": inner}]})
        run.ask({"messages": [{"role": "user", "content": folder}]})

    written = recorded(path, program)

    assert "al" not in written.partition("parts:")[2]


def test_a_value_in_the_url_is_put_into_the_file_s_words_as_well(path: Path) -> None:
    def program(run: Run) -> None:
        run.ask({}, path=f"/v1/files/{run.mint('file')}/content")

    written = recorded(path, program)
    replayed(path, program)

    assert "path: /v1/files/this-run-file-1/content" in written


# --- files -----------------------------------------------------------------------------


def test_a_file_without_such_values_says_nothing_of_them(path: Path) -> None:
    assert "volatile" not in recorded(path, lambda run: run.say("Hi"))


def test_an_idle_recording_leaves_the_file_untouched(path: Path) -> None:
    def program(run: Run) -> None:
        item = run.mint("work")
        run.say(f"{item} in {run.folder} at {run.now().isoformat()}")

    written = recorded(path, program)
    before = path.stat().st_mtime_ns

    assert recorded(path, program) == written
    assert path.stat().st_mtime_ns == before


def test_what_is_recorded_later_agrees_with_what_was_there(path: Path) -> None:
    def program(run: Run, *, more: bool = False) -> None:
        first, second = run.mint("work"), run.mint("work")
        run.say(f"Do {second}.")
        if more:
            run.say(f"First {second}, then {first}, in {run.folder}.")

    recorded(path, program)
    with running(path, RecordMode.RECORD) as run:
        program(run, more=True)
    replayed(path, lambda run: program(run, more=True))

    assert load(path).volatile.ids == ("this-run-work-1", "this-run-work-2")
    assert load(path).volatile.folders == ("/mnemosyne/tmp",)
