"""Equal keys for equal questions, and for nothing else."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mnemosyne.cassette import Request
from pytest_mnemosyne.cassette._key import Key, KeyMaker, request_key
from pytest_mnemosyne.strategies import json_values, messages_requests

bodies = messages_requests() | st.dictionaries(
    st.text(max_size=6), json_values(), min_size=1, max_size=5
)


def key(body: object = None, *, method: str = "POST", url: str = "/v1/messages") -> Key:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request_key(Request(method=method, url=url, body=raw))


def shuffled(value: Any, order: random.Random) -> Any:
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        names = list(value)
        order.shuffle(names)
        return {name: shuffled(value[name], order) for name in names}
    return [shuffled(each, order) for each in value] if isinstance(value, list) else value


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything that holds nothing."""
    if isinstance(value, dict | list) and value:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for name, each in inner for leaf in leaves(each, (*path, name))]
    return [path]


def replaced(value: Any, path: tuple[Any, ...], leaf: object) -> Any:
    made = copy.deepcopy(value)
    holder = made
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = leaf
    return made


@settings(max_examples=40)
@given(
    bodies, st.randoms(use_true_random=False), st.sampled_from([None, 0, 2, "\t"]), st.booleans()
)
def test_key_order_spacing_and_escapes_do_not_matter(
    body: dict[str, Any], order: random.Random, indent: int | str | None, ascii_only: bool
) -> None:
    spelled = json.dumps(shuffled(body, order), indent=indent, ensure_ascii=ascii_only)

    assert key(spelled.encode("utf-8", "surrogatepass") if ascii_only else spelled.encode()) == key(
        body
    )


@settings(max_examples=40)
@given(bodies, json_values(max_leaves=1), st.data())
def test_any_other_leaf_is_another_question(
    body: dict[str, Any], leaf: object, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(leaves(body)))
    changed = replaced(body, path, leaf)
    if json.dumps(changed) == json.dumps(body):
        return

    assert key(changed) != key(body)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(b'{"a": 1}', b'{"a": 1.0}', id="integer-and-float"),
        pytest.param(b'{"a": 1}', b'{"a": true}', id="integer-and-boolean"),
        pytest.param(b'{"a": "1"}', b'{"a": 1}', id="text-and-number"),
        pytest.param(b'{"a": null}', b"{}", id="null-and-absent"),
        pytest.param(b'{"a": [1, 2]}', b'{"a": [2, 1]}', id="order-of-a-list"),
        pytest.param('{"a": "\u00e9"}'.encode(), '{"a": "e\u0301"}'.encode(), id="unicode-forms"),
        pytest.param(b'{"a": "x "}', b'{"a": "x"}', id="space-in-a-text"),
        pytest.param(b"{}", b"", id="empty-object-and-nothing"),
        pytest.param(b'{"stream": true}', b"{}", id="stream-and-not"),
        pytest.param(b'{"a": {"stream": false}}', b'{"a": {}}', id="inner-stream-is-a-value"),
        pytest.param(b"not json", b"not  json", id="other-bytes"),
    ],
)
def test_these_are_two_questions(one: bytes, other: bytes) -> None:
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(b'{"a": "\\u00e9"}', '{"a":"\u00e9"}'.encode(), id="escapes"),
        pytest.param(b'{"a": 0.10}', b'{"a": 0.1}', id="spelling-of-a-float"),
        pytest.param(b'{"a": 1, "stream": false}', b'{"a": 1}', id="no-stream"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', b'{"a": 1}', id="byte-order-mark"),
        pytest.param(
            b"--x1\r\nname\r\n--x1--\r\n", b"--other\r\nname\r\n--other--\r\n", id="boundary"
        ),
    ],
)
def test_these_are_one_question(one: bytes, other: bytes) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        pytest.param("https://api.anthropic.com/v1/messages", True, id="origin"),
        pytest.param("http://127.0.0.1:8080/v1/messages", True, id="host-and-port"),
        pytest.param("https://proxy.example/v1/team/claude/v1/messages", True, id="prefix"),
        pytest.param("/v1/messages?beta=true", True, id="beta"),
        pytest.param("/v1/messages?limit=1", False, id="query"),
        pytest.param("/v1/messages/count_tokens", False, id="path"),
    ],
)
def test_the_path_counts_and_where_it_is_served_does_not(url: str, same: bool) -> None:
    assert (key({}, url=url) == key({})) is same


def test_the_order_of_a_query_does_not_matter_and_its_values_do() -> None:
    assert key(url="/v1/models?a=1&b=") == key(url="https://h/v1/models?b=&a=1")
    assert key(url="/v1/models?a=1&b=") != key(url="/v1/models?a=1&b=2")


def test_an_escaped_slash_in_a_path_is_no_separator() -> None:
    assert key(url="/v1/files/a%2Fb") != key(url="/v1/files/a/b")
    assert key(url="/model/claude%3A0/invoke") == key(url="/model/claude:0/invoke")


def test_the_method_counts_in_any_case() -> None:
    assert key(method="get") == key(method="GET") != key(method="DELETE")


def test_headers_do_not_count() -> None:
    plain = Request(method="POST", url="/v1/messages", body=b"{}")
    dressed = Request(
        method="POST", url="/v1/messages", body=b"{}", headers=(("anthropic-beta", "x"),)
    )
    assert request_key(plain) == request_key(dressed)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="nested-beyond-reason"),
        pytest.param(b"1" * 5_000, id="a-number-beyond-reason"),
        pytest.param(b'{"a": "\\ud800"}', id="lone-surrogate"),
        pytest.param(b"\xff\xfe\x00", id="no-text"),
        pytest.param(b"--\r\n--", id="no-boundary"),
    ],
)
def test_any_body_has_a_key(body: bytes) -> None:
    assert key(body) == key(body) != key(b"{}")


# --- conversations -----------------------------------------------------------------------

messages = st.one_of(
    json_values(max_leaves=3),
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": json_values(max_leaves=4)}
    ),
)
rests = st.dictionaries(
    st.sampled_from(["model", "system", "stream", "tools", "x"]), json_values(max_leaves=3)
)
SPELLINGS: list[dict[str, Any]] = [
    {"separators": (",", ":")},
    {"separators": (",", ":"), "ensure_ascii": False},
    {},
    {"indent": 1},
]


@st.composite
def spelled_conversations(draw: st.DrawFn) -> list[bytes]:
    """Bodies of a few conversations that share their beginnings, each in some spelling."""
    talk = draw(st.lists(messages, max_size=6))
    bodies = []
    for _ in range(draw(st.integers(1, 6))):
        length = draw(st.integers(0, len(talk)))
        told = [*talk[:length], *draw(st.lists(messages, max_size=1))]
        rest = list(draw(rests).items())
        at = draw(st.integers(0, len(rest)))
        body = dict([*rest[:at], ("messages", told), *rest[at:]])
        bodies.append(json.dumps(body, **draw(st.sampled_from(SPELLINGS))))
    return [body.encode("utf-8", "surrogatepass") for body in bodies]


def plain_key(body: bytes) -> Key:
    """The key by the way that reads a body as a whole: such a beginning no scanner takes."""
    return key(b" " + body)


@settings(max_examples=60, deadline=None)
@given(spelled_conversations())
def test_what_was_seen_before_changes_no_key(bodies: list[bytes]) -> None:
    maker = KeyMaker()

    for body in (*bodies, *bodies):
        made = maker.key(Request(method="POST", url="/v1/messages", body=body))
        assert made == plain_key(body) == key(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"messages":[1,12,123]}', id="numbers-that-begin-alike"),
        pytest.param(b'{"messages":["a","ab"]}', id="texts"),
        pytest.param(b'{"messages":[]}', id="no-messages"),
        pytest.param(b'{"messages": [ ] , "a":1}', id="no-messages-spaced"),
        pytest.param(b'{"messages":[{}],"messages":[{"a":1}]}', id="twice"),
        pytest.param(b'{"x":{"messages":[{"a":1}]},"messages":[{"a":1}]}', id="inside-first"),
        pytest.param(b'{"x":{"messages":[{"a":1}]}}', id="only-inside"),
        pytest.param(b'{"x":{"messages":[{"a":1}]},"messages":null}', id="inside-and-nothing"),
        pytest.param(b'{"x":"\\"messages\\":[1]","messages":[{"a":1}]}', id="in-a-text"),
        pytest.param(b'{"messages":{"a":[]}}', id="no-list"),
        pytest.param(b'[{"messages":[1]}]', id="no-object"),
        pytest.param(b'{"messages":[{"a":1},]}', id="no-json"),
        pytest.param(b'{"messages":[{"a":1}', id="cut"),
        pytest.param(b'{"messages":[{"a":1}]}}', id="a-bracket-too-many"),
        pytest.param(b'{"messages":[{"a":"\xed\xa0\x80"}]}', id="surrogate-in-bytes"),
        pytest.param('{"messages":[{"a":"ä"},{"b":"\U0001f600"}]}'.encode(), id="wide-characters"),
        pytest.param(b'\xef\xbb\xbf{"messages":[{"a":1}]}', id="byte-order-mark"),
        pytest.param('{"messages":[{"a":1}]}'.encode("utf-16"), id="utf-16"),
    ],
)
def test_the_scanner_and_the_parser_agree(body: bytes) -> None:
    maker = KeyMaker()
    respelled = [body]
    with contextlib.suppress(ValueError):
        respelled.append(json.dumps(json.loads(body), indent=1).encode())

    made = {maker.key(Request(method="POST", url="/", body=each)) for each in respelled * 2}
    assert made == {key(respelled[-1], url="/")}


def test_messages_seen_before_are_neither_parsed_nor_digested_again() -> None:
    def cost_s(maker: KeyMaker, body: bytes) -> float:
        started = time.perf_counter()
        maker.key(Request(method="POST", url="/v1/messages", body=body))
        return time.perf_counter() - started

    talk = [{"role": "user", "content": [{"type": "text", "text": "x y " * 500}] * 2}] * 40
    long = json.dumps({"model": "m", "messages": talk}, separators=(",", ":")).encode()
    seen = KeyMaker()
    seen.key(Request(method="POST", url="/v1/messages", body=long))

    anew = min(cost_s(KeyMaker(), long) for _ in range(5))
    again = min(cost_s(seen, long) for _ in range(5))
    assert again < anew / 3
