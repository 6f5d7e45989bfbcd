"""The shared HTTP clients build and answer as httpx2's own do."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from anthropic import AsyncAnthropic

from pytest_mnemosyne.plugin._shared_http import SharedAsyncHttp, SharedHttp

URL = httpx2.URL("https://api.anthropic.com/v1/messages")
HEADERS = httpx2.Headers({"Content-Type": "application/json", "User-Agent": "sdk", "x-Own": "1"})
USUAL: dict[str, Any] = {
    "content": b'{"model": "m"}',
    "headers": HEADERS,
    "timeout": httpx2.Timeout(600, read=5),
}


class Wire(httpx2.AsyncBaseTransport):
    """Answers each request with the next answer, or raises it."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class SyncWire(httpx2.BaseTransport):
    """Is never asked."""


Client = Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncClient]


def plain(wire: httpx2.AsyncBaseTransport) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=wire, follow_redirects=True)


CLIENTS = pytest.mark.parametrize(
    "make", [pytest.param(SharedAsyncHttp, id="shared"), pytest.param(plain, id="httpx2")]
)


def answer(
    body: bytes = b'{"a": 1}', *, status: int = 200, headers: dict[str, str] | None = None
) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(body))


# --- requests --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="usual"),
        pytest.param({"params": None, "files": None}, id="named-and-absent"),
        pytest.param({"content": None}, id="no-content"),
        pytest.param({"content": b""}, id="empty-content"),
        pytest.param({"content": "text"}, id="text"),
        pytest.param({"content": None, "data": {"a": "b"}}, id="form"),
        pytest.param({"params": "a=b"}, id="params"),
        pytest.param({"cookies": {"a": "b"}}, id="cookies"),
        pytest.param({"timeout": None}, id="no-timeout"),
        pytest.param({"timeout": 3}, id="seconds"),
        pytest.param({"extensions": {"sni_hostname": "x"}}, id="extensions"),
        pytest.param({"headers": {"x-own": "1"}}, id="mapping"),
        pytest.param({"headers": httpx2.Headers({"Host": "x"})}, id="own-host"),
        pytest.param({"headers": httpx2.Headers({"Content-Length": "5"})}, id="own-length"),
        pytest.param({"headers": httpx2.Headers({"Transfer-Encoding": "chunked"})}, id="chunked"),
        pytest.param({"headers": httpx2.Headers([("a", "1"), ("A", "2")])}, id="repeated"),
    ],
)
@pytest.mark.parametrize("url", [URL, str(URL), httpx2.URL("http://127.0.0.1:9/v1/messages?b=1")])
def test_a_request_is_the_one_that_any_client_builds(
    url: httpx2.URL | str, given: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {**USUAL, **given}
    shared = SharedAsyncHttp(Wire()), SharedHttp(SyncWire())
    expected = plain(Wire()).build_request("post", url, **asked)

    for built in (client.build_request("post", url, **asked) for client in shared):
        assert built.headers.raw == expected.headers.raw
        assert (built.method, built.url) == (expected.method, expected.url)
        assert built.content == expected.content
        assert built.extensions == expected.extensions


def test_what_is_set_on_the_client_goes_into_its_requests() -> None:
    shared, expected = SharedAsyncHttp(Wire()), plain(Wire())
    for client in (shared, expected):
        client.headers["x-team"] = "blue"
        client.params = httpx2.QueryParams({"a": "b"})
        client.cookies.set("c", "d")

    built = shared.build_request("POST", URL, **USUAL)

    assert built.headers.raw == expected.build_request("POST", URL, **USUAL).headers.raw
    assert str(built.url) == f"{URL}?a=b"


async def test_what_the_sdk_asks_for_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def long_way(*args: object, **kwargs: object) -> None:
        raise AssertionError("this is the long way")

    client = AsyncAnthropic(api_key="key", http_client=SharedAsyncHttp(Wire(answer())))
    monkeypatch.setattr(httpx2.AsyncClient, "build_request", long_way)
    monkeypatch.setattr(httpx2.AsyncClient, "send", long_way)

    raw = await client.messages.with_raw_response.create(model="m", max_tokens=9, messages=[])

    assert raw.http_response.json() == {"a": 1}


# --- answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "give",
    [
        pytest.param(answer, id="json"),
        pytest.param(lambda: answer(b""), id="empty"),
        pytest.param(
            lambda: answer(b"\xfc", headers={"content-type": "text/plain; charset=latin-1"}),
            id="latin-1",
        ),
        pytest.param(lambda: answer(status=529, headers={"retry-after": "1"}), id="error"),
    ],
)
async def test_an_answer_is_the_one_that_any_client_gets(
    give: Callable[[], httpx2.Response],
) -> None:
    request = httpx2.Request("POST", URL, content=b"{}")
    got, expected = [await make(Wire(give())).send(request) for make in (SharedAsyncHttp, plain)]

    for name in (
        *("status_code", "reason_phrase", "http_version", "headers", "extensions", "history"),
        *("content", "text", "encoding", "num_bytes_downloaded"),
        *("is_closed", "is_stream_consumed", "request", "url", "next_request"),
    ):
        assert getattr(got, name) == getattr(expected, name), name
    assert await got.aread() == got.content
    assert timedelta() <= got.elapsed < timedelta(minutes=1)
    with pytest.raises(httpx2.StreamConsumed):
        await anext(got.aiter_raw())


@CLIENTS
async def test_a_stream_is_handed_over_unread(make: Client) -> None:
    response = await make(Wire(answer(b"abc"))).send(httpx2.Request("POST", URL), stream=True)

    assert not response.is_closed
    assert [piece async for piece in response.aiter_raw()] == [b"abc"]
    assert response.is_closed


@CLIENTS
async def test_a_body_that_comes_in_pieces_is_read_to_its_end(make: Client) -> None:
    class Pieces(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

    response = await make(Wire(httpx2.Response(200, stream=Pieces()))).send(
        httpx2.Request("POST", URL)
    )

    assert (response.content, response.is_closed) == (b"ab", True)


@CLIENTS
async def test_redirects_are_followed_from_the_answer_that_has_come(make: Client) -> None:
    wire = Wire(answer(status=307, headers={"location": "/v1/elsewhere"}), answer(b"there"))

    response = await make(wire).send(httpx2.Request("POST", URL, content=b"{}"))

    assert wire.asked == ["POST /v1/messages", "POST /v1/elsewhere"]
    assert response.content == b"there"
    assert [each.status_code for each in response.history] == [307]


@CLIENTS
async def test_an_error_knows_its_request(make: Client) -> None:
    request = httpx2.Request("POST", URL)

    with pytest.raises(httpx2.ConnectError) as caught:
        await make(Wire(httpx2.ConnectError("reset"))).send(request)

    assert caught.value.request is request


@CLIENTS
async def test_event_hooks_are_called(make: Client) -> None:
    called: list[object] = []

    async def hook(about: object) -> None:
        called.append(type(about))

    client = make(Wire(answer()))
    client.event_hooks = {"request": [hook], "response": [hook]}

    await client.send(httpx2.Request("POST", URL))

    assert called == [httpx2.Request, httpx2.Response]


@CLIENTS
async def test_who_listens_reads_of_each_request_in_the_log(
    make: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="httpx2"):
        await make(Wire(answer(status=529))).send(httpx2.Request("POST", URL))

    assert caplog.messages == [f'HTTP Request: POST {URL} "HTTP/1.1 529 "']


def test_a_synchronous_client_is_closed_at_the_end_of_the_run_alone() -> None:
    client = SharedHttp(SyncWire())

    with client:
        client.close()
    assert not client.is_closed

    client.really_close()
    assert client.is_closed
