"""The seam: one method, and what it yields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from trimtab.core.catalog import Deployment
from trimtab.core.errors import ProviderError
from trimtab.core.events import Frame
from trimtab.core.messages import Dialect, Request
from trimtab.core.units import Deadline


class Upstream(Struct, frozen=True):
    """An answer under way. ``frames`` ends after a frame that holds ``Ended``, or raises :class:`ProviderError`; never silently.

    ``lost`` names what the upstream's dialect could not carry of the request. ``dialect`` is the one that was spoken: frames of the
    client's own are forwarded. ``credential`` names the one of several that was used.
    """

    frames: AsyncIterator[Frame]
    upstream_id: str = ""
    lost: tuple[str, ...] = ()
    dialect: Dialect | None = None
    content_type: str = ""
    credential: str = ""


class Provider(Protocol):
    def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AbstractAsyncContextManager[Upstream]:
        """Send ``request`` to ``deployment`` and hold the answer open.

        Entering returns once the upstream has answered with a good status line; it raises :class:`ProviderError`, or
        :class:`EgressRefused` when the boundary says no, and nothing else. Leaving closes the connection.
        """


class BatchLine(Struct, frozen=True):
    """One request of a batch. ``id`` is ours, and tells the provider nothing."""

    id: str
    request: Request


class BatchAnswer(Struct, frozen=True):
    """What came of one line: the whole answer as one frame in the line's own dialect, or why there is none."""

    id: str
    answer: Frame | ProviderError


class BatchProvider(Protocol):
    """A provider's own batches. Like :class:`Provider` it raises :class:`ProviderError` or :class:`EgressRefused`, and never retries."""

    def takes(self, request: Request) -> bool:
        """Can such a request be a line, as it is? Nothing is translated here."""

    async def submit(self, deployment: Deployment, lines: Sequence[BatchLine]) -> str:
        """Hand over lines of one dialect; gives the provider's id. What leaves is held against the union of their classes."""

    async def has_ended(self, deployment: Deployment, id: str) -> bool: ...

    def answers(self, deployment: Deployment, id: str) -> AsyncGenerator[BatchAnswer]:
        """What came of the lines of a batch that has ended, in any order. A line that is not among them was not answered."""

    async def cancel(self, deployment: Deployment, id: str) -> None:
        """Ask for an early end. Lines that were answered by then are still among the answers."""
