"""Rows as bytes and back, and a request's rows joined. Shared by all backends, so that they agree to the byte.

This file knows nothing of where rows are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trimtab.core.accounts import Budget, Change
from trimtab.core.errors import LedgerError
from trimtab.core.record import Correction, Intent, Outcome, Record, Row

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


def encode(row: Row) -> Entry:
    """The row as bytes. Raises :class:`LedgerError` for one that could not be given back as it came."""
    if not row.id:
        raise LedgerError("A row without an id cannot be kept.")
    kind = type(row).__name__.lower()
    numbers, floats = _figures(row)
    for number in numbers:
        if number is not None and not -_WORD <= number < _WORD:
            raise LedgerError(f"The {kind} of {row.id} has a number beyond 64 bits.")
    if not all(map(math.isfinite, floats)):
        raise LedgerError(f"The {kind} of {row.id} has a figure that is not a number; JSON cannot hold it.")
    bare, key = (replace(row, content_key=b""), row.content_key) if isinstance(row, Intent) else (row, b"")
    try:
        return Entry(row, kind, row.id, row.at_ns, _encoder.encode(bare), key)
    except (ValueError, TypeError, OverflowError) as error:
        raise LedgerError(f"The {kind} of {row.id} cannot be written as JSON: {type(error).__name__}.") from error


def is_word(number: int | None) -> bool:
    """Does it fit into a signed integer of 64 bits, which is what a column holds?"""
    return number is None or -_WORD <= number < _WORD


def check_storable(*values: str | int | None) -> None:
    """Raises :class:`LedgerError` for a number beyond 64 bits, and for text that is not Unicode."""
    for value in values:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise LedgerError("A text that is not Unicode cannot be kept.") from error
        elif not is_word(value):
            raise LedgerError("A number beyond 64 bits cannot be kept.")


def _figures(row: Row) -> tuple[list[int | None], tuple[float, ...]]:
    """The numbers that get a column of their own, and those that JSON may be unable to hold."""
    match row:
        case Intent(decision=decision):
            return [row.at_ns], (decision.signals.complexity,)
        case Outcome(attempts=attempts):
            numbers = [row.at_ns, row.usage.input, row.usage.output, row.cost]
            for attempt in attempts:
                numbers += (attempt.usage.input, attempt.usage.output, attempt.cost)
            return numbers, ()
        case Correction(usage=usage, cost=cost):
            return [row.at_ns, usage.input, usage.output, cost], ()
        case Change(entity=entity, basis=basis):
            return [row.at_ns, basis], entity.alerts if isinstance(entity, Budget) else ()


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


def not_yet(kind: str, id: str) -> LedgerError:
    needs = "intent" if kind == "outcome" else "outcome"
    return LedgerError(
        f"The {kind} of {id} came before its {needs}.", hint=f"Append the {needs} first; appending a row twice keeps one."
    )


def already_otherwise(kind: str, id: str) -> LedgerError:
    return LedgerError(
        f"The log already holds another {kind} of {id}. Rows are only ever added, never changed.", hint="Append a correction."
    )


def not_by_append(id: str) -> LedgerError:
    return LedgerError(f"The change {id} cannot be appended as a row alone.", hint="Hand it to change(), which applies it too.")
