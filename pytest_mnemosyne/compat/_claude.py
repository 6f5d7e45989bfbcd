"""Who answers the requests to Claude of a test that is marked `vcr`.

============================  ============================================================
the test                      its requests to Claude
============================  ============================================================
has no cassette of ours       vcrpy's, as all others
has one, by marker, fixture   that cassette's; vcrpy neither plays nor records them
is strict, vcrpy plays only   vcrpy's file answers, by the rules of a cassette of ours
is strict, vcrpy records      vcrpy's; what asks the model something else is recorded anew
============================  ============================================================
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.plugin._markers import Chosen
from pytest_mnemosyne.plugin._session import RUN

if TYPE_CHECKING:
    import pytest
    import vcr.cassette

    from pytest_mnemosyne.cassette import Cassette
    from pytest_mnemosyne.compat._vcr_cassettes import Prepared
    from pytest_mnemosyne.plugin._session import Run

_MATCHER: Final = "asks Claude the same"


def opened(
    item: pytest.Item, prepared: Prepared, *, is_strict: bool
) -> AbstractContextManager[vcr.cassette.Cassette]:
    """The vcrpy cassette of a test, to be entered.

    Raises:
        UsageError: The test asks for what cannot be.
    """
    run = item.config.stash.get(RUN, None)
    ours = run.running.cassette if run is not None else None
    if is_strict:
        if run is None:
            raise UsageError(
                f"{item.name} is strict, and the plug-in that sees to it is not loaded; add "
                "-p pytest_mnemosyne.plugin, or take away -p no:mnemosyne"
            )
        if ours is not None:
            raise UsageError(
                f"{item.name} is strict, so vcrpy's file would be its cassette for Claude, and by "
                f"a marker or a fixture it has another one, {ours.path}; take one of the two away"
            )
        return _strict(item, run, prepared)
    if run is not None and ours is not None:
        return _beside(run, prepared, ours)
    cassette: AbstractContextManager[vcr.cassette.Cassette] = prepared.vcr.use_cassette(
        prepared.name, **prepared.settings
    )
    return cassette


@contextmanager
def _beside(run: Run, prepared: Prepared, ours: Cassette) -> Iterator[vcr.cassette.Cassette]:
    from pytest_mnemosyne.cassette import beside

    if ours.path is not None and prepared.path.resolve() == ours.path.resolve():
        raise UsageError(
            f"the cassette for Claude and vcrpy's would both be {ours.path}; give one of them "
            "another name, by claude_cassette(name=...) or default_cassette(...)"
        )
    with beside(run.door, prepared.config()) as cassette:
        yield cassette


@contextmanager
def _strict(item: pytest.Item, run: Run, prepared: Prepared) -> Iterator[vcr.cassette.Cassette]:
    from pytest_mnemosyne.cassette import StrictCassette, beside, same_question

    prepared.vcr.register_matcher(_MATCHER, same_question(run.door))
    with beside(run.door, prepared.config(matchers=(_MATCHER,))) as cassette:
        if not cassette.write_protected:
            yield cassette
            return
        own = prepared.own(len(cassette.data))
        test = f"pytest {shlex.quote(item.nodeid)}"
        command = f"{test} --record-mode=new_episodes"
        # Under a name that the marker gives it, other tests may use its calls up.
        is_shared = item.get_closest_marker("default_cassette") is not None
        chosen = Chosen(
            path=cassette.path if is_shared else None,
            remedies=(f"rerecord: {test} --record-mode=rewrite",),
        )
        make = partial(StrictCassette, cassette, own=own, command=lambda _: command)
        with run.adopting(make, chosen):
            yield cassette
