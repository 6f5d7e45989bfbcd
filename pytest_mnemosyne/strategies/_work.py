"""Work items, and what can come of an attempt at one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mnemosyne_core.errors import UsageError
from mnemosyne_core.work import (
    AgentRole,
    Decision,
    Failure,
    Gate,
    Namespace,
    Phase,
    Usage,
    Verdict,
    WorkItem,
    WorkResult,
)
from pytest_mnemosyne.strategies._json import json_objects, json_values
from pytest_mnemosyne.strategies._texts import (
    api_ids,
    counts,
    durations_s,
    item_ids,
    texts,
    tool_names,
)

# --- items -----------------------------------------------------------------------------


def work_items(**fields: object) -> SearchStrategy[WorkItem]:
    """Work items with every field legal.

    Dependencies name items that need not exist; pin `dependencies=()` for items that stand
    alone, or take `work_graphs` for items that know each other. Never an item that depends on
    itself, unless that was asked for. Shrinks to an item with the id and description `0` and
    the defaults of `WorkItem` for everything else.

    Args:
        **fields: Fields of `WorkItem`: a value pins one, a strategy narrows it.

    Raises:
        UsageError: There is no such field.
        InvalidWorkItemError: When an example is made, if what was given is not legal.
    """
    given = given_fields(fields, WorkItem.model_fields)
    free = {name: legal for name, legal in _item_fields().items() if name not in given}
    required = {name: free.pop(name) for name in ("id", "description") if name in free}
    items = st.fixed_dictionaries(required | given, optional=free)
    return items.map(_not_on_itself if "dependencies" in free else dict).map(WorkItem.parse)


def given_fields(
    fields: Mapping[str, object], known: Mapping[str, object]
) -> dict[str, SearchStrategy[Any]]:
    """What a caller said about fields, each as a strategy."""
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise UsageError(f"no field is called {', '.join(unknown)}; there are {', '.join(known)}")
    return {
        name: value if isinstance(value, SearchStrategy) else st.just(value)
        for name, value in fields.items()
    }


@cache
def _item_fields() -> dict[str, SearchStrategy[Any]]:
    return {
        "id": item_ids(),
        "description": texts(),
        "role": st.sampled_from(AgentRole),
        "phase": st.sampled_from(Phase),
        "priority": st.integers(0, 10),
        "dependencies": st.lists(item_ids(), max_size=3, unique=True).map(tuple),
        "timeout_s": st.none() | durations_s().map(lambda passed_s: passed_s + 0.0001),
        "requirements": st.lists(texts(), max_size=3).map(tuple),
        "max_attempts": st.integers(1, 9),
        "review": st.booleans(),
        "namespace": namespaces(),
        "context": json_objects(),
    }


def _not_on_itself(fields: dict[str, Any]) -> dict[str, Any]:
    if "dependencies" not in fields:
        return fields
    others = tuple(name for name in fields["dependencies"] if name != fields["id"])
    return fields | {"dependencies": others}


def namespaces() -> SearchStrategy[Namespace]:
    """Namespaces of all three widths. Shrinks to the global one."""
    return st.one_of(
        st.just(Namespace()),
        st.builds(Namespace, project=texts()),
        st.builds(Namespace, project=texts(), session=texts()),
    )


def invalid_work_items() -> SearchStrategy[tuple[dict[str, Any], str]]:
    """Mappings that `WorkItem.parse` refuses, each with the one field that is at fault.

    The field is called as `InvalidWorkItemError.problems` calls it, without what stands after
    a dot: `value` where fields contradict each other or the context is too deep. Everything
    else about the mapping is legal, so it is refused for this alone. Shrinks to a mapping that
    lacks its id.
    """
    return st.one_of(
        *(
            st.builds(_spoilt, _legal_fields(), st.just(name), wrong)
            for name, wrong in _wrong_values().items()
        ),
        _legal_fields().map(_depending_on_itself),
        _legal_fields().map(lambda fields: (fields | {"dependencies": ["a", "b", "a"]}, "value")),
        _legal_fields().map(lambda fields: (fields | {"context": _tower(101)}, "value")),
    )


_ABSENT = object()
"""Stands for a field that is left out."""


def _legal_fields() -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"id": item_ids(), "description": texts()})


def _wrong_values() -> dict[str, SearchStrategy[object]]:
    """For each field, values that it cannot have."""
    blank = st.sampled_from(("", " ", "\t\n"))
    no_text: SearchStrategy[object] = st.sampled_from((None, 0, []))
    no_number = st.sampled_from((math.nan, math.inf, "soon", []))
    bad_id = st.sampled_from(("", " ", "a b", "-a", ".a", "é", "a/b", "a\n")) | st.just("a" * 201)
    return {
        "id": st.just(_ABSENT) | bad_id | no_text,
        "description": st.just(_ABSENT) | blank | no_text,
        "role": st.sampled_from(("", "manager", "Executor")) | no_text,
        "phase": st.sampled_from(("", "done")) | no_text,
        "priority": st.integers(max_value=-1) | st.integers(min_value=11) | no_number,
        "dependencies": bad_id.map(lambda name: [name]) | st.just("a") | st.none(),
        "timeout_s": st.floats(max_value=0.0, allow_nan=False) | no_number,
        "requirements": blank.map(lambda text: [text]) | st.just("all") | st.none(),
        "max_attempts": st.integers(max_value=0) | no_number,
        "review": st.none() | st.just("perhaps") | st.just([]),
        "namespace": st.none() | st.just({"session": "s"}) | st.just("global"),
        "context": st.none() | st.just([]) | st.sampled_from(({"a": math.nan}, {"a": {1}})),
        "colour": json_values(),
    }


def _spoilt(fields: dict[str, Any], name: str, wrong: object) -> tuple[dict[str, Any], str]:
    rest = {known: value for known, value in fields.items() if known != name}
    return (rest if wrong is _ABSENT else rest | {name: wrong}), name


def _depending_on_itself(fields: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return fields | {"dependencies": [fields["id"]]}, "value"


def _tower(levels: int) -> dict[str, Any]:
    tower: dict[str, Any] = {}
    for _ in range(levels):
        tower = {"a": tower}
    return tower


# --- results ---------------------------------------------------------------------------


def work_results(**fields: object) -> SearchStrategy[WorkResult]:
    """Results of an attempt: successes without an error, failures with one.

    Shrinks to a failure of the first attempt at item `0`.

    Args:
        **fields: Fields of `WorkResult`: a value pins one, a strategy narrows it. Where
            `success` and `error` are both left open they fit each other; an `error` alone is
            that of a failure, and dropped from a success.

    Raises:
        UsageError: There is no such field.
    """
    legal: dict[str, SearchStrategy[Any]] = {
        "item_id": item_ids(),
        "attempt": st.integers(1, 9),
        "success": st.booleans(),
        "data": json_values(max_leaves=4),
        "error": failures(),
        "duration_s": durations_s(),
        "memory_ids": st.lists(api_ids("memory"), max_size=2, unique=True).map(tuple),
        "usage": usages(),
        "metrics": st.dictionaries(tool_names(), counts().map(float), max_size=2),
    }
    given = given_fields(fields, WorkResult.model_fields)
    always = {name: legal[name] for name in ("item_id", "success", "error")}
    rest = {name: each for name, each in legal.items() if name not in always | given}
    results = st.fixed_dictionaries(always | given, optional=rest)
    return results.map(_error_only_if_failed).map(WorkResult.model_validate)


def _error_only_if_failed(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"error": None} if fields["success"] else fields


def failures() -> SearchStrategy[Failure]:
    """Errors as data, of this project and of agents. Shrinks to a crash."""
    codes = ("crash", "work_timeout", "claude_status", "iteration_limit", "agent_unavailable")
    return st.builds(
        Failure,
        code=st.sampled_from(codes),
        message=st.text(max_size=12),
        retryable=st.booleans(),
    )


def usages() -> SearchStrategy[Usage]:
    """Counts of tokens. Shrinks to none."""
    return st.builds(
        Usage,
        input_tokens=counts(),
        output_tokens=counts(),
        cache_creation_input_tokens=counts(),
        cache_read_input_tokens=counts(),
    )


def verdicts(**fields: object) -> SearchStrategy[Verdict]:
    """Judgements that mean what they say.

    Never an approval with a gate that fails, nor a refusal without an issue. Shrinks to an
    approval without gates.

    Args:
        **fields: Fields of `Verdict`: a value pins one, a strategy narrows it. What was given
            is not made to fit: pin `gates` only together with a decision that they allow.

    Raises:
        UsageError: There is no such field.
    """
    given = given_fields(fields, Verdict.model_fields)
    decisions = given.pop("decision", st.sampled_from(Decision))
    by_decision = {
        decision: st.builds(
            Verdict, decision=st.just(decision), **(_verdict_fields(decision) | given)
        )
        for decision in Decision
    }
    return decisions.flatmap(by_decision.__getitem__)


def _verdict_fields(decision: Decision) -> dict[str, SearchStrategy[Any]]:
    approved = decision is Decision.APPROVE
    holds = st.just(True) if approved else st.booleans()
    return {
        "gates": st.dictionaries(st.sampled_from(Gate), holds, max_size=len(Gate)),
        "confidence": st.sampled_from((0.0, 0.5, 0.9, 1.0)),
        "issues": st.lists(texts(), min_size=0 if approved else 1, max_size=3).map(tuple),
        "suggested_tests": st.lists(texts(), max_size=2).map(tuple),
    }
