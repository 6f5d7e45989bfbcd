from __future__ import annotations

import pytest

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette import RecordMode
from pytest_mnemosyne.plugin._modes import (
    MODES,
    Mode,
    checked_upstream,
    found_key,
    refuse_unusable,
    resolve,
)


def test_the_words_for_modes_are_those_of_the_cassettes() -> None:
    assert tuple(RecordMode) == MODES


@pytest.mark.parametrize("name", MODES)
def test_a_mode_forwards_and_writes_as_the_cassettes_have_it(name: str) -> None:
    mode = Mode(name, "a test")

    assert (mode.forwards, mode.writes) == (RecordMode(name).forwards, RecordMode(name).writes)


@pytest.mark.parametrize(
    ("option", "variable", "ini", "name"),
    [
        pytest.param("live", "record", "rerecord", "live", id="option-wins"),
        pytest.param(None, "record", "rerecord", "record", id="environment-before-ini"),
        pytest.param(None, None, "rerecord", "rerecord", id="ini-before-default"),
        pytest.param(None, None, None, "replay", id="default"),
        pytest.param("", "", "", "replay", id="empty-is-unset"),
        pytest.param(None, " Record ", None, "record", id="case-and-space-do-not-matter"),
    ],
)
def test_the_strongest_source_names_the_mode(
    option: str | None, variable: str | None, ini: str | None, name: str
) -> None:
    assert resolve(option=option, variable=variable, ini=ini).name == name


@pytest.mark.parametrize(
    ("sources", "blamed"),
    [
        pytest.param({"option": "relive"}, "option --mnemosyne-mode", id="option"),
        pytest.param({"variable": "relive"}, "environment variable MNEMOSYNE_MODE", id="variable"),
        pytest.param({"ini": "relive"}, "ini setting mnemosyne_mode", id="ini"),
    ],
)
def test_a_wrong_mode_names_its_source_and_the_legal_ones(
    sources: dict[str, str], blamed: str
) -> None:
    given: dict[str, str | None] = {"option": None, "variable": None, "ini": None, **sources}

    with pytest.raises(UsageError, match=f"{blamed} says 'relive'.*replay, record, rerecord, live"):
        resolve(**given)


@pytest.mark.parametrize(
    ("given", "upstream"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param("scripted", "scripted", id="scripted"),
        pytest.param("http://127.0.0.1:8080/", "http://127.0.0.1:8080", id="url"),
        pytest.param("https://proxy.test/claude", "https://proxy.test/claude", id="with-a-path"),
    ],
)
def test_an_upstream_is_scripted_or_a_base_url(given: str | None, upstream: str | None) -> None:
    assert checked_upstream(given) == upstream


@pytest.mark.parametrize(
    "given", ["script", "ftp://host", "http://", "http://host:port", "http://host/?q=1", "host:80"]
)
def test_anything_else_is_no_upstream(given: str) -> None:
    with pytest.raises(UsageError, match="'scripted' or a base URL"):
        checked_upstream(given)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        pytest.param({"ANTHROPIC_API_KEY": "k"}, "ANTHROPIC_API_KEY", id="api-key"),
        pytest.param({"ANTHROPIC_AUTH_TOKEN": "t"}, "ANTHROPIC_AUTH_TOKEN", id="auth-token"),
        pytest.param({"ANTHROPIC_API_KEY": ""}, None, id="empty"),
        pytest.param({}, None, id="none"),
    ],
)
def test_a_key_is_looked_for_in_two_variables(environ: dict[str, str], name: str | None) -> None:
    assert found_key(environ) == name


_ALLOWED = {
    # mode, upstream, allow_live, on_ci, has_key
    "replay-needs-nothing": ("replay", None, False, True, False),
    "record-with-a-key": ("record", None, False, False, True),
    "record-from-a-script-anywhere": ("record", "scripted", False, True, False),
    "record-from-a-url-without-a-key": ("record", "http://127.0.0.1:1", False, False, False),
    "live-on-ci-when-allowed": ("live", None, True, True, True),
}
_REFUSED = {
    "record-without-a-key": ("record", None, False, False, False, "ANTHROPIC_API_KEY"),
    "live-on-ci": ("live", None, False, True, True, "--mnemosyne-allow-live"),
    "url-on-ci": ("rerecord", "http://127.0.0.1:1", False, True, True, "--mnemosyne-allow-live"),
    "allowed-on-ci-without-a-key": ("live", None, True, True, False, "ANTHROPIC_AUTH_TOKEN"),
}


@pytest.mark.parametrize("case", _ALLOWED.values(), ids=_ALLOWED)
def test_a_run_that_can_work_is_let_through(
    case: tuple[str, str | None, bool, bool, bool],
) -> None:
    name, upstream, allow_live, on_ci, has_key = case
    mode = Mode(name, "the option")

    refuse_unusable(
        mode,
        upstream=upstream,
        allow_live=allow_live,
        on_ci=on_ci,
        has_key=has_key,
        has_server=upstream == "scripted",
    )


@pytest.mark.parametrize("case", _REFUSED.values(), ids=_REFUSED)
def test_a_run_that_cannot_work_is_stopped_with_what_to_do(
    case: tuple[str, str | None, bool, bool, bool, str],
) -> None:
    name, upstream, allow_live, on_ci, has_key, advice = case
    mode = Mode(name, "the option")

    with pytest.raises(UsageError, match=f"the option asks for mode {name!r}.*{advice}"):
        refuse_unusable(
            mode,
            upstream=upstream,
            allow_live=allow_live,
            on_ci=on_ci,
            has_key=has_key,
            has_server=True,
        )


def test_a_script_without_the_server_that_plays_it_is_refused_with_what_to_install() -> None:
    with pytest.raises(UsageError, match=r"needs uvicorn.*pip install 'pytest-mnemosyne\[scripted"):
        refuse_unusable(
            Mode("record", "the option"),
            upstream="scripted",
            allow_live=False,
            on_ci=False,
            has_key=True,
            has_server=False,
        )
