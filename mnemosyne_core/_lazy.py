"""Package fronts that import a name's module when the name is first used (PEP 562).

The plug-in is loaded by every pytest run of whoever has it installed, and it lives
below two package fronts. A front that imported what it re-exports would bring pydantic
and the Claude SDK into runs that never use them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def loader(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package front.

    Args:
        package: The front's `__name__`.
        modules: The module that each public name comes from.
    """

    def load(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(modules[name]), name)
        # Found in the package from now on, so this runs once for each name.
        setattr(sys.modules[package], name, value)
        return value

    return load
