from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mnemosyne_core.cli import _app, make_app
from mnemosyne_core.errors import PluginError, StorageError
from mnemosyne_core.hooks import hookimpl


class Plugin:
    """Adds commands that end in each way that a command can end."""

    @hookimpl
    def mnemosyne_commands(self, app: typer.Typer) -> None:
        @app.command()
        def greet(name: str) -> None:
            typer.echo(f"hello {name}")

        @app.command()
        def fail() -> None:
            raise StorageError(path="x.db", reason="it is on fire")

        @app.command()
        def stop() -> None:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [
        pytest.param(["greet", "world"], 0, "hello world\n", id="done"),
        pytest.param(["fail"], 1, "mnemosyne: database x.db: it is on fire\n", id="failed"),
        pytest.param(
            ["stop"], 130, "mnemosyne: interrupted; what was stored so far is kept\n", id="ctrl-c"
        ),
    ],
)
def test_a_plug_ins_command_ends_like_our_own(
    arguments: list[str], code: int, printed: str
) -> None:
    ran = CliRunner().invoke(make_app([Plugin()], load_entry_points=False), arguments)

    assert (ran.exit_code, ran.output) == (code, printed)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(["nonsense"], "nonsense", id="unknown-command"),
        pytest.param(["doctor", "--nonsense"], "--nonsense", id="unknown-option"),
        pytest.param(["run"], "description", id="missing-argument"),
        pytest.param(["run", "x", "--timeout", "0"], "--timeout", id="value-out-of-range"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_the_mistake(arguments: list[str], named: str) -> None:
    ran = CliRunner().invoke(make_app(load_entry_points=False), arguments)

    assert ran.exit_code == 2
    assert named in ran.output.lower()
    assert "Traceback" not in ran.output


def test_a_plug_in_that_does_not_fit_the_hook_is_refused() -> None:
    class Misfit:
        @hookimpl
        def mnemosyne_commands(self, application: typer.Typer) -> None: ...

    with pytest.raises(PluginError, match="application"):
        make_app([Misfit()], load_entry_points=False)


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("mnemosyne")

    ran = subprocess.run([command, "version"], capture_output=True, text=True, timeout=60)

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_a_real_process_with_130_and_one_line() -> None:
    program = (
        "import signal, sys, typer\n"
        "from mnemosyne_core.cli import make_app\n"
        "app = make_app(load_entry_points=False)\n"
        "@app.command()\n"
        "def wait() -> None:\n"
        "    typer.echo('ready')\n"
        "    sys.stdout.flush()\n"
        "    signal.pause()\n"
        "app(['wait'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert errors == "mnemosyne: interrupted; what was stored so far is kept\n"


def test_a_program_that_is_interrupted_before_it_has_begun_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> typer.Typer:
        raise KeyboardInterrupt

    monkeypatch.setattr(_app, "make_app", interrupt)
    with pytest.raises(SystemExit) as caught:
        _app.main()

    assert caught.value.code == 130
    assert capsys.readouterr().err == "mnemosyne: interrupted\n"
