"""Errors that cross a pipe."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from mnemosyne_core.bridge._crossing import ErrorData
from mnemosyne_core.errors import (
    Abort,
    BridgeSpawnError,
    ClaudeRequestError,
    EnvelopeError,
    MissingKeyError,
    MnemosyneError,
    RemoteError,
    WorkTimeoutError,
)


def crossed(error: BaseException, *, with_trace: bool = False) -> BaseException:
    data = ErrorData.of(error, with_trace=with_trace)
    return ErrorData.model_validate_json(data.model_dump_json()).to_exception()


class LocalAbort(Abort):
    def __init__(self, *, lane: str) -> None:
        self.lane = lane
        super().__init__(f"nothing was recorded for {lane}")


@pytest.mark.parametrize(
    "error",
    [
        MissingKeyError(looked_in=("here", "there")),
        EnvelopeError(problems=(("seq", "missing"), ("agent", "missing"))),
        ClaudeRequestError(status=400, error_type="invalid", message="no", retry_after_s=2.5),
        WorkTimeoutError(item_id="work-1", timeout_s=0.1),
        BridgeSpawnError(role="executor", missing="it", hint="find it", may_pass=False),
        LocalAbort(lane="executor"),
    ],
)
def test_an_error_of_ours_arrives_as_itself(error: BaseException) -> None:
    found = crossed(error)

    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)


def test_an_error_of_the_system_keeps_what_is_missing() -> None:
    with pytest.raises(OSError) as caught:
        Path("/does/not/exist").stat()
    found = crossed(caught.value)

    assert type(found) is FileNotFoundError
    assert str(found) == str(caught.value)
    assert found.filename == "/does/not/exist"


def test_a_missing_module_keeps_its_name() -> None:
    found = crossed(ModuleNotFoundError("No module named 'x'", name="x"))

    assert isinstance(found, ModuleNotFoundError)
    assert (str(found), found.name) == ("No module named 'x'", "x")


class PickyImportError(ImportError):
    def __init__(self, *, package: str) -> None:
        super().__init__(f"{package} is not installed", name=package)


def test_a_missing_package_is_told_without_calling_its_constructor() -> None:
    found = crossed(PickyImportError(package="gone"))

    assert isinstance(found, PickyImportError)
    assert (str(found), found.name) == ("gone is not installed", "gone")


@pytest.mark.parametrize("error", [ValueError("no such value"), KeyError("a"), SystemExit(3)])
def test_any_other_error_is_told_of(error: BaseException) -> None:
    found = crossed(error)

    assert isinstance(found, RemoteError)
    assert (found.kind, found.problem) == (type(error).__qualname__, str(error))


def test_an_error_that_is_defined_inside_a_function_is_told_of_by_its_full_name() -> None:
    class HiddenError(MnemosyneError):
        pass

    found = crossed(HiddenError("out of sight"))

    assert isinstance(found, RemoteError)
    assert found.kind.endswith("HiddenError")


def test_an_abort_that_is_unknown_here_is_an_abort_all_the_same() -> None:
    data = ErrorData(kind="elsewhere:Miss", code="crash", message="a miss", is_abort=True)
    found = data.to_exception()

    assert type(found) is Abort
    assert str(found) == "a miss"


@pytest.mark.parametrize(
    "kind", ["os:system", "builtins:ValueError", "nowhere:It", "", "builtins:"]
)
def test_a_name_out_of_the_pipe_chooses_among_errors_and_nothing_else(kind: str) -> None:
    found = ErrorData(kind=kind, code="crash", message="hello").to_exception()

    assert type(found) is RemoteError


def test_what_cannot_be_written_down_crosses_in_words() -> None:
    class OddError(MnemosyneError):
        pass

    error = OddError("bytes \udcff")
    error.thing = object  # type: ignore[attr-defined]
    error.ratio = float("nan")  # type: ignore[attr-defined]
    data = ErrorData.of(error)

    assert data.message == "bytes \\udcff"
    assert data.attributes == {"thing": "<class 'object'>", "ratio": "nan"}


class SpeechlessAbort(Abort):
    def __str__(self) -> str:
        raise ValueError("not even this")


def test_an_error_that_cannot_say_what_happened_crosses_all_the_same() -> None:
    error = SpeechlessAbort()
    circle: list[object] = []
    circle.append(circle)
    error.circle = circle  # type: ignore[attr-defined]
    error.raw = b"\xff"  # type: ignore[attr-defined]
    data = ErrorData.of(error, with_trace=True)

    assert data.message == "it cannot say what happened (ValueError)"
    assert data.attributes == {"circle": "<list>", "raw": "<bytes>"}
    assert data.is_abort


def test_a_name_out_of_the_pipe_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise AssertionError("it was asked for what it would have to import")

    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))

    assert type(ErrorData(kind="lazy:It", code="x", message="").to_exception()) is RemoteError


def test_the_traceback_comes_along_as_a_note() -> None:
    def somewhere_else() -> None:
        raise MissingKeyError(looked_in=("here",))

    with pytest.raises(MissingKeyError) as caught:
        somewhere_else()
    found = crossed(caught.value, with_trace=True)

    (note,) = found.__notes__
    assert note.startswith("raised in another process:\nTraceback")
    assert "in somewhere_else" in note
