"""Which requests the door lets through, stops, or hands to the cassette."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import httpx2
import pytest
import vcr

from mnemosyne_core.errors import UsageError
from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteMissError,
    Door,
    NoCassetteError,
    OtherHostError,
    RecordMode,
    UncoveredClientError,
    Upstream,
)
from pytest_mnemosyne.wire import ClaudeHosts
from tests.cassette.door.loopback import Loopback, echo
from tests.cassette.door.loopback import serving as serve

API = "https://api.anthropic.com/v1/messages"
QUESTION = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serve(echo) as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(transport=httpx2.HTTPTransport(verify=False)) as client:
        yield client


def empty(mode: RecordMode = RecordMode.REPLAY) -> Cassette:
    return Cassette(None, mode=mode)


def test_claude_without_a_cassette_is_refused_and_told(
    door: Callable[..., Door], http: httpx2.Client
) -> None:
    told: list[BaseException] = []
    door(RecordMode.REPLAY, on_uncovered=told.append)

    with pytest.raises(NoCassetteError, match="called without a cassette") as raised:
        http.post(API, json=QUESTION)

    assert told == [raised.value]


def test_claude_without_a_cassette_is_forwarded_where_the_mode_forwards(
    door: Callable[..., Door], http: httpx2.Client, server: Loopback
) -> None:
    door(RecordMode.RECORD, upstream=server.url)

    assert http.post(API, json=QUESTION).json()["content"][0]["text"] == "echo hello"


def test_a_stand_in_on_this_machine_passes_without_a_cassette_and_not_with_one(
    door: Callable[..., Door], http: httpx2.Client, server: Loopback
) -> None:
    guard = door(RecordMode.REPLAY)
    assert http.post(f"{server.url}/v1/messages", json=QUESTION).status_code == 200

    with guard.playing(empty()), pytest.raises(CassetteMissError):
        http.post(f"{server.url}/v1/messages", json=QUESTION)
    assert len(server.asked) == 1


def test_a_declared_base_url_on_this_machine_is_claude(
    door: Callable[..., Door], http: httpx2.Client, server: Loopback
) -> None:
    door(RecordMode.REPLAY, hosts=ClaudeHosts([server.url]))

    with pytest.raises(NoCassetteError):
        http.post(f"{server.url}/v1/messages", json=QUESTION)
    assert server.asked == []


@pytest.mark.parametrize("base_url", ["https://llm.invalid/claude", "http://127.0.0.1:9/"])
def test_a_client_that_is_pointed_elsewhere_in_the_code_belongs_to_the_cassette(
    base_url: str, door: Callable[..., Door]
) -> None:
    guard = door(RecordMode.REPLAY)
    with anthropic.Anthropic(api_key="none", base_url=base_url) as client:
        for ask in (lambda: client.models.list(), lambda: client.beta.files.list()):
            with guard.playing(empty()), pytest.raises(CassetteMissError):
                ask()


def test_a_client_that_is_pointed_at_another_host_is_refused_without_a_cassette(
    door: Callable[..., Door],
) -> None:
    door(RecordMode.REPLAY)

    with (
        anthropic.Anthropic(api_key="none", base_url="https://llm.invalid") as client,
        pytest.raises(NoCassetteError),
    ):
        client.models.list()


def test_what_a_client_of_another_host_is_answered_replays(
    door: Callable[..., Door], server: Loopback, tmp_path: Path
) -> None:
    path = tmp_path / "calls.yaml"
    server.behave = lambda wire, _: wire.answer(b'{"data": [], "has_more": false}')
    with anthropic.Anthropic(api_key="none", base_url="https://llm.invalid/claude") as client:
        recording = Cassette(path, mode=RecordMode.RECORD)
        with door(RecordMode.RECORD, upstream=server.url).playing(recording):
            client.models.list()
        recording.save()

        replayed = Cassette(path, mode=RecordMode.REPLAY)
        with door(RecordMode.REPLAY).playing(replayed):
            assert client.models.list().data == []

    assert replayed.unplayed() == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("block", [False, True], ids=["open", "blocked"])
def test_this_machine_s_other_servers_pass(
    block: bool, door: Callable[..., Door], http: httpx2.Client, server: Loopback
) -> None:
    server.behave = lambda wire, _: wire.answer(b"mine")
    with door(RecordMode.REPLAY, block_other_hosts=block).playing(empty()):
        assert http.get(f"{server.url}/something").content == b"mine"


def test_other_hosts_are_refused_where_they_are_blocked(
    door: Callable[..., Door], http: httpx2.Client
) -> None:
    told: list[BaseException] = []
    guard = door(RecordMode.REPLAY, block_other_hosts=True, on_uncovered=told.append)

    with guard.playing(empty()), pytest.raises(OtherHostError) as raised:
        http.get("https://example.invalid/path?token=hidden")

    assert told == [raised.value]
    assert "GET https://example.invalid/path was refused" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_other_hosts_pass_to_the_client_s_own_transport(
    door: Callable[..., Door], http: httpx2.Client
) -> None:
    with door(RecordMode.REPLAY).playing(empty()), pytest.raises(httpx2.ConnectError):
        http.get("https://example.invalid/")


def test_a_mock_transport_stays_the_test_s_own(door: Callable[..., Door]) -> None:
    mock = httpx2.MockTransport(lambda _: httpx2.Response(200, content=b"mock"))
    with door(RecordMode.REPLAY).playing(empty()), httpx2.Client(transport=mock) as client:
        assert client.post(API, json=QUESTION).content == b"mock"


def test_uninstalling_puts_everything_back() -> None:
    before = (httpx2.HTTPTransport.handle_request, httpx2.AsyncHTTPTransport.handle_async_request)
    door = Door(mode=RecordMode.REPLAY)
    door.install()
    door.install()
    assert before[0] is not httpx2.HTTPTransport.handle_request

    door.uninstall()
    door.uninstall()
    assert not door.installed
    assert before == (
        httpx2.HTTPTransport.handle_request,
        httpx2.AsyncHTTPTransport.handle_async_request,
    )


def test_a_door_inside_another_decides_alone(
    door: Callable[..., Door], http: httpx2.Client, server: Loopback
) -> None:
    outer = door(RecordMode.REPLAY)
    with outer.playing(empty()):
        inner = Door(mode=RecordMode.RECORD, upstream=Upstream(server.url))
        inner.install()
        with inner.playing(empty(RecordMode.RECORD)):
            assert http.post(API, json=QUESTION).status_code == 200
        inner.uninstall()

        with pytest.raises(CassetteMissError):
            http.post(API, json=QUESTION)


def test_cassettes_nest(door: Callable[..., Door]) -> None:
    guard = door(RecordMode.REPLAY)
    outer, inner = empty(), empty()
    with guard.playing(outer):
        with guard.playing(inner):
            assert guard.current is inner
        assert guard.current is outer
    assert guard.current is None


def test_a_plain_vcrpy_cassette_does_not_open_a_way_around_the_door(
    door: Callable[..., Door], http: httpx2.Client, tmp_path: Path
) -> None:
    guard = door(RecordMode.REPLAY)
    with (
        guard.playing(empty()),
        vcr.use_cassette(tmp_path / "plain.yaml", record_mode="all"),
        pytest.raises(CassetteMissError),
    ):
        http.post(API, json=QUESTION)


def test_the_moment_in_which_vcrpy_connects_does_not_open_a_way_around_the_door(
    door: Callable[..., Door], http: httpx2.Client
) -> None:
    from vcr.patch import force_reset

    with door(RecordMode.REPLAY).playing(empty()), force_reset(), pytest.raises(CassetteMissError):
        http.post(API, json=QUESTION)


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        pytest.param("SyncHttpxClientWrapper", httpx2.MockTransport, id="sync"),
        pytest.param("AsyncHttpxClientWrapper", httpx2.MockTransport, id="async"),
    ],
)
def test_an_sdk_whose_requests_go_another_way_is_refused(
    name: str, transport: type[httpx2.MockTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    from anthropic import _base_client

    wrapper = getattr(_base_client, name)

    def another_way(**settings: object) -> object:
        return wrapper(transport=transport(lambda _: httpx2.Response(200)), **settings)

    another_way.__qualname__ = name
    monkeypatch.setattr(_base_client, name, another_way)
    door = Door(mode=RecordMode.REPLAY)

    with pytest.raises(UncoveredClientError, match=f"{name}, which is not intercepted"):
        door.install()
    assert not door.installed


def test_the_sdk_s_own_default_clients_pass_the_door(door: Callable[..., Door]) -> None:
    question = {"model": "m", "max_tokens": 1, "messages": []}
    with door(RecordMode.REPLAY).playing(empty()), pytest.raises(CassetteMissError):
        anthropic.Anthropic(api_key="sk-test").post("/v1/messages", cast_to=object, body=question)


@pytest.mark.slow
def test_the_sdk_is_probed_as_soon_as_it_is_there_and_never_imported_for_it() -> None:
    program = textwrap.dedent(
        """
        import sys
        from pytest_mnemosyne.cassette import Cassette, Door, RecordMode, UncoveredClientError

        door = Door(mode=RecordMode.REPLAY)
        with door.playing(Cassette(None, mode=RecordMode.REPLAY)):
            assert "anthropic" not in sys.modules
        try:
            with door.playing(Cassette(None, mode=RecordMode.REPLAY)):
                from anthropic import _base_client
                del _base_client.SyncHttpxClientWrapper
        except UncoveredClientError as error:
            print(error.client)
        """
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "SyncHttpxClientWrapper\n"


@pytest.mark.parametrize(
    ("url", "rebased"),
    [
        pytest.param("http://h:1", "http://h:1/v1/messages?beta=true", id="origin"),
        pytest.param("http://h:1/", "http://h:1/v1/messages?beta=true", id="slash"),
        pytest.param("http://h/a/b", "http://h/a/b/v1/messages?beta=true", id="path"),
    ],
)
def test_an_upstream_takes_the_api_s_path_and_query(url: str, rebased: str) -> None:
    given = "https://proxy.example/claude/v1/messages?beta=true"
    assert Upstream(url).rebased(given) == rebased


@pytest.mark.parametrize("url", ["", "scripted", "ftp://h", "http://", "http://h:port", "http://["])
def test_an_upstream_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="an upstream is a URL such as"):
        Upstream(url)
