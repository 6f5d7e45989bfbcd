"""From a file's bytes to plain data, and what to say of bytes that hold none."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Final

from pytest_mnemosyne.cassette._yaml import YamlProblem, parse_yaml


class UnknownContainer(Exception):  # noqa: N818 - a finding, made an error with a path by its reader
    """Neither YAML nor JSON, or no recording in it.

    Attributes:
        container: What it seems to be.
    """

    def __init__(self, container: str) -> None:
        self.container = container
        super().__init__(container)


_MAGIC: Final = (
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x28\xb5\x2f\xfd", "zstandard data"),
    (b"\x78\x01", "zlib data"),
    (b"\x78\x5e", "zlib data"),
    (b"\x78\x9c", "zlib data"),
    (b"\x78\xda", "zlib data"),
)

_SIGN: Final = re.compile(
    rb"""(?:^|[\s{,])["']?(?:mnemosyne|interactions|http_interactions|entries|request)["']?\s*:"""
)
"""A key that every recording has, whoever wrote it."""


def parse_document(data: bytes) -> object:
    """The plain data in a YAML or JSON file.

    Raises:
        YamlProblem: It is damaged.
        UnknownContainer: It is of another kind altogether.
    """
    packed = packing(data)
    if packed is not None:
        raise UnknownContainer(packed)
    if not data.strip():
        raise YamlProblem(None, "the file is empty")
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"{", b"[")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            # YAML may begin like this too; its reader then says what is wrong.
            return parse_yaml(data)
    return parse_yaml(data)


def looks_recorded(data: bytes) -> bool:
    """Whether data that cannot be parsed has a key that recorders write: then it is damaged."""
    return _SIGN.search(data) is not None


def packing(data: bytes) -> str | None:
    """What a file is packed in, so that nothing is seen from outside; `None` where it is not."""
    inner = _packed_in_base64(data)
    if inner is not None:
        return f"base64 of {inner}, as a project's own serializer writes it"
    return _magic(data)


def _magic(data: bytes) -> str | None:
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def _packed_in_base64(text: bytes) -> str | None:
    head = text[:64].strip()
    try:
        return _magic(base64.b64decode(head[: len(head) // 4 * 4], validate=True))
    except (binascii.Error, ValueError):
        return None
