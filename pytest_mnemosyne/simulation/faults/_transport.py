"""Transports with faults: between any client of httpx2, such as the SDK, and any transport."""

from __future__ import annotations

import httpx2

from mnemosyne_core import lane
from pytest_mnemosyne.simulation.faults._fault import Place
from pytest_mnemosyne.simulation.faults._httpx import HttpxFaults, json_object
from pytest_mnemosyne.simulation.faults._plan import FaultPlan
from pytest_mnemosyne.simulation.faults._running import Meeting, RunningPlan, Strike


class _Faulty:
    """A plan in front of a transport."""

    def __init__(self, plan: FaultPlan | RunningPlan) -> None:
        # What a plan says of other places cannot be met here, and is not missed.
        self._running = (
            plan if isinstance(plan, RunningPlan) else RunningPlan(plan.at(Place.PROVIDER))
        )
        self._faults = HttpxFaults(httpx2)

    @property
    def strikes(self) -> tuple[Strike, ...]:
        """What has happened so far, in order."""
        return self._running.strikes

    def check_met(self) -> None:
        """Check that everything that is sure to be met was met.

        Raises:
            FaultsNotMetError: Something was not.
        """
        self._running.check_met()

    def _meet(self, asked: httpx2.Request) -> Meeting:
        return self._running.meet(
            lane=lane.current.get(),
            streamed=json_object(asked.content).get("stream") is True,
        )


class FaultyTransport(_Faulty, httpx2.AsyncBaseTransport):
    """A transport for `httpx2.AsyncClient` whose answers go wrong as a plan says."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, plan: FaultPlan | RunningPlan) -> None:
        """Stand in front of `inner`, and close it in the end.

        Args:
            inner: What answers where nothing goes wrong.
            plan: What goes wrong. One that is running already says where its chance and its
                time come from, and may stand in front of several transports.
        """
        super().__init__(plan)
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as `inner` does, unless the plan has something for this call."""
        await request.aread()
        meeting = self._meet(request)
        return await self._faults.exchange_async(meeting, request, self._inner.handle_async_request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class FaultySyncTransport(_Faulty, httpx2.BaseTransport):
    """A transport for `httpx2.Client` whose answers go wrong as a plan says."""

    def __init__(self, inner: httpx2.BaseTransport, plan: FaultPlan | RunningPlan) -> None:
        """Stand in front of `inner`, and close it in the end; as `FaultyTransport` does."""
        super().__init__(plan)
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as `inner` does, unless the plan has something for this call."""
        request.read()
        return self._faults.exchange(self._meet(request), request, self._inner.handle_request)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()
