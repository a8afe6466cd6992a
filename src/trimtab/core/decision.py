"""What was read from a request, and what was decided: the whole of what ``explain`` shows and ``replay`` repeats."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from trimtab.core.accounts import Scope
from trimtab.core.catalog import Capability
from trimtab.core.messages import Dialect, Operation
from trimtab.core.units import NanoUSD
from trimtab.core.zones import Sensitivity


class Wish(StrEnum):
    """What the client wrote as its model, when it named none."""

    AUTO = "auto"
    FAST = "auto:fast"
    CHEAP = "auto:cheap"
    BEST = "auto:best"


class LatencyClass(StrEnum):
    """How much waiting costs the caller; the request header ``x-trimtab-latency``."""

    REALTIME = "realtime"
    INTERACTIVE = "interactive"
    BATCH = "batch"


class Signals(Struct, frozen=True, kw_only=True):
    """Facts about one request, free ones first.

    ``input_tokens`` is exact for short requests and an estimate beyond (``tokens_exact``). ``complexity`` is 0..1, where 0.5 is as hard
    as the mean question of the benchmark behind the cards. ``lowered`` are classes that were found, and that a caller with the right to
    do so took away. ``reaches`` names the tools by which whoever answers would pass on what it reads to others, whom nobody here chose.
    ``evidence`` says in words why, per signal, without content of the request.
    """

    input_tokens: int
    tokens_exact: bool
    output_tokens: int
    needs: frozenset[Capability]
    language: str
    turns: int
    complexity: float
    sensitivity: frozenset[Sensitivity]
    lowered: frozenset[Sensitivity] = frozenset()
    reaches: tuple[str, ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()
    took_us: tuple[tuple[str, int], ...] = ()


class Ask(Struct, frozen=True, kw_only=True):
    """What ``decide`` needs of a request; content stays behind. ``named`` is the model the client insists on, else ``wish`` stands.

    ``scope`` is what the caller's key may reach, ``None`` for everything.
    """

    wish: Wish = Wish.AUTO
    named: str | None = None
    latency: LatencyClass = LatencyClass.INTERACTIVE
    task: str | None = None
    dialect: Dialect = Dialect.OPENAI_CHAT
    operation: Operation = Operation.CHAT
    scope: Scope | None = None
    budget_left: NanoUSD | None = None


class Score(Struct, frozen=True):
    """Expected money, nano-USD, with its parts by name. ``assumptions`` names the figures that nobody measured."""

    total: int
    parts: tuple[tuple[str, int], ...] = ()
    assumptions: tuple[str, ...] = ()


class Planned(Struct, frozen=True):
    deployment: str
    score: Score


class Rejected(Struct, frozen=True):
    """``constraint`` is the rule's name, ``reason`` a sentence for people."""

    deployment: str
    constraint: str
    reason: str


class Decision(Struct, frozen=True, kw_only=True):
    """Same inputs, same value, byte for byte. Every deployment is either planned, passed over, or rejected.

    ``plan`` is tried in order, at most four; ``spare`` are admitted deployments that did not fit into the plan.
    """

    policy: str
    ask: Ask
    signals: Signals
    plan: tuple[Planned, ...]
    spare: tuple[Planned, ...] = ()
    rejected: tuple[Rejected, ...] = ()
