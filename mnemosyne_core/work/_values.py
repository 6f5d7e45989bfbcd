"""What is worked on, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import Annotated, Self

from pydantic import (
    Field,
    FiniteFloat,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticSerializationError

from mnemosyne_core._value import Value
from mnemosyne_core.errors import (
    InvalidWorkItemError,
    MnemosyneError,
    Recovery,
    UnknownRoleError,
)
from mnemosyne_core.work._phase import Phase

_ID_CHARS = 200
_CONTEXT_DEPTH = 100
"""How deeply a context may be nested: parsers of JSON give up at 200, and it is wrapped."""

Id = Annotated[
    str, StringConstraints(min_length=1, max_length=_ID_CHARS, pattern=r"^[A-Za-z0-9][\w.:-]*$")
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class AgentRole(StrEnum):
    """The four agents of a tree."""

    ORCHESTRATOR = "orchestrator"
    OPTIMIZER = "optimizer"
    REVIEWER = "reviewer"
    EXECUTOR = "executor"

    @classmethod
    def parse(cls, role: AgentRole | str) -> AgentRole:
        """The role of that name, in any case.

        Raises:
            UnknownRoleError: There is none.
        """
        try:
            return cls(role.lower())
        except (ValueError, AttributeError):
            raise UnknownRoleError(given=role, known=tuple(cls)) from None


class Namespace(Value):
    """Whose memories and items these are: everybody's, a project's, a session's."""

    project: Text | None = None
    """Absent for what belongs to everybody."""

    session: Text | None = None
    """Absent for what belongs to the whole project."""

    @model_validator(mode="after")
    def _session_has_a_project(self) -> Self:
        if self.session is not None and self.project is None:
            raise ValueError("a session belongs to a project; name the project too")
        return self

    def __str__(self) -> str:
        if self.project is None:
            return "global"
        if self.session is None:
            return f"project:{self.project}"
        return f"session:{self.project}:{self.session}"


class WorkItem(Value):
    """One piece of work for one agent."""

    id: Id
    """Unique within the tree."""

    description: Text
    """What is to be done, in words for the agent."""

    role: AgentRole = AgentRole.EXECUTOR
    """Whose work it is."""

    phase: Phase = Phase.PLAN_TO_ARTIFACTS
    """The phase of the project that it belongs to."""

    priority: int = Field(default=5, ge=0, le=10)
    """10 goes first, 0 last; equal priorities go in order of submission."""

    dependencies: tuple[Id, ...] = ()
    """Items that must be completed before this one starts; submitted before it."""

    timeout_s: PositiveFloat | None = None
    """Bound on one attempt, in seconds; absent: the tree's default."""

    requirements: tuple[Text, ...] = ()
    """What the result must satisfy; the reviewer checks each."""

    max_attempts: PositiveInt = 3
    """How often it is tried, counting the first time, before it fails."""

    review: bool = True
    """Whether a reviewer judges the result before the item is complete."""

    namespace: Namespace = Namespace()
    """Where the memories belong that come of it."""

    context: dict[str, JsonValue] = Field(default_factory=dict)
    """Whatever else the agent should know, as JSON."""

    @model_validator(mode="after")
    def _dependencies_make_sense(self) -> Self:
        if self.id in self.dependencies:
            raise ValueError(f"{self.id!r} depends on itself")
        if len(set(self.dependencies)) != len(self.dependencies):
            raise ValueError("the same dependency is named twice")
        return self

    @model_validator(mode="after")
    def _context_can_be_kept(self) -> Self:
        if _is_deeper_than(_CONTEXT_DEPTH, self.context):
            raise ValueError(f"context is nested deeper than {_CONTEXT_DEPTH} levels")
        return self

    @property
    def wants_review(self) -> bool:
        """Whether its result is judged before it is complete; a review itself is not."""
        return self.review and self.role is not AgentRole.REVIEWER

    @classmethod
    def parse(cls, given: object, *, mint_id: str | None = None) -> WorkItem:
        """A work item from what a caller handed over, checked anew whatever it is.

        What is accepted here can be stored and read back.

        Args:
            given: A work item, or a mapping with its fields.
            mint_id: The id to use when a mapping names none.

        Raises:
            InvalidWorkItemError: It is neither; the error names every finding.
        """
        if not isinstance(given, Mapping | WorkItem):
            problem = f"expected a WorkItem or a mapping of its fields, got {type(given).__name__}"
            raise InvalidWorkItemError(problems=(("item", problem),))
        # An item that was copied with changes has not been validated with them.
        fields = dict(given)
        if mint_id is not None and fields.get("id") is None:
            fields["id"] = mint_id
        try:
            item = cls.model_validate(fields)
        except ValidationError as error:
            raise InvalidWorkItemError(problems=problems_of(error)) from error
        item._check_survives_storage()
        return item

    def id_for(self, purpose: str) -> str:
        """The id of work about this item, such as its review; no longer than an id may be."""
        return f"{self.id[: _ID_CHARS - len(purpose) - 1]}.{purpose}"

    def _check_survives_storage(self) -> None:
        try:
            same = WorkItem.model_validate_json(self.model_dump_json()) == self
        except (ValidationError, PydanticSerializationError) as error:
            raise InvalidWorkItemError(problems=(("context", f"is no JSON: {error}"),)) from error
        if not same:
            problem = "changes when it is written as JSON and read again"
            raise InvalidWorkItemError(problems=(("context", problem),))


def _is_deeper_than(levels: int, value: JsonValue) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper_than(levels - 1, part) for part in inner)


def problems_of(error: ValidationError) -> tuple[tuple[str, str], ...]:
    """`(field, what is wrong)` for each finding, without the values themselves."""
    return tuple(
        (".".join(map(str, found["loc"])) or "value", found["msg"].removeprefix("Value error, "))
        for found in error.errors(include_url=False, include_input=False)
    )


class Usage(Value):
    """Tokens, as the API counts them."""

    input_tokens: NonNegativeInt = 0
    output_tokens: NonNegativeInt = 0
    cache_creation_input_tokens: NonNegativeInt = 0
    cache_read_input_tokens: NonNegativeInt = 0

    @property
    def total_input_tokens(self) -> int:
        """All that was sent; the API's `input_tokens` leaves the cache out."""
        return self.input_tokens + self.cache_creation_input_tokens + self.cache_read_input_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_creation_input_tokens=self.cache_creation_input_tokens
            + other.cache_creation_input_tokens,
            cache_read_input_tokens=self.cache_read_input_tokens + other.cache_read_input_tokens,
        )


class Failure(Value):
    """An error as data: what crosses the bridge and is stored."""

    code: str
    """The error's stable word, such as `work_timeout`; `crash` for one that nobody foresaw."""

    message: str
    """The text for people."""

    retryable: bool = True
    """Whether another attempt can help."""

    recovery: Recovery = Recovery.NONE
    """Who can mend it."""

    hint: str = ""
    """What to do, for people; empty where the message says it all."""

    retry_after_s: NonNegativeFloat | None = None
    """Seconds after which the same may go well again, where that is known."""

    @classmethod
    def of(cls, error: BaseException, *, retryable: bool = True) -> Failure:
        """The failure that `error` stands for."""
        if isinstance(error, MnemosyneError):
            code, message, recovery, hint = error.code, str(error), error.recovery, error.hint
            retry_after_s = error.retry_after_s
        else:
            code, message = "crash", f"{type(error).__name__}: {error}"
            recovery, hint, retry_after_s = Recovery.RESTART, "", None
        return cls(
            code=code,
            message=_storable(message),
            retryable=retryable,
            recovery=recovery,
            hint=_storable(hint),
            retry_after_s=_plausible(retry_after_s),
        )


def _storable(text: str) -> str:
    # An error about undecodable bytes may hold some, and these cannot be stored.
    return text.encode(errors="backslashreplace").decode()


def _plausible(seconds: float | None) -> float | None:
    # An error may repeat what a stranger said; nonsense in it must not hide the error.
    return seconds if seconds is not None and isfinite(seconds) and seconds >= 0 else None


class WorkResult(Value):
    """What one attempt at a work item came to."""

    item_id: Id
    attempt: PositiveInt = 1

    success: bool
    """Whether the agent did what the item asks; never assumed."""

    data: JsonValue = None
    """What the agent made, as JSON."""

    error: Failure | None = None
    """Why there was no success; present exactly then."""

    duration_s: NonNegativeFloat = 0.0
    memory_ids: tuple[str, ...] = ()
    """Memories that the attempt made."""

    usage: Usage = Usage()
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    """What the agent counted: `turns`, `tool_calls`, `tool_errors`, ..."""

    @model_validator(mode="after")
    def _failure_has_a_reason(self) -> Self:
        if self.success and self.error is not None:
            raise ValueError("a success has no error")
        if not self.success and self.error is None:
            raise ValueError("a failure says why: error is missing")
        return self

    @classmethod
    def failed(
        cls,
        item: WorkItem,
        error: Failure,
        *,
        attempt: int = 1,
        duration_s: float = 0.0,
        usage: Usage | None = None,
    ) -> WorkResult:
        """The result of an attempt that came to nothing."""
        return cls(
            item_id=item.id,
            attempt=attempt,
            success=False,
            error=error,
            duration_s=duration_s,
            usage=usage or Usage(),
        )


class Gate(StrEnum):
    """What a reviewer checks."""

    INTENT = "intent"
    """It does what the item asks."""

    TESTS = "tests"
    """It is tested."""

    DOCUMENTATION = "documentation"
    """It is explained."""

    NO_ANTI_PATTERNS = "no_anti_patterns"
    """Nothing in it is known to cause harm."""

    CONSTRAINTS = "constraints"
    """Every requirement is met."""


class Decision(StrEnum):
    """What a reviewer says of a result."""

    APPROVE = "approve"
    REVISE = "revise"
    REJECT = "reject"


class Verdict(Value):
    """A reviewer's judgement on one result."""

    decision: Decision
    gates: dict[Gate, bool]
    """Each gate that was checked, and whether it holds."""

    confidence: float = Field(ge=0.0, le=1.0)
    issues: tuple[str, ...] = ()
    """What has to change; guidance for the next attempt."""

    suggested_tests: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _approval_means_it(self) -> Self:
        failed = [gate for gate, holds in self.gates.items() if not holds]
        if self.decision is Decision.APPROVE and failed:
            raise ValueError(f"approved although these gates fail: {', '.join(failed)}")
        if self.decision is not Decision.APPROVE and not self.issues:
            raise ValueError("not approved, but no issue says why")
        return self


class Guidance(Value):
    """What an optimizer makes of a verdict: what the next attempt should know."""

    guidance: tuple[Text, ...] = Field(min_length=1)


class WorkState(StrEnum):
    """Where a work item stands."""

    WAITING = "waiting"
    """For its dependencies, its turn, its agent, or a moment to be tried again."""

    ACTIVE = "active"
    """An agent has it."""

    REVIEWING = "reviewing"
    """A reviewer has its result."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the item."""
        return self in (WorkState.COMPLETED, WorkState.FAILED, WorkState.CANCELLED)
