"""Facts about models (:class:`ModelCard`) and about the doors to them (:class:`Deployment`). No secrets, no I/O."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from trimtab.core.messages import Dialect, Operation
from trimtab.core.units import Price, Timeouts


class Tier(StrEnum):
    SELF_HOSTED = "self_hosted"
    MANAGED = "managed"
    CLOSED = "closed"


class Capability(StrEnum):
    """What a request can need of a model."""

    TOOLS = "tools"
    VISION = "vision"
    AUDIO = "audio"
    DOCUMENTS = "documents"
    STRUCTURED_OUTPUT = "structured_output"
    LOGPROBS = "logprobs"
    MULTIPLE_CHOICES = "multiple_choices"
    REASONING = "reasoning"


class Ability(Struct, frozen=True):
    """A model's share of right answers on a named public benchmark, 0..1, with where the figure stands. ``assumed`` marks a guess."""

    score: float
    benchmark: str
    source: str
    assumed: bool = False


class ModelCard(Struct, frozen=True, kw_only=True):
    """Facts about weights, wherever they are served. ``None`` is unknown.

    ``embedding_space`` names the space of its vectors where that is not the card's own: only vectors of one space can be compared.
    """

    name: str
    maker: str = ""
    context_window: int | None = None
    max_output: int | None = None
    operations: frozenset[Operation] = frozenset({Operation.CHAT})
    embedding_space: str | None = None
    capabilities: frozenset[Capability] | None = None
    ability: Ability | None = None
    licence: str | None = None
    parameters: int | None = None
    source: str = ""
    as_of: str = ""


class Deployment(Struct, frozen=True, kw_only=True):
    """One door to a model.

    ``model`` is the name sent upstream. ``dialect`` is what it speaks in chat, ``also`` what else it speaks natively. ``reserve`` keeps
    the deployment for what nothing better may or should answer: data that no other deployment may see, ``auto:fast``, tasks it is
    certified for, or everything when it stands alone.

    ``names`` are what clients ask for it by, besides its id; empty, those are the model's name and the card's. ``stands_in_for`` are names
    that others answer to, and for which it is tried after them; not in embeddings, where only a shared name says that vectors compare.
    """

    id: str
    model: str
    card: ModelCard
    provider: str
    dialect: Dialect
    also: frozenset[Dialect] = frozenset()
    tier: Tier
    zone: str
    base_url: str
    region: str | None = None
    price: Price | None = None
    timeouts: Timeouts = Timeouts()
    reserve: bool = False
    certified_for: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    stands_in_for: frozenset[str] = frozenset()

    @property
    def called(self) -> tuple[str, ...]:
        """Every name by which a client gets it."""
        return (self.id, *self.names) if self.names else (self.id, self.model, self.card.name)
