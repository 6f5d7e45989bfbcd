"""What must be true of a tree's story, whatever happened in it."""

from __future__ import annotations

from mnemosyne_core.tree import SupervisionTree
from pytest_mnemosyne.simulation.invariants import check_invariants


def assert_lawful(tree: SupervisionTree) -> None:
    """Hold the whole story so far against the laws; the tree must not have been stopped."""
    check_invariants(tree)
    rows = tree.journal.items()
    tree.journal.rebuild()
    assert tree.journal.items() == rows
