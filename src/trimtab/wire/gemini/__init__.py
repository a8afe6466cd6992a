"""Google's Gemini API. ``request`` and ``client`` face the client, ``translate`` and ``upstream`` the upstream; ``embed`` makes vectors."""

from trimtab.wire.gemini.codec import Gemini
from trimtab.wire.gemini.embed import GeminiEmbed

__all__ = ["Gemini", "GeminiEmbed"]
