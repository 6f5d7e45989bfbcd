"""Proof that the SDK's requests pass the door, so that a new HTTP library cannot slip by.

A request to a host that does not exist is sent through the clients that the SDK makes
by default. The door's handlers answer it; anything else means that the SDK talks to
the network in a way that nobody intercepts, and then nothing may be played or recorded.

The probe is made once, as soon as the SDK is there. It is never imported for the probe:
who does not use it would pay more than a second for nothing.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from mnemosyne_core.errors import MnemosyneError
from pytest_mnemosyne.cassette._door_httpx import PROBE_STATUS, PROBE_URL


class UncoveredClientError(MnemosyneError):
    """The SDK reaches the network past the door.

    Attributes:
        client: The SDK's HTTP client class.
        version: The SDK's version.
    """

    code = "uncovered_client"

    def __init__(self, *, client: str, version: str) -> None:
        self.client = client
        self.version = version
        super().__init__(
            f"anthropic {version} sends its requests with {client}, which is not intercepted, so "
            "a test could reach the network unseen; upgrade pytest-mnemosyne, or pin anthropic to "
            "an earlier version"
        )


def probe() -> None:
    """Send the probe through the SDK's default clients, synchronous and asynchronous.

    Raises:
        UncoveredClientError: One of them does not pass the door.
    """
    import anthropic
    from anthropic import _base_client

    # Made as the SDK makes them, save the certificates, which take 30 ms to load.
    for name in ("SyncHttpxClientWrapper", "AsyncHttpxClientWrapper"):
        kind = getattr(_base_client, name, None)
        if kind is None or not _passes(kind(base_url=PROBE_URL, verify=False, trust_env=False)):
            raise UncoveredClientError(
                client=name if kind is None else f"{kind.__module__}.{kind.__qualname__}",
                version=anthropic.__version__,
            )


def _passes(client: Any) -> bool:
    """Whether a client's request is answered by the door's handlers."""
    asynchronous = hasattr(client, "aclose")
    try:
        response = _run_at_once(client.get("/")) if asynchronous else client.get("/")
    except Exception:  # noqa: BLE001 - whatever went wrong, the door did not answer
        return False
    if asynchronous:
        # Without an event loop there is no way to close it, and nothing was opened.
        with suppress(Exception):
            _run_at_once(client.aclose())
    else:
        client.close()
    return bool(response.status_code == PROBE_STATUS)


def _run_at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never has to wait, with or without a running event loop.

    The door answers without waiting; a client that waits is talking to somebody else.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    finally:
        coroutine.close()
    raise RuntimeError("the probe had to wait for an answer")
