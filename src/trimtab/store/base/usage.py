"""What was used, by what. The rules that every backend's sums follow stand in ``store.figures``."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from trimtab.core.units import NanoUSD


class Dimension(StrEnum):
    """What usage is told apart by, and what stands in a row's ``keys`` for it.

    ``organisation``, ``team`` and ``project`` are the first one, two or three names of the place, empty where it is less deep. ``day`` and
    ``month`` are UTC, by the request's start (``2026-11-22``, ``2026-11``). ``cached`` is ``true`` or ``false``. What is missing is empty.
    """

    PLACE = "place"
    ORGANISATION = "organisation"
    TEAM = "team"
    PROJECT = "project"
    KEY = "key"
    OWNER = "owner"
    TAG = "tag"
    DEPLOYMENT = "deployment"
    MODEL = "model"
    TIER = "tier"
    ZONE = "zone"
    DIALECT = "dialect"
    OPERATION = "operation"
    OUTCOME = "outcome"
    DAY = "day"
    MONTH = "month"
    CACHED = "cached"

    @property
    def of_attempts(self) -> bool:
        """Is it told of each attempt, rather than of the request?"""
        return self in _OF_ATTEMPTS


_OF_ATTEMPTS = frozenset({Dimension.DEPLOYMENT, Dimension.MODEL, Dimension.TIER, Dimension.ZONE})


class Totals(Struct, frozen=True, kw_only=True):
    """Sums over the requests that have an outcome, each with the figures of its latest correction where there is one.

    ``cost`` and the tokens add what is known, down to the single attempt; ``cost_unknown`` counts the requests whose cost is not known
    whole.
    """

    requests: int = 0
    complete: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: NanoUSD = NanoUSD(0)
    cost_unknown: int = 0


class UsageRow(Totals, frozen=True, kw_only=True):
    """One group's sums. ``keys`` has one word for each dimension that was asked for, in that order.

    Tokens and costs are each in exactly one row, so they add up to the totals. A request counts once in every row that it touches: in
    each of its tags' rows (there with its tokens and cost, too: rows by tag do not add up), and in the row of each deployment that it
    tried. It counts as ``complete`` where its last attempt counts, and in ``cost_unknown`` where an attempt of unknown cost does.
    """

    keys: tuple[str, ...] = ()
