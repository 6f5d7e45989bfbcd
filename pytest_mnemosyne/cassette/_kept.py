"""The interactions of a file that was parsed before, each made when somebody looks at it.

A test asks for a few answers, and its cassette may hold a thousand. What is needed to find
an answer (lanes and keys) and to count it (tokens) is there at once; requests and answers
are put together one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from mnemosyne_core.lane import Lane
from pytest_mnemosyne.cassette._interaction import Interaction
from pytest_mnemosyne.cassette._key import Key
from pytest_mnemosyne.cassette._turn import Tokens


class KeptInteractions(Sequence[Interaction]):
    """A sequence that is equal to any other one of equal interactions."""

    def __init__(
        self,
        make: Callable[[int], Interaction],
        *,
        lanes: Sequence[Lane | None],
        keys: Sequence[Key],
        tokens: Sequence[tuple[Any, ...]],
        spellings: Sequence[bytes],
        keyed_for: str | None,
    ) -> None:
        """Take what is known of each interaction.

        Args:
            make: Makes the interaction at an index.
            lanes: The lane of each.
            keys: The canonical key of each.
            tokens: What each answer used: the fields of `Tokens`.
            spellings: What `KeyMaker.spelling` says of each request.
            keyed_for: The fingerprint of the loosening that the keys are made with.
        """
        self.lanes = lanes
        self.keys = keys
        self.spellings = spellings
        self.keyed_for = keyed_for
        self._tokens = tokens
        self._make = make
        self._made: dict[int, Interaction] = {}

    def tokens(self, index: int) -> Tokens:
        """What the answer at `index` used."""
        return Tokens(*self._tokens[index])

    def __len__(self) -> int:
        return len(self.lanes)

    @overload
    def __getitem__(self, index: int) -> Interaction: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Interaction, ...]: ...
    def __getitem__(self, index: int | slice) -> Interaction | tuple[Interaction, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        at = range(len(self))[index]
        found = self._made.get(at)
        if found is None:
            found = self._made[at] = self._make(at)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | KeptInteractions):
            return NotImplemented
        return len(self) == len(other) and all(
            one == another for one, another in zip(self, other, strict=True)
        )

    def __hash__(self) -> int:
        return hash(tuple(self))
