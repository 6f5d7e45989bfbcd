from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings

from pytest_mnemosyne.cassette import (
    CassetteFile,
    Interaction,
    Outcome,
    load,
    stored_form,
    write,
)
from pytest_mnemosyne.strategies import cassettes, interactions
from tests.strategies.finding import check_reach, simplest

some = settings(max_examples=12)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cassettes") / "any.yaml"


@some
@given(cassettes())
def test_a_cassette_comes_back_from_the_disk(path: Path, cassette: CassetteFile) -> None:
    path.unlink(missing_ok=True)

    assert write(path, cassette)

    assert load(path) == cassette
    assert not write(path, cassette), "equal content was written again"


@some
@given(interactions())
def test_an_interaction_is_in_its_stored_form(interaction: Interaction) -> None:
    assert stored_form(interaction) == interaction


@settings(max_examples=30)
@given(interactions())
def test_the_parts_of_an_interaction_fit_each_other(interaction: Interaction) -> None:
    response, asked = interaction.response, json.loads(interaction.request.body)
    if response is None:
        assert interaction.outcome in (Outcome.RESET, Outcome.TIMEOUT, Outcome.CANCELLED)
        return
    if response.chunks:
        times_s = [chunk.at_s for chunk in response.chunks]
        assert b"".join(chunk.data for chunk in response.chunks) == response.body
        assert times_s == sorted(times_s)
        assert times_s[-1] <= interaction.took_s
    if response.status == 200 and interaction.outcome is Outcome.COMPLETE:
        assert (b"event: message_stop" in response.body) is (asked.get("stream") is True)


@pytest.mark.slow
def test_interactions_are_of_every_sort() -> None:
    def features(interaction: Interaction) -> Iterator[str]:
        yield interaction.outcome
        yield "in a lane" if interaction.lane is not None else "in no lane"
        if (response := interaction.response) is not None:
            yield "message" if response.status == 200 else "error"
            yield "chunks" if response.chunks else "no chunks"

    wanted = {*Outcome, "in a lane", "in no lane", "message", "error", "chunks", "no chunks"}
    check_reach(interactions(), wanted, features)


@pytest.mark.slow
def test_some_cassettes_hold_an_interaction_twice() -> None:
    repeated = simplest(cassettes(), lambda each: len(each.interactions) > 1)

    assert repeated.interactions[0] == repeated.interactions[1]


def test_the_simplest_of_each_is_short() -> None:
    interaction = simplest(interactions())

    assert simplest(cassettes()) == CassetteFile()
    assert json.loads(interaction.request.body)["messages"] == [{"role": "user", "content": "0"}]
    assert interaction.outcome is Outcome.COMPLETE
    assert interaction.lane is None
