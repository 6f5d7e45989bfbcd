"""What the numbers and texts of a fault plan have to be."""

from __future__ import annotations

import math
from typing import cast

from pytest_mnemosyne.simulation.faults._errors import FaultPlanError


def check_count(name: str, value: object) -> None:
    """A whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FaultPlanError(f"{name} is a whole number from 1 on, got {value!r}")


def check_number(name: str, value: object, *, unit: str) -> None:
    """A finite number from 0 on."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (math.isfinite(value) and value >= 0)
    ):
        raise FaultPlanError(f"{name} is a number of {unit} from 0 on, got {value!r}")


def check_range_s(by_s: object, up_to_s: object) -> None:
    """Seconds, or a range of them with `up_to_s` as its end."""
    check_number("by_s", by_s, unit="seconds")
    if up_to_s is None:
        return
    check_number("up_to_s", up_to_s, unit="seconds")
    if cast("float", up_to_s) < cast("float", by_s):
        raise FaultPlanError(f"up_to_s={up_to_s!r} is less than by_s={by_s!r}; swap the two")


def check_text(name: str, value: object) -> None:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise FaultPlanError(f"{name} is a text that is not empty, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise FaultPlanError(f"{name} has no UTF-8 form ({error.reason}): {value!r}") from error


def check_bool(name: str, value: object) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise FaultPlanError(f"{name} is True or False, got {value!r}")
