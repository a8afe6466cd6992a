"""What a batch and a file are, as they are kept. They know nothing of how either protocol shows them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from trimtab.core.units import DAY_NS
from trimtab.engine.caller import Caller
from trimtab.wire.batches import Ending, LineFault

WINDOW_NS = DAY_NS
"""The completion window: both protocols know no other."""

Flavour = Literal["openai", "anthropic"]
KINDS: Mapping[Flavour, str] = {"openai": "batch", "anthropic": "message_batch"}
"""The kind of document that a batch of each protocol is kept as."""


class Status(StrEnum):
    """OpenAI's words; Anthropic's fewer ones follow from them."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED)


class Batch(Struct, frozen=True, kw_only=True):
    """``caller`` is who asked, with what their headers said; what the key may do is looked up when a line runs.

    ``until_ns`` ends the completion window. ``reached`` tells when each status was. ``counts`` are of lines that have a result, and the
    whole of ``total`` once the batch has ended. ``output`` and ``errors_file`` are the ids under which results will be, or are, found.
    """

    id: str
    flavour: Flavour
    endpoint: str
    caller: Caller
    headers: tuple[tuple[str, str], ...] = ()
    input_file: str = ""
    metadata: dict[str, str] | None = None
    status: Status = Status.VALIDATING
    created_ns: int
    until_ns: int
    kept_until_ns: int
    reached: Mapping[Status, int] = field(default_factory=dict)
    total: int = 0
    counts: Mapping[Ending, int] = field(default_factory=dict)
    faults: tuple[LineFault, ...] = ()
    output_seconds: int | None = None
    output: str = ""
    errors_file: str = ""

    @property
    def kind(self) -> str:
        return KINDS[self.flavour]

    def at(self, status: Status, at_ns: int) -> Batch:
        return replace(self, status=status, reached={**self.reached, status: at_ns})


class KeptFile(Struct, frozen=True, kw_only=True):
    """``name`` is what the client called it, and never a path of ours: on the disk a file is called by its id."""

    id: str
    name: str
    purpose: str
    size: int
    created_ns: int
    expires_ns: int
