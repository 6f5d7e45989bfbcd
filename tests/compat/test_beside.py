"""Whatever the client: Claude's requests are the door's, all others vcrpy's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import vcr
import yaml

from pytest_mnemosyne.cassette import (
    Cassette,
    CassetteFile,
    Door,
    Interaction,
    RecordMode,
    Request,
    Response,
    beside,
)
from tests.cassette.door.test_other_clients import CLIENTS, Post

CLAUDE = "http://api.anthropic.com"
ELSEWHERE = "http://elsewhere.invalid"
QUESTION: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@contextmanager
def both(folder: Path, times: int = 1) -> Iterator[None]:
    """A cassette of ours and one of vcrpy's, each with its answers to the same request."""
    asked = Request(method="POST", url=f"{CLAUDE}/v1/messages", body=json.dumps(QUESTION).encode())
    answered = Response(status=200, headers=(("content-type", "text/plain"),), body=b"ours")
    file = CassetteFile(interactions=(Interaction(request=asked, response=answered),) * times)
    path = folder / "theirs.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "interactions": [_vcrpys()] * times}), "utf-8")
    door = Door(mode=RecordMode.REPLAY)
    ours = Cassette(Path("ours.yaml"), mode=RecordMode.REPLAY, loader=lambda _: file)
    config = vcr.VCR(record_mode="none").get_merged_config(path=str(path))
    try:
        with beside(door, config) as theirs, door.playing(ours):
            yield
        assert (ours.played, sum(theirs.play_counts.values())) == (times, times)
    finally:
        door.uninstall()


def _vcrpys() -> dict[str, object]:
    asked = {"method": "POST", "uri": f"{ELSEWHERE}/v1/messages", "body": "", "headers": {}}
    status = {"code": 200, "message": "OK"}
    return {
        "request": asked,
        "response": {"status": status, "headers": {}, "body": {"string": "theirs"}},
    }


@CLIENTS
def test_each_request_goes_to_its_own_cassette(post: Post, tmp_path: Path) -> None:
    with both(tmp_path):
        assert post(CLAUDE, QUESTION) == b"ours"
        assert post(ELSEWHERE, QUESTION) == b"theirs"


def test_so_it_is_for_aiohttp(tmp_path: Path) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def ask() -> list[str]:
        async with aiohttp.ClientSession() as session:
            answers = []
            for host in (CLAUDE, ELSEWHERE):
                async with session.post(f"{host}/v1/messages", json=QUESTION) as answer:
                    answers.append(await answer.text())
            return answers

    with both(tmp_path):
        assert asyncio.run(ask()) == ["ours", "theirs"]


def test_so_it_is_for_clients_that_ask_at_once(tmp_path: Path) -> None:
    async def ask() -> list[str]:
        async with httpx2.AsyncClient(verify=False) as client:
            urls = [f"{host}/v1/messages" for host in (CLAUDE, ELSEWHERE) * 3]
            answers = await asyncio.gather(*(client.post(url, json=QUESTION) for url in urls))
            return [answer.text for answer in answers]

    with both(tmp_path, times=3):
        assert asyncio.run(ask()) == ["ours", "theirs"] * 3


def test_what_it_replaces_is_back_afterwards(tmp_path: Path) -> None:
    methods: list[Callable[..., object]] = [
        httpx2.HTTPTransport.handle_request,
        httpx2.AsyncHTTPTransport.handle_async_request,
    ]

    with both(tmp_path, times=0):
        assert httpx2.HTTPTransport.handle_request is not methods[0]

    assert methods == [
        httpx2.HTTPTransport.handle_request,
        httpx2.AsyncHTTPTransport.handle_async_request,
    ]
