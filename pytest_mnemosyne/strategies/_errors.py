"""What is raised where a strategy cannot be made.

UsageError
  - MissingHypothesisError (ModuleNotFoundError)
  - UnsupportedSchemaError
  - UndecoratedRuleError
"""

from __future__ import annotations

from mnemosyne_core.errors import UsageError


class MissingHypothesisError(UsageError, ModuleNotFoundError):
    """The library that the strategies are made with is not installed.

    It is a `ModuleNotFoundError` too, so `pytest.importorskip` skips where it is missing.

    Attributes:
        reason: What the import said.
    """

    code = "missing_hypothesis"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the strategies need hypothesis ({reason}); pip install 'pytest-mnemosyne[hypothesis]'"
        )


class UnsupportedSchemaError(UsageError):
    """A JSON schema asks for something that `from_schema` cannot promise.

    Attributes:
        place: Where in the schema, such as `$.properties.name`.
        problem: What is wrong there.
    """

    code = "unsupported_schema"

    def __init__(self, *, place: str, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(
            f"no values can be made for the schema at {place}: {problem}; "
            "say it with the keywords that from_schema names, or write a strategy by hand"
        )


class UndecoratedRuleError(UsageError):
    """An `async def` rule was decorated by hypothesis itself, which would never await it.

    Attributes:
        name: The method.
    """

    code = "undecorated_rule"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name} is async, but was decorated with hypothesis.stateful, so it would never run; "
            "import rule, initialize, precondition and invariant from "
            "pytest_mnemosyne.strategies.stateful"
        )
