from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_mnemosyne.wire import (
    Address,
    ClaudeHosts,
    HostKind,
    host_kind,
    is_api_path,
    is_loopback,
)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        pytest.param("api.anthropic.com", HostKind.CLAUDE, id="the-api"),
        pytest.param("API.Anthropic.com.", HostKind.CLAUDE, id="any-case-and-final-dot"),
        pytest.param("api.claude.com", HostKind.CLAUDE, id="other-domain"),
        pytest.param("api-staging.anthropic.com", HostKind.CLAUDE, id="another-api"),
        pytest.param("eu.api.anthropic.com", HostKind.CLAUDE, id="below-the-api"),
        pytest.param("claude.googleapis.com", HostKind.CLAUDE, id="google-dedicated"),
        pytest.param("aws-external-anthropic.eu-west-1.api.aws", HostKind.CLAUDE, id="aws"),
        pytest.param("bedrock-runtime.us-east-1.amazonaws.com", HostKind.SHARED, id="bedrock"),
        pytest.param("bedrock-runtime-fips.us-east-1.amazonaws.com", HostKind.SHARED, id="fips"),
        pytest.param("bedrock-mantle.us-east-1.api.aws", HostKind.SHARED, id="mantle"),
        pytest.param("us-east5-aiplatform.googleapis.com", HostKind.SHARED, id="vertex"),
        pytest.param("aiplatform.eu.rep.googleapis.com", HostKind.SHARED, id="vertex-europe"),
        pytest.param("acme.services.ai.azure.com", HostKind.SHARED, id="foundry"),
        pytest.param("docs.anthropic.com", HostKind.OTHER, id="documentation"),
        pytest.param("claude.com", HostKind.OTHER, id="website"),
        pytest.param("api.anthropic.com.evil.example", HostKind.OTHER, id="only-begins-like-it"),
        pytest.param("notapi.anthropic.com.", HostKind.OTHER, id="only-ends-like-it"),
        pytest.param("s3.us-east-1.amazonaws.com", HostKind.OTHER, id="other-aws"),
        pytest.param("api.openai.com", HostKind.OTHER, id="somebody-else"),
    ],
)
def test_a_host_is_judged_by_its_name(host: str, kind: HostKind) -> None:
    assert host_kind(host) is kind


@pytest.mark.parametrize(
    ("url", "covered"),
    [
        pytest.param("https://api.anthropic.com/v1/messages?beta=true", True, id="the-api"),
        pytest.param("https://api.anthropic.com", True, id="without-a-path"),
        pytest.param(
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-x/invoke",
            True,
            id="claude-on-bedrock",
        ),
        pytest.param(
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova/invoke",
            False,
            id="another-model-on-bedrock",
        ),
        pytest.param(
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/"
            "anthropic/models/claude-x:rawPredict",
            True,
            id="claude-on-vertex",
        ),
        pytest.param(
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/"
            "google/models/gemini:predict",
            False,
            id="another-model-on-vertex",
        ),
        pytest.param("https://huggingface.co/claude-3/tokenizer.json", False, id="named-only"),
        pytest.param("/v1/messages", False, id="no-host"),
        pytest.param("", False, id="empty"),
    ],
)
def test_a_request_is_covered_by_host_and_path(url: str, covered: bool) -> None:
    assert ClaudeHosts().covers(url) is covered


def test_a_declared_base_url_covers_what_lies_below_it_and_nothing_beside_it() -> None:
    hosts = ClaudeHosts(["http://127.0.0.1:4000/claude/"])

    assert hosts.covers("http://127.0.0.1:4000/claude/v1/messages")
    assert not hosts.covers("http://127.0.0.1:4000/claudette/v1/messages")
    assert not hosts.covers("http://127.0.0.1:4001/claude/v1/messages")
    assert not hosts.covers("http://localhost:4000/other")


def test_the_environment_declares_base_urls() -> None:
    environ = {"ANTHROPIC_BASE_URL": "https://llm.example.org", "ANTHROPIC_VERTEX_BASE_URL": ""}

    hosts = ClaudeHosts.from_environment(environ, "http://127.0.0.1:9/")

    assert hosts.covers("https://LLM.example.org:443/v1/messages")
    assert hosts.covers("http://127.0.0.1:9/v1/messages")
    assert not hosts.covers("https://example.org/v1/messages")


def test_a_bare_host_counts_only_where_all_that_it_serves_is_claude() -> None:
    hosts = ClaudeHosts(["https://llm.example.org", "http://localhost:8080"])

    assert hosts.covers_host("api.anthropic.com")
    assert hosts.covers_host("llm.example.org")
    assert not hosts.covers_host("localhost")
    assert not hosts.covers_host("bedrock-runtime.us-east-1.amazonaws.com")


@pytest.mark.parametrize(
    ("path", "known"),
    [
        pytest.param("/v1/messages", True, id="messages"),
        pytest.param("/v1/messages/count_tokens", True, id="count-tokens"),
        pytest.param("/proxy/v1/messages/batches/b1", True, id="below-a-prefix"),
        pytest.param("/v1/models/", True, id="models"),
        pytest.param("/v1/complete", True, id="old-completions"),
        pytest.param("/v1/chat/completions", False, id="another-api"),
        pytest.param("/v1/messagesque", False, id="only-begins-like-it"),
        pytest.param("/messages", False, id="no-version"),
    ],
)
def test_paths_of_the_api_are_known(path: str, known: bool) -> None:
    assert is_api_path(path) is known


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1.example.org", "localhost.example.org"])
def test_another_machine_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_is_taken_from_a_url_with_everything_in_it() -> None:
    address = Address.of("HTTPS://user:secret@Host.example:8443/a/b?c=d#e")

    assert address == Address(host="host.example", port=8443, path="/a/b")


def test_an_address_has_the_port_of_its_scheme() -> None:
    assert Address.of("http://[::1]") == Address(host="::1", port=80, path="/")


def test_asking_about_hosts_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pytest_mnemosyne.wire import ClaudeHosts; "
        "heavy = {'anthropic', 'pydantic', 'vcr', 'httpx2', 'hypothesis', 'uvicorn', 'asyncio',"
        " 'json', 'ssl'}; print(sorted(heavy & set(sys.modules)))"
    )

    # What the interpreter loads before it runs any code is none of our doing.
    seen = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert seen.stdout.strip() == "[]"
