from __future__ import annotations

import json
import sys
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest

from tests.core.cli.conftest import Mnemosyne

SECRET = "not-a-real-key-0123456789"


def check(mnemosyne: Mnemosyne, name: str) -> dict[str, str]:
    report = json.loads(mnemosyne("doctor", "--json").stdout)
    (found,) = [each for each in report["checks"] if each["name"] == name]
    return dict(found)


def test_a_whole_installation_is_healthy_and_ends_with_0(mnemosyne: Mnemosyne) -> None:
    ran = mnemosyne("doctor")

    assert ran.exit_code == 0, ran.output
    assert "all that is needed is here" in ran.output


def test_json_and_words_tell_of_the_same_checks(mnemosyne: Mnemosyne) -> None:
    report = json.loads(mnemosyne("doctor", "--json").stdout)
    words = mnemosyne("doctor").stdout

    assert report["ok"] is True
    assert [each["name"] for each in report["checks"] if each["name"] not in words] == []


@pytest.mark.parametrize("package", ["anthropic", "pytest", "vcrpy"])
def test_the_installed_version_of_each_dependency_is_shown(
    mnemosyne: Mnemosyne, package: str
) -> None:
    assert check(mnemosyne, package)["found"] == metadata.version(package)


def test_an_extra_is_named_with_what_it_needs(mnemosyne: Mnemosyne) -> None:
    assert check(mnemosyne, "hypothesis [hypothesis]")["status"] == "ok"


def test_a_package_that_several_extras_bring_is_told_once(
    mnemosyne: Mnemosyne, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = Message()
    for extra in ("all", "hypothesis", "scripted"):
        described["Provides-Extra"] = extra
    wanted = [f"{package}; extra == 'all'" for package in ("hypothesis", "uvicorn")]
    wanted += ["hypothesis; extra == 'hypothesis'", "uvicorn; extra == 'scripted'"]
    monkeypatch.setattr(metadata, "metadata", lambda _name: described)
    monkeypatch.setattr(metadata, "requires", lambda _name: wanted)

    report = json.loads(mnemosyne("doctor", "--json").stdout)

    extras = [each["name"] for each in report["checks"] if each["name"].endswith("]")]
    assert extras == ["hypothesis [hypothesis]", "uvicorn [scripted]"]


def test_a_missing_key_is_no_fault_and_says_where_it_was_looked_for(mnemosyne: Mnemosyne) -> None:
    key = check(mnemosyne, "key")

    assert key["status"] == "absent"
    assert "ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN" in key["found"]


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_key_is_located_but_never_printed(
    mnemosyne: Mnemosyne, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)

    ran = mnemosyne("doctor")

    assert f"found in {variable}" in ran.output
    assert SECRET not in ran.output


def test_a_missing_dependency_ends_with_1_and_says_how_to_get_it(
    mnemosyne: Mnemosyne, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = metadata.version

    def version_without_vcrpy(name: str) -> str:
        if name == "vcrpy":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "version", version_without_vcrpy)

    ran = mnemosyne("doctor")

    assert ran.exit_code == 1
    assert "pip install 'vcrpy>=9'" in ran.output
    assert "something needed is missing" in ran.output


def test_a_dependency_that_is_too_old_is_missing(
    mnemosyne: Mnemosyne, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "8.0.1" if name == "pytest" else installed(name)
    )

    found = check(mnemosyne, "pytest")

    assert (found["status"], found["found"]) == ("missing", "8.0.1, but pytest>=8.4 is needed")


def test_an_sdk_that_cannot_be_imported_is_missing(
    mnemosyne: Mnemosyne, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)

    assert check(mnemosyne, "key")["status"] == "missing"
    assert "pip install anthropic" in check(mnemosyne, "key")["advice"]


def test_a_data_folder_that_cannot_be_made_is_noted(
    mnemosyne: Mnemosyne, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", encoding="utf-8")
    monkeypatch.setattr(
        "mnemosyne_core.cli._places.platformdirs.user_data_path",
        lambda *_, **__: in_the_way / "mnemosyne",
    )

    assert "no folder that you can write to" in check(mnemosyne, "data folder")["found"]


def test_version_prints_the_distributions_version(mnemosyne: Mnemosyne) -> None:
    assert mnemosyne("version").stdout == f"{metadata.version('pytest-mnemosyne')}\n"
