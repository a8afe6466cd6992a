"""The seam: one method, and what it yields."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from trimtab.core.catalog import Deployment
from trimtab.core.events import Frame
from trimtab.core.messages import Request
from trimtab.core.units import Deadline


class Upstream(Struct, frozen=True):
    """An answer under way. ``frames`` ends after a frame that holds ``Ended``, or raises :class:`ProviderError`; never silently.

    ``lost`` names what the upstream's dialect could not carry of the request.
    """

    frames: AsyncIterator[Frame]
    upstream_id: str = ""
    lost: tuple[str, ...] = ()


class Provider(Protocol):
    def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AbstractAsyncContextManager[Upstream]:
        """Send ``request`` to ``deployment`` and hold the answer open.

        Entering returns once the upstream has answered with a good status line; it raises :class:`ProviderError`, or
        :class:`EgressRefused` when the boundary says no, and nothing else. Leaving closes the connection.
        """
