"""Copies of this process that ask Claude through what they have inherited.

A forked process has the door, the open cassette and the journal as they were at that moment,
and nothing that becomes of them there reaches the process of the test: an answer that was
paid for would be lost, and a miss seen by nobody. So a copy's calls are refused, and a page
of memory that both share tells the original of the first one.
"""

from __future__ import annotations

from mmap import PAGESIZE, mmap

from mnemosyne_core.errors import Abort


class ForkedProcessError(Abort):
    """A copy of the process that plays or records has asked Claude.

    Attributes:
        call: What was asked.
    """

    def __init__(self, *, call: str) -> None:
        self.call = call
        super().__init__(
            "a forked process asked Claude, and what a copy of the test's process asks reaches no "
            f"cassette\n  call:    {call}\n"
            "  ask in the process of the test or in a thread of it, or have the process begin anew "
            'and talk to a stand-in (multiprocessing.get_context("spawn"))'
        )


class ForkWatch:
    """Tells a process of what its copies were refused."""

    def __init__(self) -> None:
        """This process is the original."""
        # Private to this process and those that it forks; no file, no name.
        self._page = mmap(-1, PAGESIZE)

    def tell(self, call: str) -> None:
        """In a copy: a call was refused. What comes first stays."""
        if not self._page[0]:
            text = call.encode("utf-8", "replace")[: PAGESIZE - 1]
            self._page[: len(text) + 1] = text + b"\0"

    def heard(self) -> ForkedProcessError | None:
        """In the original: what a copy was refused since the last time, if anything."""
        if not self._page[0]:
            return None
        call = self._page[:].partition(b"\0")[0].decode("utf-8", "replace")
        self._page[:1] = b"\0"
        return ForkedProcessError(call=call)

    def close(self) -> None:
        """Give the memory back."""
        self._page.close()
