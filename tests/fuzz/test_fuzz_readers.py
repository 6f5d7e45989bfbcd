"""The target of the fuzzer works; how long it runs is up to whoever starts it by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("fuzz_readers.py")


@pytest.mark.slow
def test_some_seconds_of_fuzzing_crash_no_reader(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="the fuzzer is not installed (pip install atheris)")

    run = subprocess.run(
        [sys.executable, str(TARGET), "-max_total_time=5", "corpus"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == 0, run.stderr.decode(errors="replace")[-2000:]
    assert b"Done " in run.stderr
