from typing import Any

class _VCRRequestsConnectionMixin:
    def getresponse(self, *args: Any, **kwargs: Any) -> Any: ...
