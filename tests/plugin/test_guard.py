"""In replay mode nothing reaches a Claude host, whoever asks and however."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from typing import Any

import pytest

from pytest_mnemosyne.plugin._guard import Guard
from tests.plugin.project import Project

CONTACTS = {
    "resolving-the-name": """
        import socket
        def test_it():
            socket.getaddrinfo("api.anthropic.com", 443)
    """,
    "resolving-it-in-a-loop": """
        async def test_it():
            await asyncio.get_running_loop().getaddrinfo("api.anthropic.com", 443)
    """,
    "connecting": """
        import socket
        def test_it():
            socket.create_connection(("api.anthropic.com", 443), timeout=1)
    """,
    "urllib": """
        import urllib.request
        def test_it():
            urllib.request.urlopen("https://api.anthropic.com/v1/models", timeout=1)
    """,
    "the-sdk": """
        async def test_it():
            from anthropic import AsyncAnthropic
            await ask(AsyncAnthropic(api_key="none"), "hello")
    """,
    "the-sync-sdk-absorbed": """
        def test_it():
            from anthropic import Anthropic
            with contextlib.suppress(BaseException):
                ask_sync(Anthropic(api_key="none"), "hello")
    """,
    "tls-through-a-tunnel": """
        import socket, ssl
        def test_it():
            here, there = socket.socketpair()
            with here, there:
                ssl.create_default_context().wrap_socket(
                    here, server_hostname="api.anthropic.com"
                )
    """,
    "tls-on-memory": """
        import ssl
        def test_it():
            ssl.create_default_context().wrap_bio(
                ssl.MemoryBIO(), ssl.MemoryBIO(), False, "api.anthropic.com"
            )
    """,
    "xfail": """
        import socket
        @pytest.mark.xfail
        def test_it():
            socket.getaddrinfo("api.anthropic.com", 443)
    """,
}


@pytest.mark.parametrize("source", CONTACTS.values(), ids=CONTACTS)
def test_a_test_without_a_cassette_cannot_reach_claude(project: Project, source: str) -> None:
    project.test_file(source)

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["api.anthropic.com was contacted by a test without a cassette*", "*use the fixture*"]
    )


def test_a_client_that_no_cassette_covers_is_held_too(project: Project) -> None:
    project.test_file(
        """
        import socket
        def test_it(claude_cassette):
            socket.getaddrinfo("api.anthropic.com", 443)
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a client that the test's cassette does not cover*"])


def test_a_proxy_of_the_environment_does_not_open_a_way_out(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 of this host: whoever goes through the proxy gets a refused connection.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    project.test_file(
        """
        import urllib.request
        def test_it():
            urllib.request.urlopen("https://api.anthropic.com/v1/models", timeout=1)
        """
    )

    result = project.run()

    result.stdout.fnmatch_lines(["api.anthropic.com was contacted by*"])
    assert "no_proxy" not in os.environ


def test_loopback_is_not_held(project: Project) -> None:
    project.test_file(
        """
        import socket
        def test_it():
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname(), timeout=1).close()
            assert socket.getaddrinfo("localhost", 80)
        """
    )

    project.run().assert_outcomes(passed=1)


def test_contact_while_modules_are_imported_fails_the_run(project: Project) -> None:
    project.test_file(
        """
        import socket
        with contextlib.suppress(BaseException):
            socket.getaddrinfo("api.anthropic.com", 443)

        def test_it():
            pass
        """
    )

    result = project.run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["outside every test", "*api.anthropic.com was contacted*"])


class _Refused(BaseException):
    pass


def _guard(environ: dict[str, str] | None = None) -> tuple[Guard, list[str]]:
    refused: list[str] = []

    def refuse(host: str) -> BaseException | None:
        if not host.endswith("claude.test"):
            return None
        refused.append(host)
        return _Refused(host)

    return Guard(refuse=refuse, environ={} if environ is None else environ), refused


def test_the_guard_leaves_nothing_behind() -> None:
    before = (socket.getaddrinfo, ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio)
    guard, _refused = _guard()

    guard.install()
    assert socket.getaddrinfo is not before[0]
    guard.uninstall()
    guard.uninstall()

    assert (socket.getaddrinfo, ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio) == before


def test_a_patch_on_top_of_the_guard_survives_it() -> None:
    guard, _refused = _guard()
    original = socket.getaddrinfo
    guard.install()

    on_top: Any = functools.partial(original)
    socket.getaddrinfo = on_top
    guard.uninstall()

    assert socket.getaddrinfo is on_top
    socket.getaddrinfo = original


@pytest.mark.parametrize("host", ["api.claude.test", b"api.claude.test"], ids=["text", "bytes"])
def test_a_refused_host_is_told_and_raised(host: str | bytes) -> None:
    guard, refused = _guard()
    guard.install()
    try:
        with pytest.raises(_Refused):
            socket.getaddrinfo(host, 443)
    finally:
        guard.uninstall()

    assert refused == ["api.claude.test"]


@pytest.mark.parametrize(
    ("environ", "no_proxy"),
    [
        pytest.param({}, None, id="no-proxy-nothing-changes"),
        pytest.param({"NO_PROXY": "here"}, None, id="exceptions-without-a-proxy"),
        pytest.param({"HTTPS_PROXY": "p"}, "anthropic.com,claude.com", id="proxy"),
        pytest.param({"https_proxy": "p", "no_proxy": "here"}, "here,anthropic.com", id="kept"),
        pytest.param({"ALL_PROXY": "p", "NO_PROXY": "here"}, "here,anthropic.com", id="upper-case"),
        pytest.param({"HTTPS_PROXY": "p", "no_proxy": "*"}, None, id="everything-already"),
    ],
)
def test_clients_resolve_claude_themselves_where_the_environment_has_a_proxy(
    environ: dict[str, str], no_proxy: str | None
) -> None:
    before = dict(environ)
    guard, _refused = _guard(environ)

    guard.install()
    try:
        if no_proxy is None:
            assert environ == before
        else:
            assert environ["no_proxy"].startswith(no_proxy)
            assert environ["NO_PROXY"] == environ["no_proxy"]
    finally:
        guard.uninstall()

    assert environ == before
