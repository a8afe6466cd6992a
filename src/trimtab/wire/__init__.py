"""Wire protocols as sans-I/O codecs: bytes to and from the values of ``core``, on the client's side and on the upstream's.

Nothing here opens a socket, reads a clock or knows which deployment answers.
"""

from trimtab.wire.anthropic import AnthropicMessages
from trimtab.wire.codec import Codec, StreamDecoder, StreamEncoder, UpstreamError, UpstreamErrorEvent, WireError, client_status
from trimtab.wire.dialects import CODECS
from trimtab.wire.openai_chat import OpenAIChat
from trimtab.wire.sse import ServerSentEvent, SSEDecoder, SSEOverflow, encode_event

__all__ = [
    "CODECS",
    "AnthropicMessages",
    "Codec",
    "OpenAIChat",
    "SSEDecoder",
    "SSEOverflow",
    "ServerSentEvent",
    "StreamDecoder",
    "StreamEncoder",
    "UpstreamError",
    "UpstreamErrorEvent",
    "WireError",
    "client_status",
    "encode_event",
]
