"""The egress check: who the receivers are, what each may see, and the refusal.

``admit`` does not believe the plan. It takes the receiver's name, looks up URL and zone in what the operator configured, and holds them
against what the request carries. A forged deployment can therefore neither name a place nor a zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct, field

from trimtab.core.errors import EgressRefused
from trimtab.core.zones import Boundary, Secret, Sensitivity


class CredentialError(Exception):
    """A signer has no credential to give. ``is_passing``: nobody refused, so that the same may work a moment later.

    The text is safe to show and names the next step where there is one.
    """

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class Signer(Protocol):
    """Makes the credentials of one request right before it is sent: a signature, or a token that holds for a while."""

    async def headers(self, method: str, url: str, sent: Mapping[str, str], body: bytes | None) -> Mapping[str, Secret]:
        """The headers that carry them, over all others. ``url`` is as it goes onto the wire, ``sent`` the other headers in lower case.

        Raises :class:`CredentialError`.
        """


class Receiver(Struct, frozen=True, kw_only=True):
    """Somebody outside the process who is sent bytes. ``headers`` carry its credentials, and so does what ``signer`` adds to them."""

    id: str
    base_url: str
    zone: str
    headers: Mapping[str, Secret] = field(default_factory=dict)
    signer: Signer | None = None


class Receivers:
    """The register of all receivers, and the check in front of them."""

    def __init__(self, boundary: Boundary, receivers: Iterable[Receiver]) -> None:
        self._boundary = boundary
        self._known = {receiver.id: receiver for receiver in receivers}

    def __repr__(self) -> str:
        return f"<Receivers {sorted(self._known)}>"

    def register(self, receiver: Receiver) -> None:
        """Add one that came to be after the start, such as a local model's server. A known id is never given another place."""
        held = self._known.setdefault(receiver.id, receiver)
        if (held.base_url, held.zone) != (receiver.base_url, receiver.zone):
            raise ValueError(f"receiver {receiver.id!r} is already registered at another place")

    def admit(self, carried: frozenset[Sensitivity], receiver_id: str) -> Receiver:
        """The receiver, cleared for bytes that carry ``carried``; or :class:`EgressRefused`. Every doubt is a refusal."""
        receiver = self._known.get(receiver_id)
        if receiver is None:
            raise EgressRefused(
                f"Nothing leaves for {receiver_id!r}: it is not a configured receiver.",
                hint="Upstream addresses come from the configuration alone.",
            )
        if not self._boundary.admits(carried, receiver.zone):
            classes = ", ".join(sorted(carried)) or "no class at all"
            raise EgressRefused(
                f"Data of class {classes} may not leave for zone {receiver.zone!r} ({receiver_id}).",
                reasons={receiver_id: f"zone {receiver.zone} may not see {classes}"},
                hint="Add a deployment in a zone that may see it, or change the [boundary] table.",
            )
        return receiver
