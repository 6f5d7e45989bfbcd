"""Every genuine recording of Claude plays through the real SDK and gives what was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx2
import pytest

from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    Door,
    Interaction,
    RecordMode,
    UnreadableCassetteError,
    load,
    stored_form,
    write,
)

from ._sdk import call_of, check, check_async
from ._table import FOLDER, TABLE, files, loaded, name_of, render, with_claude

pytestmark = [
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason=f"no recordings at {FOLDER}; set MNEMOSYNE_RECORDINGS"
    ),
    # Recorded models grow old and the SDK says so.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

READABLE = [path for path in files() if path.suffix != ".zlib"]
PACKED = [path for path in files() if path.suffix == ".zlib"]

every_file = pytest.mark.parametrize("path", READABLE, ids=name_of)


class _Recorded(httpx2.BaseTransport):
    """Answers with one recorded response and keeps the request."""

    def __init__(self, interaction: Interaction) -> None:
        self._interaction = interaction
        self.asked: httpx2.Request | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.asked = request
        response = self._interaction.response
        assert response is not None
        return httpx2.Response(response.status, headers=response.headers, content=response.body)


@every_file
def test_each_recorded_answer_comes_out_of_the_sdk(path: Path) -> None:
    for interaction in with_claude(loaded(path)):
        transport = _Recorded(interaction)
        with httpx2.Client(transport=transport) as http:
            client = anthropic.Anthropic(api_key="none", http_client=http, max_retries=0)
            check(call_of(interaction.request), interaction, client)

        assert transport.asked is not None
        assert str(transport.asked.url) == interaction.request.url
        if interaction.request.body.startswith(b"{"):
            # The SDK was given what was recorded and asked exactly that.
            assert json.loads(transport.asked.content) == json.loads(interaction.request.body)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    door = Door(mode=RecordMode.REPLAY)
    door.install()
    yield door
    door.uninstall()


@every_file
async def test_each_file_plays_as_a_cassette(door: Door, path: Path) -> None:
    cassette = Cassette(path, mode=RecordMode.REPLAY, loader=loaded)
    transport = httpx2.AsyncHTTPTransport(verify=False)
    with door.playing(cassette):
        async with httpx2.AsyncClient(transport=transport) as http:
            client = anthropic.AsyncAnthropic(api_key="none", http_client=http, max_retries=0)
            for interaction in with_claude(loaded(path)):
                await check_async(call_of(interaction.request), interaction, client)

    assert cassette.played == len(with_claude(loaded(path)))
    assert cassette.unplayed() == []


@every_file
def test_each_file_is_written_as_our_own_and_read_again(tmp_path: Path, path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    interactions = tuple(map(stored_form, loaded(path).interactions))

    write(copy, CassetteFile(interactions=interactions))

    assert load(copy).interactions == interactions


@pytest.mark.parametrize("path", PACKED, ids=name_of)
def test_a_container_of_a_projects_own_is_refused_by_name(path: Path) -> None:
    with pytest.raises(UnreadableCassetteError, match="base64 of zlib data"):
        load(path)


def test_the_table_is_current() -> None:
    assert TABLE.read_text("utf-8") == render(), "python -m tests.recordings._table writes it"
