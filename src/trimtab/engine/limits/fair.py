"""A queue of waiters in which nobody's flood delays anybody else: tenants take turns, and within a tenant first come, first served."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class FairQueue:
    """Round robin over tenants (Nagle, RFC 970). ``size`` counts those who still wait."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.size = 0

    def join(self, tenant: str) -> asyncio.Future[None]:
        """A place at the end of the tenant's line. Whoever gives up calls :meth:`leave`."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.setdefault(tenant, deque()).append(place)
        self.size += 1
        return place

    def leave(self, tenant: str, place: asyncio.Future[None]) -> None:
        line = self._turns.get(tenant)
        if line is not None and place in line:
            line.remove(place)
            self.size -= 1
            if not line:
                del self._turns[tenant]

    def peek(self) -> asyncio.Future[None] | None:
        """Whose turn it is. Those who gave up, and have not left yet, are passed over."""
        while self._turns:
            tenant, line = next(iter(self._turns.items()))
            if not line[0].done():
                return line[0]
            self.leave(tenant, line[0])
        return None

    def call(self) -> bool:
        """Wake the one whose turn it is; their tenant's next turn comes after all others'. False when nobody waits."""
        place = self.peek()
        if place is None:
            return False
        tenant, line = self._turns.popitem(last=False)
        line.popleft()
        self.size -= 1
        if line:
            self._turns[tenant] = line
        place.set_result(None)
        return True
