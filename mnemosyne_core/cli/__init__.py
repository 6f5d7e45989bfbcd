"""The command line `mnemosyne`; other packages add commands by the hook `mnemosyne_commands`."""

from __future__ import annotations

from mnemosyne_core.cli._app import main, make_app

__all__ = ["main", "make_app"]
