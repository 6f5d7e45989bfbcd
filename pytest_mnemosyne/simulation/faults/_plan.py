"""A plan of faults: what goes wrong, when, for whom.

A plan is written in one line that a person can read and a program can read back, in
the very words that the builder has as methods:

    status(429, retry_after=3, agent='executor', call=2); drop(stream_event=5)

Such a line is the plan: what failed under it fails again under the plan parsed from it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Unpack

from pytest_mnemosyne.simulation.faults._actor import ACTOR_FAULTS
from pytest_mnemosyne.simulation.faults._address import (
    ANYWHERE,
    Address,
    WhereOnTheWay,
)
from pytest_mnemosyne.simulation.faults._checks import check_bool, check_count, check_number
from pytest_mnemosyne.simulation.faults._errors import FaultPlanError
from pytest_mnemosyne.simulation.faults._fault import Fault, Place
from pytest_mnemosyne.simulation.faults._mailbox import BUS_FAULTS, MAILBOX_FAULTS
from pytest_mnemosyne.simulation.faults._process import PROCESS_FAULTS
from pytest_mnemosyne.simulation.faults._provider import PROVIDER_FAULTS
from pytest_mnemosyne.simulation.faults._supervisor import SUPERVISOR_FAULTS

KINDS: dict[str, type[Fault]] = {
    kind.word: kind
    for kind in (
        *PROVIDER_FAULTS,
        *ACTOR_FAULTS,
        *SUPERVISOR_FAULTS,
        *MAILBOX_FAULTS,
        *BUS_FAULTS,
        *PROCESS_FAULTS,
    )
}
"""Every kind of fault, by its word."""

_ADDRESS_WORDS = frozenset(field.name for field in fields(Address))


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault and where it strikes."""

    fault: Fault
    address: Address = ANYWHERE
    optional: bool = False
    """Whether it is fine if nothing ever meets it."""

    def __post_init__(self) -> None:
        check_bool("optional", self.optional)
        self.fault.check_address(self.address)

    @classmethod
    def of(cls, fault: Fault, **where: Unpack[WhereOnTheWay]) -> PlannedFault:
        """A fault, with its address in words."""
        # What is left of the words once `optional` is taken out are the address's own.
        given: dict[str, Any] = dict(where)
        optional = given.pop("optional", False)
        return cls(fault, Address(**given), optional)

    @property
    def must_be_met(self) -> bool:
        """Whether a test that never meets it does not test what its author thinks."""
        return self.address.is_certain and not self.optional

    def __str__(self) -> str:
        where = [
            f"{field.name}={getattr(self.address, field.name)!r}"
            for field in fields(Address)
            if getattr(self.address, field.name) != field.default
        ]
        if self.optional:
            where.append("optional=True")
        return f"{self.fault.word}({', '.join((*self.fault.arguments(), *where))})"


@dataclass(frozen=True, slots=True, repr=False)
class FaultPlan:
    """Faults in order of precedence: of those that fit a moment, the first one strikes."""

    faults: tuple[PlannedFault, ...] = ()

    @classmethod
    def of(cls, fault: Fault, **where: Unpack[WhereOnTheWay]) -> FaultPlan:
        """A plan of one fault, with its address in words."""
        return cls((PlannedFault.of(fault, **where),))

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read a plan that was written as text; line breaks will do for semicolons.

        Raises:
            FaultPlanError: It is no plan.
        """
        try:
            statements = ast.parse(text.strip()).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise FaultPlanError(f"not a fault plan ({error}): {text!r}") from error
        return cls(tuple(_planned(statement, text) for statement in statements))

    def at(self, place: Place) -> FaultPlan:
        """The part of the plan that concerns one place."""
        return FaultPlan(tuple(each for each in self if each.fault.place is place))

    def until(self, end_s: float) -> FaultPlan:
        """The plan whose faults all stop so many seconds after its first call."""
        check_number("end_s", end_s, unit="seconds")
        ends = [
            (each, end_s if each.address.before_s is None else min(end_s, each.address.before_s))
            for each in self
        ]
        return FaultPlan(
            tuple(
                replace(each, address=replace(each.address, before_s=before_s))
                for each, before_s in ends
                if before_s > each.address.after_s
            )
        )

    def at_most(self, count: int) -> FaultPlan:
        """The plan whose faults each strike so many times at most."""
        check_count("count", count)
        return FaultPlan(
            tuple(
                replace(each, address=replace(each.address, count=min(count, given or count)))
                for each in self
                for given in (each.address.count,)
            )
        )

    def __add__(self, other: FaultPlan) -> FaultPlan:
        if not isinstance(other, FaultPlan):
            return NotImplemented
        return FaultPlan((*self.faults, *other.faults))

    def __iter__(self) -> Iterator[PlannedFault]:
        return iter(self.faults)

    def __len__(self) -> int:
        return len(self.faults)

    def __str__(self) -> str:
        return "; ".join(map(str, self.faults))

    def __repr__(self) -> str:
        return f"FaultPlan.parse({str(self)!r})"


def _planned(statement: ast.stmt, text: str) -> PlannedFault:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id=word), args=args, keywords=keywords)):
            pass
        case _:
            raise FaultPlanError(
                f"a plan is a row of faults such as status(529, call=2); drop(stream_event=5), "
                f"got {ast.unparse(statement)!r} in {text!r}"
            )
    if word not in KINDS:
        raise FaultPlanError(f"no fault is called {word!r}; there are {', '.join(sorted(KINDS))}")
    kind = KINDS[word]
    given = [_literal(value, word) for value in args]
    named: dict[str, Any] = {}
    for keyword in keywords:
        if keyword.arg is None or keyword.arg in named:
            raise FaultPlanError(f"{word} takes each word once, got {ast.unparse(statement)}")
        named[keyword.arg] = _literal(keyword.value, word)
    own = {field.name for field in fields(kind)}
    where: Any = {
        name: named.pop(name)
        for name in tuple(named)
        # What is a fault's own word is not the address's: an error answer's message.
        if name in (_ADDRESS_WORDS | {"optional"}) - own
    }
    try:
        fault = kind(*given, **named)
    except TypeError as error:
        taken = [field.name for field in fields(kind)]
        raise FaultPlanError(
            f"{word} takes {', '.join(taken) or 'nothing'} and an address "
            f"({', '.join(sorted(_ADDRESS_WORDS))}), got {ast.unparse(statement)}"
        ) from error
    return PlannedFault.of(fault, **where)


def _literal(value: ast.expr, word: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise FaultPlanError(
            f"{word} takes texts, numbers, True, False and None, got {ast.unparse(value)}"
        ) from error
