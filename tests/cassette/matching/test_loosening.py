"""What may be left out of matching, by its looks or by its place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette import EXACTLY, LOOKS, JsonPath, Loosening, Matcher, differently
from pytest_mnemosyne.strategies import json_values

LOOKING = {
    "dates": [
        "2026-11-27",
        "2026-11-27T10:00:05.123+00:00",
        "2026-11-27 10:00",
        "2026/11/27",
        "11/27/2026 10:00 PM",
        "27.11.2026",
        "20261127T100005Z",
        "Fri, 27 Nov 2026 10:00:00 GMT",
        "November 27th, 2026",
        "27 November 2026 at 10:00",
    ],
    "durations": [
        "1.5s",
        "12 ms",
        "3 minutes",
        "1:02:03.5",
        "PT1.5S",
        "P2DT3H",
        "300 µs",
    ],
    "uuids": ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"],
    "hashes": ["d41d8cd98f00b204e9800998ecf8427e", "ab" * 32, f"sha256-{'A1' * 21}B="],
}
ORDINARY = {
    "dates": ["version 1.2.3", "4-5-2", "2026", "1/2", "12:30", "20261127", "Marching 12, 2026x"],
    "durations": ["5 sheets", "10 lines", "P3", "s1", "12", "v1.5s2", "1:02"],
    "uuids": ["123e4567-e89b-12d3-a456", "ab" * 16, "x123e4567-e89b-12d3-a456-426614174000"],
    "hashes": ["ab" * 15, "deadbeef", "word" * 8, "12345678"],
}


@pytest.mark.parametrize(
    ("look", "text"), [(look, text) for look, texts in LOOKING.items() for text in texts]
)
def test_a_look_takes_the_whole_of_what_looks_so(look: str, text: str) -> None:
    assert LOOKS[look](f"So: {text}, then.") == f"So: <{look}>, then."
    assert LOOKS[look](f'{{"at":"{text}"}}') == f'{{"at":"<{look}>"}}'


@pytest.mark.parametrize(
    ("look", "text"), [(look, text) for look, texts in ORDINARY.items() for text in texts]
)
def test_a_look_leaves_alone_what_looks_otherwise(look: str, text: str) -> None:
    assert LOOKS[look](f"So: {text}, then.") == f"So: {text}, then."


def test_a_duration_is_known_by_its_name_in_json_that_is_a_text() -> None:
    assert LOOKS["durations"]('{"duration_ms": 12, "n": 12}') == (
        '{"duration_ms":<durations>, "n": 12}'
    )


@pytest.mark.parametrize(
    ("path", "value", "left"),
    [
        ("$.metadata.user_id", {"metadata": {"user_id": "x", "a": 1}}, {"metadata": {"a": 1}}),
        ("metadata", {"metadata": {}, "a": 1}, {"a": 1}),
        ("$.a[*].b", {"a": [{"b": 1, "c": 2}, {"b": 3}, 4]}, {"a": [{"c": 2}, {}, 4]}),
        ("$.a[1]", {"a": [1, 2, 3]}, {"a": [1, None, 3]}),
        ("$.a[*]", {"a": [1, 2]}, {"a": [None, None]}),
        ("$.*.x", {"a": {"x": 1}, "b": {"x": 2, "y": 3}}, {"a": {}, "b": {"y": 3}}),
        ("$['a b'].c", {"a b": {"c": 1}}, {"a b": {}}),
        ("$.a.b", {"a": [{"b": 1}]}, {"a": [{"b": 1}]}),
        ("$.a", [1], [1]),
        ("$.a.b.c", {"a": "text"}, {"a": "text"}),
    ],
)
def test_a_path_leaves_out_what_stands_there(path: str, value: object, left: object) -> None:
    found = JsonPath.parse(path)

    assert found.cut(value) == left
    assert JsonPath.parse(found.text) == found


@given(json_values(), st.sampled_from(["$.a", "$[*]", "$.a[0].b", "$.*"]))
def test_a_path_changes_no_value_that_it_was_given(value: object, path: str) -> None:
    before = repr(value)

    JsonPath.parse(path).cut(value)

    assert repr(value) == before


@pytest.mark.parametrize("path", ["", "$", "$..a", "a[", "$.a[-1]", "$.a b", "$[?(@.x)]", "a]"])
def test_what_is_no_path_says_what_one_is(path: str) -> None:
    with pytest.raises(UsageError, match=r"no JSON path.*\$\.metadata\.user_id"):
        JsonPath.parse(path)


@pytest.mark.parametrize(
    ("name", "pattern", "told"),
    [("a b", "x", "letters, digits"), ("", "x", "letters, digits"), ("a", "(", "no regular")],
)
def test_a_matcher_that_cannot_work_says_so(name: str, pattern: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Matcher(name, pattern)


def test_matchers_are_applied_in_the_order_in_which_they_are_asked_for() -> None:
    lower, ticket = Matcher("lower", str.lower), Matcher("ticket", "T-[0-9]+")

    assert Loosening.of([ticket, lower], {}).text("Close T-12") == "close <ticket>"
    assert Loosening.of([lower, ticket], {}).text("Close T-12") == "close t-12"


def test_every_text_of_a_body_is_loosened_and_no_name_and_number_is() -> None:
    loosening = Loosening.of(["hashes", "$.b"], LOOKS)
    value = {"a" * 32: ["a" * 32, 1, None, {"x": "b" * 32}], "b": 2}

    assert loosening.value(value) == {"a" * 32: ["<hashes>", 1, None, {"x": "<hashes>"}]}
    assert loosening.raw(b"\xff " + b"a" * 32) == b"\xff <hashes>"


def test_what_is_left_out_is_named_in_one_order() -> None:
    named = Matcher("x", re.compile("x"))
    asked: list[str | Matcher] = ["$.b", "uuids", named, "dates", "$.a", "dates"]

    assert Loosening.of(asked, LOOKS).names == ("dates", "uuids", "x", "$.a", "$.b")
    assert not EXACTLY
    assert EXACTLY.names == ()


def test_a_loosening_is_known_by_its_expressions_unless_it_is_a_function() -> None:
    def of(*asked: str | Matcher) -> str | None:
        return Loosening.of(asked, LOOKS).fingerprint

    assert of("dates") == of("dates") != of("uuids")
    assert (
        of(Matcher("x", "a"))
        != of(Matcher("x", "b"))
        != of(Matcher("x", re.compile("b", re.IGNORECASE)))
    )
    assert of("$.a") != of("$.b") != of()
    assert of(Matcher("x", str.lower)) is None


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(UsageError, match=r"'date'.*dates, durations, hashes, uuids"):
        Loosening.of(["date"], LOOKS)


def test_a_difference_of_loosenings_is_told_from_both_sides() -> None:
    assert list(differently(["a", "b"], ["b", "c"])) == [
        "leaves out c, which its cassette compares",
        "compares a, which its cassette leaves out",
    ]
    assert list(differently(["a"], ["a"])) == []
