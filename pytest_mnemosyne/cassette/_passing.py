"""How vcrpy's connection stubs leave alone what is none of the door's business.

A stub reads every answer to its end before anybody sees it, and forgets how the client
wanted it read. For a cassette that is right; for a request to another host it would
turn a stream that never ends into a hang. So for those the stub only passes on: the
request with the client's own settings, and the answer as the real connection gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import vcr.patch
import vcr.stubs

Method = Callable[..., Any]
Patch = tuple[object, str, object]

_SETTINGS = "_mnemosyne_settings"


def passing_patches(passes: Callable[[Any], bool]) -> Iterator[Patch]:
    """What to replace in vcrpy's stubs; `passes` judges a stub whose request is complete."""
    base = vcr.stubs.VCRConnection
    yield base, "request", _keeping_settings(base.request)
    yield base, "getresponse", _passing(base.getresponse, passes)
    if find_spec("urllib3") is not None:
        from vcr.stubs import urllib3_stubs

        # Its stubs refit the answer for urllib3; a real answer fits already.
        mixin = urllib3_stubs._VCRRequestsConnectionMixin
        yield mixin, "getresponse", _passing(mixin.getresponse, passes)


def _keeping_settings(real: Method) -> Method:
    def request(
        stub: Any, method: str, url: str, body: Any = None, headers: Any = None, **settings: Any
    ) -> Any:
        # Straight into the dictionary: a stub copies attributes to its connection.
        stub.__dict__[_SETTINGS] = settings
        return real(stub, method, url, body, headers, **settings)

    return request


def _passing(real: Method, passes: Callable[[Any], bool]) -> Method:
    def getresponse(stub: Any, *args: Any, **options: Any) -> Any:
        if not passes(stub):
            return real(stub, *args, **options)
        _send(stub)
        return stub.real_connection.getresponse(*args, **options)

    return getresponse


def _send(stub: Any) -> None:
    asked = stub._vcr_request
    # Real connections find their own classes by name, which are replaced by stubs.
    with vcr.patch.force_reset():
        waiting = stub.__dict__.pop("_deferred_connect", None)
        if waiting is not None:
            args, options = waiting
            stub.real_connection.connect(*args, **options)
        stub.real_connection.request(
            asked.method,
            stub._url(asked.uri),
            body=asked.body_bytes,
            headers=asked.headers,
            **stub.__dict__.get(_SETTINGS, {}),
        )
