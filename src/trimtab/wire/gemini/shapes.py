"""The body of ``generateContent`` as it stands on the wire (v1beta of 2026-11), and the spellings that Google's servers take for the same.

Fields have two names, ``maxOutputTokens`` and ``max_output_tokens`` (proto3 JSON); :func:`camel_body` makes them one. Where a list is due
its only member may stand alone, as in Google's own examples. A call without an id gets one that is made here and never written.
"""

from __future__ import annotations

import re
import zlib

import msgspec
from msgspec import Raw, Struct

from trimtab.wire.body import ABSENT, Count, given, plain_name, refuse


class Blob(Struct, rename="camel"):
    data: str
    mime_type: str
    display_name: str | None = None


class FileData(Struct, rename="camel"):
    file_uri: str
    mime_type: str | None = None
    display_name: str | None = None


class FunctionCall(Struct, rename="camel"):
    name: str
    id: str | None = None
    args: Raw = ABSENT
    partial_args: Raw = ABSENT
    will_continue: bool | None = None


class FunctionResponse(Struct, rename="camel"):
    name: str
    response: Raw = ABSENT
    id: str | None = None
    parts: Raw = ABSENT
    scheduling: Raw = ABSENT
    will_continue: Raw = ABSENT


class Part(Struct, rename="camel"):
    """One of the first five says what the part is."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought: bool | None = None
    thought_signature: str | None = None


PART_KINDS = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse"})
PART_ASIDES = frozenset(
    {
        "audioMetadata",
        "documentMetadata",
        "mediaProcessing",
        "mediaResolution",
        "partMetadata",
        "speechMetadata",
        "spreadsheetMetadata",
        "videoMetadata",
    }
)
"""What may stand beside the content of a part, and has no place in ``core``."""


class Content(Struct, rename="camel"):
    parts: Raw = ABSENT
    role: str | None = None


class FunctionDeclaration(Struct, rename="camel"):
    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    parameters_json_schema: Raw = ABSENT
    response: Raw = ABSENT
    response_json_schema: Raw = ABSENT
    behavior: Raw = ABSENT


class FunctionCallingConfig(Struct, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(Struct, rename="camel"):
    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(Struct, rename="camel"):
    thinking_budget: int | None = None
    include_thoughts: bool | None = None
    thinking_level: str | None = None


class GenerationConfig(Struct, rename="camel"):
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    candidate_count: Count | None = None
    max_output_tokens: Count | None = None
    stop_sequences: list[str] | None = None
    response_mime_type: str | None = None
    response_schema: Raw = ABSENT
    response_json_schema: Raw = ABSENT
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    thinking_config: ThinkingConfig | None = None


CARRIED_CONFIG = frozenset(field.encode_name for field in msgspec.structs.fields(GenerationConfig))


class GenerateContentRequest(Struct, rename="camel"):
    contents: list[Content] | Content
    system_instruction: Content | None = None
    tools: Raw = ABSENT
    tool_config: Raw = ABSENT
    generation_config: Raw = ABSENT


CARRIED = frozenset(field.encode_name for field in msgspec.structs.fields(GenerateContentRequest))
"""The top-level fields that ``core.Request`` has a place for."""


class EmbedRequest(Struct, rename="camel"):
    """The body of ``embedContent``, and each member of ``batchEmbedContents``' ``requests``."""

    content: Content
    task_type: str | None = None
    output_dimensionality: Count | None = None


CARRIED_EMBED = frozenset({"model", *(field.encode_name for field in msgspec.structs.fields(EmbedRequest))})


class UsageMetadata(Struct, rename="camel", omit_defaults=True):
    prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    total_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None


# -- spelling ----------------------------------------------------------------------------------------------------------------------

_STRUCTS = (
    Blob, FileData, FunctionCall, FunctionResponse, Part, Content, FunctionDeclaration, FunctionCallingConfig, ToolConfig, ThinkingConfig,
    GenerationConfig, GenerateContentRequest, EmbedRequest,
)  # fmt: skip


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


_ALSO_KNOWN = (
    *PART_ASIDES,
    *("executableCode", "codeExecutionResult", "toolCall", "toolResponse"),
    *("functionDeclarations", "googleSearch", "googleSearchRetrieval", "googleMaps", "codeExecution", "urlContext", "fileSearch"),
    *("computerUse", "mcpServers", "retrievalConfig", "safetySettings", "cachedContent"),
    *("responseModalities", "mediaResolution", "speechConfig", "imageConfig", "responseFormat"),
)
_CAMEL = {field.name: field.encode_name for struct in _STRUCTS for field in msgspec.structs.fields(struct)}
_CAMEL |= {_snake(name): name for name in _ALSO_KNOWN}
_CAMEL = {snake: camel for snake, camel in _CAMEL.items() if snake != camel}
_SNAKE_KEY = re.compile(b'"(?:%b)"\\s*:' % "|".join(_CAMEL).encode())
_FREE = frozenset(
    {
        "args",
        "parameters",
        "parametersJsonSchema",
        "response",
        "responseJsonSchema",
        "responseSchema",
        "schema",
        "labels",
        "partMetadata",
    }
)
"""Fields whose inside is the client's own, and is not renamed."""
_DEEPEST = 12

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


def camel_body(body: bytes) -> bytes:
    """``body`` with every field of the protocol in its camelCase name; as it is where it has none, or is no JSON.

    Raises :class:`~trimtab.core.errors.MalformedRequest` where a field stands in both spellings: which one counts is the upstream's guess.
    """
    if _SNAKE_KEY.search(body) is None:
        return body
    try:
        return msgspec.json.encode(_renamed(Raw(body), ()))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body


def _renamed(raw: Raw, at: tuple[str, ...]) -> object:
    start = bytes(raw).lstrip()[:1]
    if len(at) > _DEEPEST or start not in (b"{", b"["):
        return raw
    if start == b"[":
        return [_renamed(inner, (*at, str(number))) for number, inner in enumerate(_LIST.decode(raw))]
    fields: dict[str, Raw] = {}
    for written, inner in _OBJECT.decode(raw).items():
        name = _CAMEL.get(written, written)
        if given(inner) and given(fields.get(name, ABSENT)):
            raise refuse(
                ".".join((*at, plain_name(name))), "is there twice, in camelCase and in snake_case", "Leave one of the two out."
            )
        if given(inner) or name not in fields:
            fields[name] = inner
    return {name: inner if name in _FREE else _renamed(inner, (*at, plain_name(name))) for name, inner in fields.items()}


def members(field: Raw) -> list[Raw]:
    """The members of a list, or the one that stands alone."""
    if not given(field):
        return []
    return _LIST.decode(field) if bytes(field).startswith(b"[") else [field]


# -- ids ---------------------------------------------------------------------------------------------------------------------------

_MADE_ID = re.compile(r"gemini-[0-9a-f]{8}-\d+")


def made_id(name: str, position: int, answer: str = "") -> str:
    """An id for a call that came without one: the same for the same function at the same place of the same answer."""
    return f"gemini-{zlib.crc32(f'{answer}/{name}'.encode('utf-8', 'surrogatepass')):08x}-{position}"


def own_id(id: str) -> str | None:
    """``id`` where somebody else gave it."""
    return id if id and _MADE_ID.fullmatch(id) is None else None
