"""Rows as bytes and back, and what a request's rows amount to. Shared by all backends, so that they agree to the byte.

This file knows nothing of where rows are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.errors import LedgerError
from trimtab.core.record import Correction, Intent, Outcome, OutcomeKind, Record, Row
from trimtab.core.units import NanoUSD

# Sets have no order of their own: without one, the same row would have several bodies and no digest to rely on.
_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[Row] = msgspec.json.Decoder(Row)
_WORD = 1 << 63


class Entry(Struct, frozen=True):
    """A row as it is kept. ``body`` is what the chain covers: the row without its ``content_key``."""

    row: Row
    kind: str
    id: str
    at_ns: int
    body: bytes
    content_key: bytes = b""


class Figures(Struct, frozen=True):
    """What one request adds to the totals. ``outcome`` is ``None`` while it is unsettled."""

    outcome: OutcomeKind | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: NanoUSD | None = None


def encode(row: Row) -> Entry:
    """The row as bytes. Raises :class:`LedgerError` for one that could not be given back as it came."""
    if not row.id:
        raise LedgerError("A row without an id cannot be kept.")
    bare, key = row, b""
    if isinstance(row, Intent):
        bare, key = replace(row, content_key=b""), row.content_key
        numbers: tuple[int | None, ...] = (row.at_ns,)
        if not math.isfinite(row.decision.signals.complexity):
            raise LedgerError(f"The intent of {row.id} has a complexity that is not a number; JSON cannot hold it.")
    else:
        numbers = (row.at_ns, row.usage.input, row.usage.output, row.cost)
    kind = type(row).__name__.lower()
    if not all(-_WORD <= number < _WORD for number in numbers if number is not None):
        raise LedgerError(f"The {kind} of {row.id} has a number beyond 64 bits.")
    try:
        return Entry(row, kind, row.id, row.at_ns, _encoder.encode(bare), key)
    except (ValueError, TypeError, OverflowError) as error:
        raise LedgerError(f"The {kind} of {row.id} cannot be written as JSON: {type(error).__name__}.") from error


def decode(body: bytes, content_key: bytes = b"") -> Row:
    """Raises :class:`LedgerError` where the body is not a row: the file was changed, or a newer version wrote it."""
    try:
        row = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerError("A row of the event log cannot be read.", hint="Verify the log: it names the first bad row.") from error
    return replace(row, content_key=content_key) if isinstance(row, Intent) else row


def join(rows: Sequence[Row]) -> Record | None:
    """One request's rows as a record; ``None`` without an intent. Rows of equal time keep the order in which they come."""
    intent = next((row for row in rows if isinstance(row, Intent)), None)
    if intent is None:
        return None
    outcome = next((row for row in rows if isinstance(row, Outcome)), None)
    corrections = sorted((row for row in rows if isinstance(row, Correction)), key=lambda row: row.at_ns)
    return Record(intent, outcome, tuple(corrections))


def figures(record: Record) -> Figures:
    """The latest correction's figures, else the outcome's."""
    if record.outcome is None:
        return Figures()
    last = record.corrections[-1] if record.corrections else record.outcome
    return Figures(record.outcome.kind, last.usage.input, last.usage.output, last.cost)


def not_yet(kind: str, id: str) -> LedgerError:
    needs = "intent" if kind == "outcome" else "outcome"
    return LedgerError(
        f"The {kind} of {id} came before its {needs}.", hint=f"Append the {needs} first; appending a row twice keeps one."
    )


def already_otherwise(kind: str, id: str) -> LedgerError:
    return LedgerError(
        f"The log already holds another {kind} of {id}. Rows are only ever added, never changed.", hint="Append a correction."
    )
