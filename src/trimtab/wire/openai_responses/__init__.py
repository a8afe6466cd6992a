"""OpenAI Responses. ``request`` and ``client`` face the client, ``translate`` and ``upstream`` the upstream.

Without state: ``conversation`` has the pure parts of what a keeper of state needs to answer ``previous_response_id``.
"""

from trimtab.wire.openai_responses.codec import OpenAIResponses

__all__ = ["OpenAIResponses"]
