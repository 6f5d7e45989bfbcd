"""One SDK client for all tests that replay, as new for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_mnemosyne.plugin._clients import SharedClients


@pytest.fixture
def clients() -> Iterator[SharedClients]:
    shared = SharedClients()
    yield shared
    shared.close()


def test_what_a_test_has_set_on_its_client_is_gone_for_the_next(clients: SharedClients) -> None:
    client = clients.for_async("key")
    resource, retries, url = client.messages, client.max_retries, client.base_url
    client.max_retries = retries + 5
    client.base_url = "http://127.0.0.1:9/elsewhere"
    client.note = "left behind"  # type: ignore[attr-defined]

    following = clients.for_async("key")

    assert (following.max_retries, following.base_url) == (retries, url)
    assert not hasattr(following, "note")
    assert following.messages is not resource


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9/here"),
        ("ANTHROPIC_CUSTOM_HEADERS", "x-team: blue"),
    ],
)
def test_settings_of_the_environment_hold_while_they_are_set(
    clients: SharedClients, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    def seen() -> tuple[str, object]:
        client = clients.for_async("key")
        return str(client.base_url), client.default_headers.get("x-team")

    before = seen()
    monkeypatch.setenv(name, value)
    during = seen()
    monkeypatch.delenv(name)

    assert seen() == before != during


def test_each_key_has_a_client(clients: SharedClients) -> None:
    assert clients.for_async("one").api_key == "one"
    assert clients.for_async("two").api_key == "two"


async def test_a_client_that_a_test_has_closed_serves_the_next(clients: SharedClients) -> None:
    async with clients.for_async("key") as client:
        await client.close()

    assert not clients.for_async("key").is_closed()
