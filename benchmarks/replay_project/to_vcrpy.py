"""Writes the recorded cassettes again, by vcrpy's own serializer, for the peers.

    python to_vcrpy.py cassettes/test_mnemosyne cassettes/test_recording_shared ...

The bodies are the recorded ones, byte for byte; the last answer also becomes the one
that the floor hands out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urljoin

from asking import ANSWER
from vcr.request import Request
from vcr.serialize import serialize
from vcr.serializers import yamlserializer

from pytest_mnemosyne.cassette import Interaction, load


def as_vcrpy(recorded: Interaction) -> str:
    response = recorded.response
    assert response is not None
    request = Request(
        method=recorded.request.method,
        uri=urljoin("https://api.anthropic.com", recorded.request.url),
        body=recorded.request.body,
        headers=dict(recorded.request.headers),
    )
    answer = {
        "status": {"code": response.status, "message": "OK"},
        "headers": {name: [value] for name, value in response.headers},
        "body": {"string": response.body},
    }
    return str(serialize({"requests": [request], "responses": [answer]}, yamlserializer))


def main() -> None:
    source, *targets = map(Path, sys.argv[1:])
    for path in source.glob("*.yaml"):
        file = load(path)
        (recorded,) = file.interactions
        assert recorded.response is not None
        assert file.recorded is not None
        assert file.recorded.test is not None
        name = file.recorded.test.partition("::")[2]
        ANSWER.write_bytes(recorded.response.body)
        for target in targets:
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{name}.yaml").write_text(as_vcrpy(recorded), encoding="utf-8")


main()
