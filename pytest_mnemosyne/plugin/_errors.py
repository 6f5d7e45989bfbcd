"""What is raised inside a test that must not go on.

Abort (BaseException)
  - ContactRefusedError
  - TestStopped

Imported when first raised, since most runs never do.
"""

from __future__ import annotations

from mnemosyne_core.errors import Abort

_USE = (
    "use the fixture claude_cassette (or claude, claude_sync, supervision_tree), or mark the "
    "test with claude_cassette"
)


class ContactRefusedError(Abort):
    """A host was contacted that this run must not reach.

    Attributes:
        host: Which one.
    """

    def __init__(self, *, host: str, why: str, advice: str) -> None:
        self.host = host
        super().__init__(f"{host} was contacted by {why}\n  {advice}")

    @classmethod
    def without_cassette(cls, host: str) -> ContactRefusedError:
        """Claude was asked, and no cassette is there to answer."""
        why = "a test without a cassette, and in this run nothing goes to the real API"
        return cls(host=host, why=why, advice=_USE)

    @classmethod
    def past_cassette(cls, host: str) -> ContactRefusedError:
        """Claude was asked in a way that the open cassette does not see."""
        return cls(
            host=host,
            why="a client that the test's cassette does not cover, and in this run nothing goes "
            "to the real API",
            advice="call Claude through an HTTP client that vcrpy knows, or replace the call",
        )

    @classmethod
    def blocked(cls, host: str) -> ContactRefusedError:
        """The run's settings forbid all hosts but this machine and Claude."""
        return cls(
            host=host,
            why="a test, and this run blocks every host that is not Claude's "
            "(mnemosyne_block_hosts)",
            advice="replace the call in the test, or lift the block",
        )


class TestStopped(Abort):
    """Raised in a test's main thread because another thread's request was refused."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__("the test was stopped: a request to Claude in another thread was refused")
