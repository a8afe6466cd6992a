"""Wire protocols as sans-I/O codecs: bytes to and from the values of ``core``, on the client's side and on the upstream's.

Nothing here opens a socket, reads a clock or knows which deployment answers.
"""

from trimtab.wire.anthropic import AnthropicMessages
from trimtab.wire.codec import (
    ClientCodec,
    Codec,
    StreamDecoder,
    StreamEncoder,
    Untranslatable,
    UpstreamCodec,
    UpstreamError,
    UpstreamErrorEvent,
    WireError,
    client_status,
    primary,
)
from trimtab.wire.cohere import Cohere, CohereEmbed
from trimtab.wire.converse import Converse
from trimtab.wire.dialects import CODECS, UPSTREAM_CODECS
from trimtab.wire.eventstream import ChunkedEventStreamDecoder, EventStreamDecoder
from trimtab.wire.faults import aws_error_name
from trimtab.wire.gemini import Gemini, GeminiEmbed
from trimtab.wire.openai_chat import OpenAIChat
from trimtab.wire.openai_responses import OpenAIResponses
from trimtab.wire.operations import OpenAIEmbeddings, OpenAIImages, OpenAIModerations, OpenAITranscriptions, in_form
from trimtab.wire.replicate import Replicate
from trimtab.wire.sse import ServerSentEvent, SSEDecoder, SSEOverflow, encode_event

__all__ = [
    "CODECS",
    "UPSTREAM_CODECS",
    "AnthropicMessages",
    "ChunkedEventStreamDecoder",
    "ClientCodec",
    "Codec",
    "Cohere",
    "CohereEmbed",
    "Converse",
    "EventStreamDecoder",
    "Gemini",
    "GeminiEmbed",
    "OpenAIChat",
    "OpenAIEmbeddings",
    "OpenAIImages",
    "OpenAIModerations",
    "OpenAIResponses",
    "OpenAITranscriptions",
    "Replicate",
    "SSEDecoder",
    "SSEOverflow",
    "ServerSentEvent",
    "StreamDecoder",
    "StreamEncoder",
    "Untranslatable",
    "UpstreamCodec",
    "UpstreamError",
    "UpstreamErrorEvent",
    "WireError",
    "aws_error_name",
    "client_status",
    "encode_event",
    "in_form",
    "primary",
]
