"""Hypothesis strategies for what this project knows: work, events, the Messages API, cassettes.

Needs hypothesis, an extra of this distribution. Every strategy makes small values by
default, filters nothing away, and says what it never makes and towards what it shrinks.
State machines whose rules are async are in `pytest_mnemosyne.strategies.stateful`.
"""

from __future__ import annotations

from pytest_mnemosyne.strategies._errors import MissingHypothesisError, UnsupportedSchemaError

try:
    import hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingHypothesisError(reason=str(error)) from error

from pytest_mnemosyne.strategies._answers import error_answers, messages_answers
from pytest_mnemosyne.strategies._cassettes import cassettes, interactions
from pytest_mnemosyne.strategies._events import events, facts
from pytest_mnemosyne.strategies._faults import fault_plans
from pytest_mnemosyne.strategies._graphs import (
    cyclic_work_graphs,
    dangling_work_graphs,
    work_graphs,
)
from pytest_mnemosyne.strategies._histories import event_streams
from pytest_mnemosyne.strategies._json import json_values
from pytest_mnemosyne.strategies._requests import messages_requests
from pytest_mnemosyne.strategies._schemas import from_schema, json_schemas
from pytest_mnemosyne.strategies._sse import StreamedMessage, sse_streams
from pytest_mnemosyne.strategies._tapes import schedule_tapes
from pytest_mnemosyne.strategies._work import (
    failures,
    invalid_work_items,
    usages,
    verdicts,
    work_items,
    work_results,
)

__all__ = [
    "MissingHypothesisError",
    "StreamedMessage",
    "UnsupportedSchemaError",
    "cassettes",
    "cyclic_work_graphs",
    "dangling_work_graphs",
    "error_answers",
    "event_streams",
    "events",
    "facts",
    "failures",
    "fault_plans",
    "from_schema",
    "interactions",
    "invalid_work_items",
    "json_schemas",
    "json_values",
    "messages_answers",
    "messages_requests",
    "schedule_tapes",
    "sse_streams",
    "usages",
    "verdicts",
    "work_graphs",
    "work_items",
    "work_results",
]
