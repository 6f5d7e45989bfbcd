"""A secret that is planted anywhere in an exchange reaches nothing that is kept or shown."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    CassetteMissError,
    Journal,
    Recorded,
    RecordMode,
    Redactor,
    SecretLeakError,
    load,
    write,
)
from tests.cassette.files._make import interaction

from .planting import URL, Planted, Spelling, planted, spellings
from .readings import holds

VALUE = 'c4nary/Pass="wörd"+9z'
KEY = "sk-ant-api03-Canary0123456789-abcXYZ"
SECRETS = {"DB_PASSWORD": VALUE}


def clock() -> Callable[[], float]:
    seconds = count()
    return lambda: float(next(seconds))


def recorded_by(exchange: Planted, folder: Path, redactor: Redactor) -> tuple[Cassette, str]:
    """The cassette after a recording of `exchange`, and what saving it had to say."""
    path = folder / "test_x" / "test_y.yaml"
    header = Recorded(source="api", test=exchange.test)
    cassette = Cassette(
        path,
        mode=RecordMode.RECORD,
        redactor=lambda: redactor,
        clock=clock(),
        journal=Journal(folder, cassette=path, recorded=header, redactor=lambda: redactor),
    )
    assert cassette.answer(exchange.request, exchange.lane) is None
    recording = cassette.recording(exchange.request, exchange.lane)
    recording.answer(exchange.status, exchange.headers)
    for chunk in exchange.chunks:
        recording.chunk(chunk)
    recording.read_whole()
    kept = shown_of_files(folder)
    said = ""
    try:
        cassette.save(header, writer=partial(write, redactor=redactor))
    except SecretLeakError as error:
        assert not path.exists()
        said = f"{error} {error!r} {vars(error)}"
    cassette.close()
    return cassette, kept + said


def shown_of_files(folder: Path) -> str:
    return "".join(
        f"{path.name}\n{path.read_bytes().decode('latin-1')}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def shown_of_turns(cassette: Cassette) -> bytes:
    """All that a test can say of what was asked and answered."""
    texts = [repr(cassette.turns).encode()]
    for turn in cassette.turns:
        texts += [repr(turn.request.headers).encode(), turn.request.url.encode()]
        texts.append(turn.request.body)
        response = turn.interaction.response if turn.interaction is not None else None
        if response is not None:
            texts += [repr(response.headers).encode(), response.body]
            texts.append(b"".join(chunk.data for chunk in response.chunks))
    return b"\n".join(texts)


def check(secret: str, data: bytes | str) -> None:
    data = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
    assert not holds(data, secret)


@pytest.mark.slow
@pytest.mark.parametrize("secret", [KEY, VALUE], ids=["key", "value"])
@given(data=st.data())
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_a_secret_reaches_neither_files_nor_turns_nor_errors(
    secret: str, data: st.DataObject
) -> None:
    exchange = data.draw(planted(secret))
    redactor = Redactor(SECRETS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cassette, said = recorded_by(exchange, folder, redactor)

        check(secret, said)
        for path in folder.rglob("*.yaml"):
            check(secret, path.read_bytes())
        check(secret, shown_of_files(folder).encode("latin-1"))
        check(secret, shown_of_turns(cassette))


@pytest.mark.slow
@pytest.mark.parametrize("secret", [KEY, VALUE], ids=["key", "value"])
@given(data=st.data())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_recorded_with_a_secret_replays_and_a_miss_does_not_tell_it(
    secret: str, data: st.DataObject
) -> None:
    exchange = data.draw(planted(secret))
    redactor = Redactor(SECRETS)
    with tempfile.TemporaryDirectory() as name:
        cassette, _ = recorded_by(exchange, Path(name), redactor)
        if exchange.may_refuse or not cassette.exists:
            return
        assert cassette.path is not None
        playing = Cassette(cassette.path, mode=RecordMode.REPLAY, redactor=lambda: redactor)

        assert playing.answer(exchange.request, exchange.lane) is not None

        other = replace(exchange.request, url=URL, body=exchange.request.body + b" ")
        with pytest.raises(CassetteMissError) as missed:
            playing.answer(replace(other, body=b"[" + other.body + b"]"), exchange.lane)
        miss = missed.value.miss
        check(secret, f"{missed.value}\n{miss!r}\n{playing.misses!r}\n{missed.value.args}")
        check(secret, miss.request.body)
        check(secret, repr(load(cassette.path)))


@given(spelled=spellings(), boundaries=st.tuples(*[st.text("0123456789abcdef", min_size=16)] * 2))
@settings(deadline=None, max_examples=40)
def test_an_upload_with_a_secret_replays_with_another_boundary(
    spelled: Spelling, boundaries: tuple[str, str]
) -> None:
    redactor = Redactor(SECRETS)
    recorded, asked = (upload(spelled(VALUE), boundary) for boundary in boundaries)
    file = CassetteFile(interactions=(redactor.interaction(interaction(recorded)),))
    cassette = Cassette(
        Path(__file__),
        mode=RecordMode.REPLAY,
        loader=lambda _: file,
        redactor=lambda: redactor,
    )

    assert cassette.answer(interaction(asked).request, None) is not None
    (turn,) = cassette.turns
    assert turn.request.body.count(boundaries[1].encode()) == 2
    check(VALUE, turn.request.body)


def upload(text: str, boundary: str) -> bytes:
    """A form with a file, as clients send it."""
    head = 'content-disposition: form-data; name="file"; filename="a.txt"'
    return f"--{boundary}\r\n{head}\r\n\r\n{text}\r\n--{boundary}--\r\n".encode()


def test_a_miss_tells_nothing_of_what_another_recorder_kept() -> None:
    asked = {"messages": [{"role": "user", "content": "log in with c4nary/Pass now"}]}
    kept = {"messages": [{"role": "user", "content": f"log in with {VALUE} now, or {KEY}"}]}
    file = CassetteFile(interactions=(interaction(kept),), container="vcrpy")
    cassette = Cassette(
        Path(__file__),
        mode=RecordMode.REPLAY,
        loader=lambda _: file,
        command=lambda _: f"pytest 'test_x.py::test_y[{KEY}]'",
        redactor=lambda: Redactor(SECRETS),
    )

    with pytest.raises(CassetteMissError) as missed:
        cassette.answer(interaction(asked).request, Lane(f"executor/{VALUE}"))

    said = f"{missed.value}\n{missed.value.miss!r}\n{cassette.turns!r}"
    assert "[-<redacted:DB_PASSWORD>-]" in said
    assert "executor/<redacted:DB_PASSWORD>" in said
    for part in (KEY, VALUE, "wörd", "0123456789"):
        assert part not in said
