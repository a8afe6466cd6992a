"""The one place that says what an upstream's failure means.

:data:`RULES` is read from top to bottom and the first row that fits decides. A provider's own code or type comes first, a phrase only
where a provider exposes nothing else, the status last; and since several providers say "empty account" and "too large" with the code of
a rate limit, those rows stand above it. Each row names who says so. A doubt is ``UNKNOWN``: another deployment is tried and nobody is
blamed. It knows nothing of sockets, retries or deployments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from msgspec.structs import replace

from trimtab.core.errors import FailureKind, ProviderError
from trimtab.net import NetError, NetFailure
from trimtab.wire import UpstreamError, aws_error_name

MAX_RETRY_AFTER = 3600.0
"""Seconds. A longer wait is a typing error or an empty account; either way nobody waits for it."""

MAX_EXCERPT = 300

_BAD_REQUEST = frozenset({400, 413, 422, 500, None})
"""Where a refusal of the request itself is reported. llama.cpp used 500 for it, and an error event in a stream has no status."""

_DENIED = frozenset({400, 401, 403, 404, 429, None})


class Rule(NamedTuple):
    """Fits when everything that it names fits: the code or the type (in lower case), a phrase of the message, the status."""

    kind: FailureKind
    names: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    statuses: frozenset[int | None] = frozenset()

    def fits(self, error: UpstreamError, message: str, status: int | None) -> bool:
        if self.statuses and status not in self.statuses:
            return False
        if self.names and error.code.lower() not in self.names and error.type.lower() not in self.names:
            return False
        return not self.phrases or any(phrase in message for phrase in self.phrases)


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


RULES: tuple[Rule, ...] = (
    # -- the account is empty. Above the rate limits: OpenAI says it with 429, Anthropic with 400 or 429, Fireworks with 412.
    # OpenAI, guides/error-codes; the two billing codes are also in its community answers.
    Rule(
        FailureKind.QUOTA,
        _names("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"),
    ),
    # Anthropic, api/errors (402 billing_error) and api/rate-limits (the monthly cap of the tier, as error.details.error_code).
    Rule(FailureKind.QUOTA, _names("billing_error", "enforced_spend_limit_reached")),
    # Anthropic, api/rate-limits: limits that the organisation set itself come as 400 invalid_request_error; an empty balance likewise.
    Rule(FailureKind.QUOTA, phrases=("credit balance is too low", "api usage limits"), statuses=_DENIED),
    # Google: google.api.ErrorReason; and Gemini's 429 for an empty balance, as its users quote it (dyad-sh/dyad#3626). Its "You exceeded
    # your current quota" is said of a minute and of a day alike, and stays a rate limit.
    Rule(FailureKind.QUOTA, _names("billing_disabled")),
    Rule(FailureKind.QUOTA, phrases=("prepayment credits are depleted",), statuses=frozenset({429, None})),
    # Fireworks, guides/inference-error-codes: 412 for a suspended account.
    Rule(FailureKind.QUOTA, phrases=("suspended", "spending limit"), statuses=frozenset({412})),
    # Amazon Bedrock, InvokeModel's errors: 400.
    Rule(FailureKind.QUOTA, _names("servicequotaexceededexception")),
    # Cohere, 429: a trial key has its calls of the month, beside those of the minute. Quoted by its users.
    Rule(FailureKind.QUOTA, phrases=("api calls / month",), statuses=frozenset({429})),
    # -- the request is longer than this door is wide. Above the rate limits: Groq and OpenAI report a request that alone is larger than
    # the tokens of a minute with their rate-limit code, and waiting never makes it fit (Groq docs/rate-limits: 413; OpenAI: 429).
    Rule(FailureKind.CONTEXT_LENGTH, phrases=("request too large for",), statuses=frozenset({413, 429})),
    # OpenAI, guides/error-codes, and most who imitate it; llama.cpp, tools/server (pull request 15780).
    Rule(FailureKind.CONTEXT_LENGTH, _names("context_length_exceeded", "exceed_context_size_error")),
    # Anthropic, api/errors: more than 32 MB.
    Rule(FailureKind.CONTEXT_LENGTH, _names("request_too_large")),
    Rule(
        FailureKind.CONTEXT_LENGTH,
        phrases=(
            "maximum context length",  # vLLM up to 0.15, Mistral, Fireworks, OpenRouter
            "the model's context length is only",  # vLLM from 0.16
            "longer than the maximum model length",  # vLLM, prompts with images
            "longer than the model's context length",  # SGLang
            "prompt is too long",  # Anthropic, build-with-claude/context-windows
            "exceed context limit",  # Anthropic, the same page: input and max_tokens together
            "exceeds the available context size",  # llama.cpp before it had a type for it
            "`inputs` tokens + `max_new_tokens` must be",  # Together, and text-generation-inference
            "loaded with context length of only",  # LM Studio
            "exceeds the maximum number of tokens allowed",  # Gemini (google-gemini/gemini-cli#6678)
            "input is too long for requested model",  # Amazon Bedrock
            "too many tokens: total number",  # Cohere, reference/errors
            "too many tokens: size limit",
            "too many tokens: minimal context",
        ),
        statuses=_BAD_REQUEST,
    ),
    # -- the content was declined. Nobody shops for a laxer model.
    # Azure OpenAI, concepts/content-filter; OpenAI, where "invalid_prompt" is also what others call a prompt that is badly formed.
    Rule(FailureKind.CONTENT_FILTER, _names("content_filter", "content_policy_violation")),
    Rule(FailureKind.CONTENT_FILTER, _names("invalid_prompt"), ("flagged", "usage policy")),
    # Anthropic reports its output filter as invalid_request_error.
    Rule(FailureKind.CONTENT_FILTER, phrases=("content filtering policy",), statuses=_BAD_REQUEST),
    # OpenRouter, api/reference/errors-and-debugging: 403 with the reasons in the metadata. DeepSeek: 400 in plain words.
    Rule(FailureKind.CONTENT_FILTER, phrases=("requires moderation", "input was flagged"), statuses=frozenset({403, None})),
    Rule(FailureKind.CONTENT_FILTER, phrases=("content exists risk",), statuses=frozenset({400})),
    # Cohere: 400, and 498 for "a deny-listed token" (reference/errors, "Unsafe Request"). The sentences are quoted by its users.
    Rule(FailureKind.CONTENT_FILTER, phrases=("blocked input:", "blocked output:"), statuses=frozenset({400, 498, None})),
    # -- where the caller sits.
    # OpenAI, guides/error-codes, 403.
    Rule(FailureKind.REGION, _names("unsupported_country_region_territory")),
    # Google and Anthropic's models elsewhere have the sentence only.
    Rule(
        FailureKind.REGION,
        phrases=("user location is not supported", "unsupported countries, regions", "country, region, or territory not supported"),
        statuses=frozenset({400, 403, None}),
    ),
    # -- the model is not there, not any more, or not for this account.
    # OpenAI, LM Studio, Groq (model_not_found, also with 403 for a project without access); Groq, docs/errors and docs/deprecations;
    # Mistral (invalid_model); Together (model_not_available); Azure OpenAI (DeploymentNotFound).
    Rule(
        FailureKind.MODEL_GONE,
        _names(
            "model_not_found",
            "model_decommissioned",
            "model_terms_required",
            "model_not_available",
            "invalid_model",
            "deploymentnotfound",
        ),
    ),
    Rule(
        FailureKind.MODEL_GONE,
        phrases=(
            "model: ",  # Anthropic: the whole message is "model: NAME"
            "model not found",  # Fireworks
            "is not found for api version",  # Gemini (google-gemini-php/laravel#32)
            "` does not exist",  # vLLM, SGLang
            "try pulling it",  # Ollama
            "' not found",  # Ollama, newer
        ),
        statuses=frozenset({404}),
    ),
    # The sentence under whatever code: Groq, OpenAI, Azure OpenAI.
    Rule(
        FailureKind.MODEL_GONE,
        phrases=("has been decommissioned", "has been deprecated"),
        statuses=frozenset({400, 403, 404, 410}),
    ),
    # Cohere, reference/errors: a model of another operation; a limit of output that is beyond this model and not beyond every.
    Rule(FailureKind.UNKNOWN, phrases=("is not supported by the", "too many tokens: max tokens"), statuses=frozenset({400})),
    # OpenRouter, api/reference/errors-and-debugging: only a number and a sentence.
    Rule(FailureKind.MODEL_GONE, phrases=("no endpoints found", "is not a valid model id"), statuses=frozenset({400, 404})),
    # Amazon Bedrock, user guide, "API error codes": a model that is not there, not in this region, or not for this account.
    Rule(FailureKind.MODEL_GONE, _names("resourcenotfoundexception")),
    Rule(
        FailureKind.MODEL_GONE,
        phrases=("don't have access to the model", "provided model identifier is invalid", "on-demand throughput isn"),
        statuses=frozenset({400, 403}),
    ),
    # -- the key.
    # AWS, "Common errors" of every service.
    Rule(
        FailureKind.CREDENTIAL,
        _names(
            "accessdeniedexception",
            "unrecognizedclientexception",
            "invalidsignatureexception",
            "incompletesignatureexception",
            "missingauthenticationtokenexception",
            "expiredtokenexception",
        ),
    ),
    # OpenAI, guides/error-codes; Anthropic, api/errors; llama.cpp and DeepSeek use Anthropic's words.
    Rule(
        FailureKind.CREDENTIAL,
        _names("invalid_api_key", "invalid_organization", "account_deactivated", "authentication_error", "permission_error"),
    ),
    # Google: google.api.ErrorReason, under status 400 INVALID_ARGUMENT or 403.
    Rule(
        FailureKind.CREDENTIAL, _names("api_key_invalid", "api_key_service_blocked", "consumer_suspended", "access_token_expired")
    ),
    # Google and xAI answer 400 to a wrong key.
    Rule(FailureKind.CREDENTIAL, phrases=("api key not valid", "incorrect api key"), statuses=_DENIED),
    # -- the model answered and its answer was no good: another may do better, and nobody is ill.
    # Groq, docs/errors and docs/tool-use: the model's tool call or JSON was malformed.
    Rule(FailureKind.UNKNOWN, _names("tool_use_failed", "json_validate_failed")),
    # Amazon Bedrock, Converse's stop reasons.
    Rule(FailureKind.UNKNOWN, _names("malformed_model_output", "malformed_tool_use")),
    # OpenAI: the request is sound, but not for this model. llama.cpp: the server was started without the feature.
    Rule(FailureKind.UNKNOWN, _names("unsupported_parameter", "unsupported_value", "not_supported_error")),
    # -- too fast.
    # Mistral: capacity of the model, not of the account, with 429 or 503 and no word in code or type. Groq, docs/errors: 498.
    Rule(FailureKind.TRANSIENT, phrases=("capacity exceeded",), statuses=frozenset({429, 503})),
    Rule(FailureKind.TRANSIENT, _names("capacity_exceeded", "service_tier_capacity_exceeded")),
    # Google says the same with 429 and this reason (google-gemini/gemini-cli#26633).
    Rule(FailureKind.TRANSIENT, _names("model_capacity_exhausted")),
    # OpenAI (rate_limit_exceeded, slow_down), Anthropic (rate_limit_error), Mistral (rate_limited).
    Rule(FailureKind.RATE_LIMIT, _names("rate_limit_exceeded", "slow_down", "rate_limit_error", "rate_limited")),
    # Amazon Bedrock, InvokeModel's errors: 429, in a stream without a status. A model that is not ready is 429 too, and no limit of ours.
    Rule(FailureKind.TRANSIENT, _names("modelnotreadyexception")),
    Rule(FailureKind.RATE_LIMIT, _names("throttlingexception")),
    # The same, 408, 424, 500 and 503.
    Rule(
        FailureKind.TRANSIENT,
        _names(
            "modeltimeoutexception",
            "modelerrorexception",
            "modelstreamerrorexception",
            "internalserverexception",
            "serviceunavailableexception",
        ),
    ),
    # -- not now. Anthropic, api/errors (529 overloaded_error, 504 timeout_error, 500 api_error: also as events of a stream, where no
    # status tells); OpenAI (server_error, server_is_overloaded); llama.cpp (unavailable_error while it loads).
    Rule(
        FailureKind.TRANSIENT,
        _names(
            "overloaded_error",
            "timeout_error",
            "server_error",
            "server_is_overloaded",
            "service_unavailable_error",
            "unavailable_error",
            "internal_server_error",
            "internalservererror",
        ),
    ),
    # Cohere, reference/chat: an answer under a good status line whose finish reason says that there is none.
    Rule(FailureKind.TRANSIENT, _names("error", "timeout"), statuses=frozenset({None})),
    # -- by status alone. 404 without a model in it is a wrong address: the operator's affair, and no reason to tell the client off.
    Rule(FailureKind.CREDENTIAL, statuses=frozenset({401, 403})),
    Rule(FailureKind.QUOTA, statuses=frozenset({402})),
    Rule(FailureKind.UNKNOWN, statuses=frozenset({404, 405, 501})),
    Rule(FailureKind.TRANSIENT, statuses=frozenset({408, 409, 425, 498, 499})),
    Rule(FailureKind.MODEL_GONE, statuses=frozenset({410})),
    Rule(FailureKind.CONTEXT_LENGTH, statuses=frozenset({413})),
    Rule(FailureKind.RATE_LIMIT, statuses=frozenset({429})),
    Rule(FailureKind.REGION, statuses=frozenset({451})),
    Rule(FailureKind.TRANSIENT, statuses=frozenset(range(500, 600))),
    Rule(FailureKind.CALLER_FAULT, statuses=frozenset({400, 422})),
    # -- an error event in a stream has no status; these types are all that is left.
    Rule(FailureKind.TRANSIENT, _names("api_error"), statuses=frozenset({None})),
    Rule(
        FailureKind.CALLER_FAULT,
        _names("invalid_request_error", "badrequesterror", "validationexception"),
        statuses=frozenset({None}),
    ),
)


def classify(
    status: int | None, error: UpstreamError, headers: Mapping[str, str], *, who: str, now: float, upstream_id: str = ""
) -> ProviderError:
    """What the upstream's refusal means. ``who`` is the deployment, for the message; ``now`` is seconds since the epoch.

    ``status`` is ``None``, or 2xx, for an error that arrived under a good status line; a code that is a status (OpenRouter, vLLM) then
    takes its place.
    """
    if not (error.code or error.type):
        error = replace(error, type=aws_error_name(headers.get("x-amzn-errortype", "")))
    carried = int(error.code) if re.fullmatch(r"[45]\d\d", error.code) else None
    meant = carried if status is None or status < 400 else status
    kind = kind_of(meant, error)
    told = f"status {meant}" if meant is not None else "an error in its stream"
    return ProviderError(
        kind,
        f"{who} answered with {told} ({kind}).",
        upstream_status=status,
        retry_after=retry_after(headers, now),
        detail=_detail(error),
        upstream_id=upstream_id,
        excerpt=scrubbed(error.message)[:MAX_EXCERPT],
    )


def kind_of(status: int | None, error: UpstreamError) -> FailureKind:
    message = error.message[:4096].lower()
    for rule in RULES:
        if rule.fits(error, message, status):
            return rule.kind
    return FailureKind.UNKNOWN


def classify_net(error: NetError, *, upstream_status: int | None = None, upstream_id: str = "") -> ProviderError:
    """The network failed: always worth another try elsewhere."""
    kind = FailureKind.CREDENTIAL if error.kind is NetFailure.CREDENTIAL else FailureKind.TRANSIENT
    return ProviderError(kind, f"{error}.", detail=error.kind.value, upstream_status=upstream_status, upstream_id=upstream_id)


def not_sent() -> ProviderError:
    """The egress check has refused."""
    return ProviderError(FailureKind.UNKNOWN, "Not sent.", detail="egress_refused")


def truncated(who: str, upstream_id: str = "") -> ProviderError:
    """The stream ended, politely, before the answer did."""
    return ProviderError(
        FailureKind.TRANSIENT,
        f"{who} ended its stream before its answer was complete.",
        detail="stream_truncated",
        upstream_status=200,
        upstream_id=upstream_id,
    )


def malformed(who: str, detail: str, status: int, upstream_id: str = "") -> ProviderError:
    """A good status line, and behind it something that is not an answer. ``detail`` is our word for what."""
    return ProviderError(
        FailureKind.TRANSIENT,
        f"{who} sent something that is not an answer ({detail}).",
        detail=detail,
        upstream_status=status,
        upstream_id=upstream_id,
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, at most :data:`MAX_RETRY_AFTER`; ``None`` where the upstream does not say.

    ``retry-after-ms`` (OpenAI, Azure), else ``Retry-After`` in both forms (RFC 9110, 10.2.3). A date is held against the answer's own
    ``Date`` where it has one, as the same clock wrote both, else against ``now``.
    """
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        said = headers.get("retry-after")
        seconds = _number(said)
        if seconds is None and (until := _date(said)) is not None:
            sent = _date(headers.get("date"))
            seconds = max(0.0, until - (now if sent is None else sent))
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER)


def _number(text: str | None) -> float | None:
    """A plain non-negative decimal; signs, exponents, ``inf`` and ``nan`` are no waiting times."""
    return float(text) if text is not None and re.fullmatch(r"\s*\d{1,12}(\.\d{1,9})?\s*", text, re.ASCII) else None


def _date(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,63}")


def _detail(error: UpstreamError) -> str:
    """The upstream's own code, else its type; only what looks like a word of a program, so that no sentence gets into the record."""
    return next((word for word in (error.code, error.type) if _CODE.fullmatch(word)), "")


_KEY_LIKE = re.compile(
    r"""(?ix)
      \b(?:bearer|basic)\s+\S+                      # a whole Authorization value
    | \b(?:sk|pk|rk|gsk|xai|fw|tgp|hf|tt|key|api)[-_][\w\-.*•]{6,}   # keys that name their maker, and what is left of masked ones
    | \bAIza[\w\-]{10,}                             # Google
    | \beyJ[\w\-]{8,}(?:\.[\w\-]*){0,2}             # a JSON web token
    | \b(?=[\w\-]*\d)(?=[\w\-]*[a-z])[\w\-]{32,}\b  # any long run of letters and digits
    | [\w\-]*\*{3,}[\w\-]*                          # whatever somebody else has masked
    """
)


def scrubbed(text: str) -> str:
    """``text`` on one line, with everything struck out that looks like a credential. Striking out too much is the right mistake."""
    return " ".join(_KEY_LIKE.sub("***", text[: 8 * MAX_EXCERPT]).split())
