from collections.abc import MutableMapping
from typing import Any

class Request:
    method: str
    uri: str
    headers: MutableMapping[str, Any]
    body: Any
    def __init__(self, method: str, uri: str, body: object, headers: object) -> None: ...
