"""OpenAI's operations beside chat, each one request and one whole answer; and what such operations of every maker share.

``embeddings`` is translated, the others pass through as they are. ``form`` reads multipart, ``vectors`` and ``whole`` are shared.
"""

from trimtab.wire.operations.embeddings import OpenAIEmbeddings
from trimtab.wire.operations.images import OpenAIImages
from trimtab.wire.operations.moderations import OpenAIModerations
from trimtab.wire.operations.transcriptions import OpenAITranscriptions
from trimtab.wire.operations.vectors import in_form

__all__ = ["OpenAIEmbeddings", "OpenAIImages", "OpenAIModerations", "OpenAITranscriptions", "in_form"]
