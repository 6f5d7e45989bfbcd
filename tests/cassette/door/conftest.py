"""Doors and cassettes for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_mnemosyne.cassette import Cassette, Door, RecordMode, Upstream

Open = Callable[..., Cassette]


@pytest.fixture
def door() -> Iterator[Callable[..., Door]]:
    """A factory of installed doors, uninstalled at the end."""
    with ExitStack() as stack:

        def install(mode: RecordMode, upstream: str | None = None, **more: object) -> Door:
            made = Door(mode=mode, upstream=Upstream(upstream) if upstream else None, **more)  # type: ignore[arg-type]
            made.install()
            stack.callback(made.uninstall)
            return made

        yield install


@pytest.fixture
def opened(door: Callable[..., Door], tmp_path: Path) -> Iterator[Open]:
    """A factory of cassettes that are playing; all share one file."""
    with ExitStack() as stack:

        def open_cassette(
            mode: RecordMode, upstream: str | None = None, **more: object
        ) -> Cassette:
            stack.close()
            cassette = Cassette(tmp_path / "calls.yaml", mode=mode, **more)  # type: ignore[arg-type]
            return stack.enter_context(door(mode, upstream).playing(cassette))

        yield open_cassette
