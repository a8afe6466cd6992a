"""Cohere v2: chat (``request``, ``client``, ``translate``, ``upstream``) and ``embed``."""

from trimtab.wire.cohere.codec import Cohere
from trimtab.wire.cohere.embed import CohereEmbed

__all__ = ["Cohere", "CohereEmbed"]
