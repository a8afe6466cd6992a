"""Errors as the two protocols write them, read leniently and described once for every encoder. Knows no HTTP header and no retry."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from trimtab.core.errors import AttemptsExhausted, FailureKind, ProviderError, RefusalError, RequestError, TrimtabError
from trimtab.wire.body import ABSENT, given
from trimtab.wire.codec import UpstreamError, client_status, primary


class Fault(Struct, frozen=True):
    """An error for the client, before a protocol puts it into its own words."""

    status: int
    code: str
    message: str
    param: str | None
    is_overload: bool


# What OpenAI's clients look for; the other kinds keep the upstream's own code, or ours.
_CODE_BY_KIND = {
    FailureKind.RATE_LIMIT: "rate_limit_exceeded",
    FailureKind.CREDENTIAL: "upstream_credentials_exhausted",
    FailureKind.CONTEXT_LENGTH: "context_length_exceeded",
    FailureKind.CONTENT_FILTER: "content_filter",
}


def describe(error: TrimtabError) -> Fault:
    """What the client is told: the first failure of several, the next step, and an upstream's own words where the client is to blame."""
    cause = primary(error)
    sentences = [cause.message]
    code = cause.code
    if isinstance(cause, ProviderError):
        code = _CODE_BY_KIND.get(cause.kind) or cause.detail or error.code
        if cause.kind.clients_fault and cause.excerpt and cause.excerpt not in cause.message:
            sentences.append(f"The provider said: {cause.excerpt}")
        elif cause.detail and cause.detail not in cause.message:
            sentences.append(f"Its reason: {cause.detail}.")
    if isinstance(error, AttemptsExhausted) and len(error.tried) > 1:
        sentences.append(f"{len(error.tried)} deployments were tried.")
    hint = cause.hint or error.hint
    if hint:
        sentences.append(hint)
    status = client_status(error)
    return Fault(
        status=status,
        code=code,
        message=" ".join(sentences),
        param=cause.param if isinstance(cause, RequestError) else None,
        is_overload=status in (503, 529) and not isinstance(cause, RefusalError),
    )


class _Body(Struct):
    error: Raw = ABSENT
    message: Raw = ABSENT
    detail: Raw = ABSENT
    type: Raw = ABSENT
    code: Raw = ABSENT
    param: Raw = ABSENT
    details: Raw = ABSENT
    status: Raw = ABSENT
    aws_type: Raw = field(default=ABSENT, name="__type")
    aws_message: Raw = field(default=ABSENT, name="Message")


class _Details(Struct):
    """Anthropic's finer reason, such as ``enforced_spend_limit_reached`` behind a ``rate_limit_error`` (its rate-limit documentation)."""

    error_code: Raw = ABSENT


class _Reason(Struct):
    """``google.rpc.ErrorInfo``, one of several details: ``API_KEY_INVALID`` where the status is but ``INVALID_ARGUMENT``."""

    reason: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_REASONS = msgspec.json.Decoder(list[_Reason])
_BODIES = msgspec.json.Decoder(list[_Body])
_DETAILS = msgspec.json.Decoder(_Details)
_SCALAR = msgspec.json.Decoder(str | int)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _scalar(raw: Raw) -> str:
    if not given(raw):
        return ""
    try:
        return str(_SCALAR.decode(raw))
    except _UNREADABLE:
        return ""


def _finer_code(details: Raw) -> str:
    if not given(details):
        return ""
    try:
        return _scalar(_DETAILS.decode(details).error_code)
    except _UNREADABLE:
        return ""


def _google_reason(details: Raw) -> str:
    if not bytes(details).startswith(b"["):
        return ""
    try:
        return next((detail.reason for detail in _REASONS.decode(details) if detail.reason), "")
    except _UNREADABLE:
        return ""


def read_error(body: bytes) -> UpstreamError:
    """The error in an upstream's body, in any of the shapes in use; never raises.

    ``{"error": {...}}`` (OpenAI, Anthropic and most), ``{"error": "..."}`` (Ollama), the fields at the top level (vLLM, Mistral),
    ``{"detail": "..."}`` (FastAPI), ``{"__type": ..., "message": ...}`` (AWS), and a list around one of them (Google).
    """
    try:
        found = _BODIES.decode(body)[0] if body.lstrip().startswith(b"[") else _BODY.decode(body)
        inner = bytes(found.error)
        if inner.startswith(b"{"):
            found = _BODY.decode(inner)
            inner = b""
    except (*_UNREADABLE, IndexError):
        return UpstreamError()
    text = _scalar(Raw(inner)) or _scalar(found.message) or _scalar(found.detail) or _scalar(found.aws_message)
    return UpstreamError(
        code=_scalar(found.code) or _finer_code(found.details),
        type=_scalar(found.type)
        or aws_error_name(_scalar(found.aws_type))
        or _google_reason(found.details)
        or _scalar(found.status),
        message=text,
        param=_scalar(found.param),
    )


def aws_error_name(said: str) -> str:
    """``ValidationException`` from what the header ``x-amzn-errortype`` or the field ``__type`` says: AWS puts a namespace before it, or an
    address behind it (AWS restJson1 protocol, "Operation error serialization").
    """
    return said.partition(":")[0].rpartition("#")[2]
