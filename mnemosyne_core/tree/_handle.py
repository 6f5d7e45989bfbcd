"""What a caller holds while an item is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mnemosyne_core.errors import ResultTimeoutError
from mnemosyne_core.work import WorkResult, WorkState


class WorkHandle:
    """One submitted item: its state, and its result as soon as there is one.

    Many tasks may wait on one handle. Dropping it changes nothing: the item goes on.
    """

    def __init__(
        self,
        item_id: str,
        *,
        outcome: asyncio.Future[WorkResult],
        state: Callable[[str], WorkState],
        cancel: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        """Made by the tree."""
        self.id = item_id
        self._outcome = outcome
        self._state = state
        self._cancel = cancel

    @property
    def state(self) -> WorkState:
        """Where the item stands now."""
        return self._state(self.id)

    @property
    def done(self) -> bool:
        """Whether `result()` would answer at once."""
        return self._outcome.done()

    async def result(self, timeout: float | None = None) -> WorkResult:
        """The item's result, a failed one too: look at `success`.

        Args:
            timeout: Seconds to wait at most; the item goes on beyond them.

        Raises:
            ResultTimeoutError: There is no result yet.
            ActorDownError: The tree was stopped first; a stored item goes on at its next start.
            RestartIntensityError: The tree gave up first.
            Abort: An agent ended the tree with it.
        """
        try:
            async with asyncio.timeout(timeout):
                # Shielded: a caller that stops waiting must not cancel it for the others.
                return await asyncio.shield(self._outcome)
        except TimeoutError:
            if self._outcome.done():
                # It came in the very moment in which patience ended, and counts.
                return self._outcome.result()
            if timeout is None:
                raise
            raise ResultTimeoutError(
                item_id=self.id, timeout_s=timeout, state=self.state.value
            ) from None

    async def cancel(self, reason: str = "cancelled by the caller") -> bool:
        """Take the item back; whoever works on it stops.

        Returns:
            Whether it was still live. Its result is then a failure with code `cancelled`.

        Raises:
            UsageError: `reason` is no text.
            ActorDownError: The orchestrator died over it; look at `state`.
            TreeNotRunningError: The tree does not run.
        """
        return await self._cancel(self.id, reason)

    def __repr__(self) -> str:
        return f"<WorkHandle {self.id} {self.state.value}>"
