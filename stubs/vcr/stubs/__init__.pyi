from typing import Any

class VCRConnection:
    cassette: Any
    def request(
        self, method: str, url: str, body: Any = ..., headers: Any = ..., *args: Any, **kwargs: Any
    ) -> None: ...
    def getresponse(self, _: bool = ..., **kwargs: Any) -> Any: ...
