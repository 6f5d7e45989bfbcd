from collections.abc import Sequence
from typing import Any

def deserialize(cassette_string: str, serializer: object) -> Sequence[Any]: ...
