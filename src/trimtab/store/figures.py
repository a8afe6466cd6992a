"""What a request amounts to, and which of its attempts has what part in it. Pure functions, shared by all backends.

The request's figures are those of its latest correction, else of its outcome. Each is shared out over the attempts, so that sums by
deployment are the sums of all:

- Where the request's figure is known, each attempt has its own, and the last one, which is the one that answered, has what is left. A
  correction's difference so falls to the attempt that answered. What was unknown of the others is in there too, since nothing tells it
  apart.
- Where it is unknown, what is known of single attempts still counts, and the others stay unknown.
- A request that made no attempt (refused, or answered from our cache) has one line all the same, of no deployment.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from trimtab.core.accounts import ancestors
from trimtab.core.record import Attempt, Correction, Outcome, OutcomeKind, Record
from trimtab.store.rows import is_word


class Share(Struct, frozen=True):
    """One attempt's part. ``None`` is unknown."""

    deployment: str = ""
    model: str = ""
    tier: str = ""
    zone: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: int | None = None


_NONE = Share()


class Figures(Struct, frozen=True):
    """What one request adds to the totals: what is known of it, ``None`` where nothing is. No ``outcome``: it is unsettled."""

    outcome: OutcomeKind | None = None
    cached: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: int | None = None
    cost_unknown: bool = False
    shares: tuple[Share, ...] = ()

    @property
    def answered(self) -> Share:
        """The last attempt's."""
        return self.shares[-1] if self.shares else _NONE


def figures(record: Record) -> Figures:
    if record.outcome is None:
        return Figures()
    return settled(record.outcome, record.corrections[-1] if record.corrections else None)


def settled(outcome: Outcome, correction: Correction | None = None) -> Figures:
    """The figures of a request by its outcome and its latest correction."""
    said, attempts = correction or outcome, outcome.attempts
    if len(attempts) < 2:  # Nothing is to be shared out: nearly all requests, so this is short.
        usage = said.usage
        names = _names(attempts[0]) if attempts else ("", "", "", "")
        share = Share(*names, usage.input, usage.output, said.cost)
        return Figures(outcome.kind, outcome.cached, usage.input, usage.output, said.cost, said.cost is None, (share,))
    inputs = _shared(said.usage.input, [attempt.usage.input for attempt in attempts])
    outputs = _shared(said.usage.output, [attempt.usage.output for attempt in attempts])
    costs = _shared(said.cost, [attempt.cost for attempt in attempts])
    return Figures(
        outcome=outcome.kind,
        cached=outcome.cached,
        input_tokens=_known(inputs),
        output_tokens=_known(outputs),
        cost=_known(costs),
        cost_unknown=None in costs,
        shares=tuple(Share(*_names(attempt), *parts) for attempt, *parts in zip(attempts, inputs, outputs, costs, strict=True)),
    )


def _names(attempt: Attempt) -> tuple[str, str, str, str]:
    return attempt.deployment, attempt.model, attempt.tier.value, attempt.zone


def _shared(total: int | None, parts: list[int | None]) -> list[int | None]:
    """``parts`` made to agree with ``total``, as the head of this file says. None of them leaves 64 bits, nor does their sum."""
    if total is not None:
        others = [part or 0 for part in parts[:-1]]
        rest = total - sum(others)
        return [*others, rest] if is_word(rest) else [*(0 for _ in others), total]
    believed = None in parts and is_word(_known(parts))
    return parts if believed else [None for _ in parts]


def _known(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def levels(place: str) -> tuple[str, str, str]:
    """The organisation, team and project of a place, each as a path; empty where the place is less deep."""
    above = [path for path in ancestors(place) if path][::-1]
    first, second, third, *_ = [*above, "", "", ""]
    return first, second, third
