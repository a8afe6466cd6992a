"""Error bodies as the providers send them, each with the page, issue or source file that describes it.

Ids, names and keys are made up, and long messages are shortened. Read while this table was written: Anthropic api/errors and
api/rate-limits, OpenAI guides/error-codes, OpenRouter docs/errors, Fireworks guides/inference-error-codes, and whatever names an issue or
a pull request. The wording of the rest (DeepSeek, Groq beyond its deprecations, Azure, Ollama, LM Studio, Google, OpenAI's other pages,
Anthropic's sentences on length, credit and filtering) is from memory: hold it against a real answer when there is one.
"""

from __future__ import annotations

from typing import NamedTuple

from trimtab.core.errors import FailureKind as Kind
from trimtab.core.messages import Dialect


class Said(NamedTuple):
    source: str
    status: int | None
    body: str
    kind: Kind
    detail: str = ""
    dialect: Dialect = Dialect.OPENAI_CHAT


def _anthropic(source: str, status: int | None, type: str, message: str, kind: Kind) -> Said:
    body = f'{{"type":"error","error":{{"type":"{type}","message":"{message}"}},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}}'
    return Said(source, status, body, kind, type, Dialect.ANTHROPIC)


ANTHROPIC = (
    _anthropic("api/errors", 401, "authentication_error", "invalid x-api-key", Kind.CREDENTIAL),
    _anthropic("api/errors", 403, "permission_error", "Your API key does not have permission to use it.", Kind.CREDENTIAL),
    _anthropic("api/errors", 402, "billing_error", "There is an issue with your billing.", Kind.QUOTA),
    _anthropic("api/errors", 404, "not_found_error", "model: claude-2.0", Kind.MODEL_GONE),
    _anthropic("api/errors", 404, "not_found_error", "Not Found", Kind.UNKNOWN),
    _anthropic("api/errors", 413, "request_too_large", "Request exceeds the maximum size", Kind.CONTEXT_LENGTH),
    _anthropic("api/errors", 429, "rate_limit_error", "This request would exceed your rate limit", Kind.RATE_LIMIT),
    _anthropic("api/errors", 500, "api_error", "Internal server error", Kind.TRANSIENT),
    _anthropic("api/errors", 504, "timeout_error", "Timed out", Kind.TRANSIENT),
    _anthropic("api/errors", 529, "overloaded_error", "Overloaded", Kind.TRANSIENT),
    _anthropic("api/errors", 400, "invalid_request_error", "max_tokens: Field required", Kind.CALLER_FAULT),
    _anthropic("build-with-claude/streaming, an event", None, "overloaded_error", "Overloaded", Kind.TRANSIENT),
    _anthropic("build-with-claude/streaming, an event", None, "api_error", "Internal server error", Kind.TRANSIENT),
    _anthropic(
        "build-with-claude/context-windows",
        400,
        "invalid_request_error",
        "prompt is too long: 208310 tokens > 200000 maximum",
        Kind.CONTEXT_LENGTH,
    ),
    _anthropic(
        "build-with-claude/context-windows",
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 199000 + 20000 > 200000",
        Kind.CONTEXT_LENGTH,
    ),
    _anthropic(
        "support article on prepaid usage",
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API.",
        Kind.QUOTA,
    ),
    _anthropic(
        "api/rate-limits; claude-code issue 1047",
        400,
        "invalid_request_error",
        "You have reached your specified workspace API usage limits. You will regain access on 2025-06-01 at 00:00 UTC.",
        Kind.QUOTA,
    ),
    _anthropic("seen by users", 400, "invalid_request_error", "Output blocked by content filtering policy", Kind.CONTENT_FILTER),
)


def _openai(source: str, status: int | None, message: str, type: str, code: str, kind: Kind, param: str = "null") -> Said:
    body = f'{{"error":{{"message":"{message}","type":"{type}","param":{param},"code":{code}}}}}'
    named = code.strip('"')
    return Said(source, status, body, kind, type if named == "null" or named.isdigit() else named)


_GUIDE = "OpenAI guides/error-codes"
_CONTEXT = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."

OPENAI = (
    _openai(
        _GUIDE,
        401,
        "Incorrect API key provided: sk-proj-********************AbCd. You can find it at platform.openai.com.",
        "invalid_request_error",
        '"invalid_api_key"',
        Kind.CREDENTIAL,
    ),
    _openai(
        _GUIDE,
        403,
        "Country, region, or territory not supported",
        "request_forbidden",
        '"unsupported_country_region_territory"',
        Kind.REGION,
    ),
    _openai(
        _GUIDE,
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        '"insufficient_quota"',
        Kind.QUOTA,
    ),
    _openai(_GUIDE, 429, "Your balance is used up.", "insufficient_quota", '"credit_balance_exhausted"', Kind.QUOTA),
    _openai(
        _GUIDE,
        429,
        "Rate limit reached for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Used 9990. Try again in 7.2s.",
        "tokens",
        '"rate_limit_exceeded"',
        Kind.RATE_LIMIT,
    ),
    _openai(
        "OpenAI guides/rate-limits",
        429,
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 40000.",
        "tokens",
        '"rate_limit_exceeded"',
        Kind.CONTEXT_LENGTH,
    ),
    _openai(_GUIDE, 429, "Slow down", "rate_limit_error", '"slow_down"', Kind.RATE_LIMIT),
    _openai(_GUIDE, 500, "The server had an error while processing your request.", "server_error", "null", Kind.TRANSIENT),
    _openai(_GUIDE, None, "The server had an error while processing your request.", "server_error", "null", Kind.TRANSIENT),
    _openai(_GUIDE, 503, "The engine is currently overloaded, please try again later", "server_error", "null", Kind.TRANSIENT),
    _openai("openai-python tests", 400, _CONTEXT, "invalid_request_error", '"context_length_exceeded"', Kind.CONTEXT_LENGTH),
    _openai(
        "OpenAI api-reference",
        404,
        "The model `gpt-9` does not exist or you do not have access to it.",
        "invalid_request_error",
        '"model_not_found"',
        Kind.MODEL_GONE,
    ),
    _openai(
        "OpenAI community",
        403,
        "Project `proj_x` does not have access to model `gpt-4o`",
        "invalid_request_error",
        '"model_not_found"',
        Kind.MODEL_GONE,
    ),
    _openai(
        "OpenAI guides/reasoning",
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "invalid_request_error",
        '"unsupported_parameter"',
        Kind.UNKNOWN,
    ),
    _openai(
        "OpenAI guides/reasoning",
        400,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        "invalid_request_error",
        '"invalid_prompt"',
        Kind.CONTENT_FILTER,
    ),
    _openai("OpenAI api-reference", 400, "Missing required parameter", "invalid_request_error", "null", Kind.CALLER_FAULT),
    _openai(
        "Azure OpenAI, concepts/content-filter",
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "",
        '"content_filter"',
        Kind.CONTENT_FILTER,
    ),
)

OTHERS = (
    _openai(
        "DeepSeek quick_start/error_codes", 402, "Insufficient Balance", "unknown_error", '"invalid_request_error"', Kind.QUOTA
    ),
    _openai(
        "DeepSeek quick_start/error_codes",
        401,
        "Authentication Fails (no such user)",
        "authentication_error",
        '"invalid_request_error"',
        Kind.CREDENTIAL,
    ),
    _openai(
        "DeepSeek, seen by users",
        400,
        "Content Exists Risk",
        "invalid_request_error",
        '"invalid_request_error"',
        Kind.CONTENT_FILTER,
    ),
    _openai(
        "Groq docs/deprecations; sqlmap-ai issue 3",
        400,
        "The model `qwen-qwq-32b` has been decommissioned and is no longer supported.",
        "invalid_request_error",
        '"model_decommissioned"',
        Kind.MODEL_GONE,
    ),
    _openai(
        "Groq docs/rate-limits",
        413,
        "Request too large for model `llama-3.1-8b-instant` on tokens per minute (TPM): Limit 6000, Requested 7120.",
        "tokens",
        '"rate_limit_exceeded"',
        Kind.CONTEXT_LENGTH,
    ),
    _openai("Groq docs/errors", 498, "Flex tier capacity exceeded.", "error", '"capacity_exceeded"', Kind.TRANSIENT),
    _openai("Groq docs/tool-use", 400, "Failed to call a function.", "invalid_request_error", '"tool_use_failed"', Kind.UNKNOWN),
    _openai(
        "Fireworks guides/inference-error-codes",
        404,
        "Model not found, inaccessible, and/or not deployed",
        "invalid_request_error",
        '"NOT_FOUND"',
        Kind.MODEL_GONE,
    ),
    _openai(
        "Fireworks guides/inference-error-codes",
        412,
        "Account x is suspended, possibly due to reaching the monthly spending limit",
        "invalid_request_error",
        '"PRECONDITION_FAILED"',
        Kind.QUOTA,
    ),
    _openai(
        "Together docs/error-codes",
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5013 `inputs` tokens",
        "invalid_request_error",
        "null",
        Kind.CONTEXT_LENGTH,
    ),
    _openai(
        "Together docs/error-codes",
        404,
        "Unable to access model x. Please visit the list of models",
        "invalid_request_error",
        '"model_not_available"',
        Kind.MODEL_GONE,
    ),
    Said(
        "Mistral; cline issue 9085",
        429,
        '{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}',
        Kind.RATE_LIMIT,
        "rate_limited",
    ),
    Said(
        "Mistral; continue issue 6185",
        429,
        '{"object":"error","message":"Service tier capacity exceeded for this model.","type":"invalid_request_error",'
        '"param":null,"code":null}',
        Kind.TRANSIENT,
        "invalid_request_error",
    ),
    Said(
        "Mistral api",
        400,
        '{"object":"error","message":"Invalid model: mistral-x","type":"invalid_model","param":null,"code":"1500"}',
        Kind.MODEL_GONE,
        "invalid_model",
    ),
    Said("Mistral api", 401, '{"message":"Unauthorized","request_id":"a1"}', Kind.CREDENTIAL),
    Said("OpenRouter docs/errors", 402, '{"error":{"code":402,"message":"Insufficient credits"}}', Kind.QUOTA),
    Said(
        "OpenRouter docs/errors",
        403,
        '{"error":{"code":403,"message":"x/y requires moderation. Your input was flagged for violence.","metadata":{"reasons":[]}}}',
        Kind.CONTENT_FILTER,
    ),
    Said("OpenRouter docs/errors", 404, '{"error":{"message":"No endpoints found for x/y.","code":404}}', Kind.MODEL_GONE),
    Said("OpenRouter docs/errors, status 200", 200, '{"error":{"code":502,"message":"Provider returned error"}}', Kind.TRANSIENT),
    Said("OpenRouter docs/errors, an event", None, '{"error":{"code":429,"message":"Rate limited"}}', Kind.RATE_LIMIT),
    Said(
        "vLLM; llama-verifications issue 58",
        400,
        '{"object":"error","message":"This model\'s maximum context length is 131072 tokens. However, you requested 156632 tokens",'
        '"type":"BadRequestError","param":null,"code":400}',
        Kind.CONTEXT_LENGTH,
        "BadRequestError",
    ),
    _openai(
        "vLLM 0.16; harbor pull request 996",
        400,
        "You passed 1015 input tokens and requested 10 output tokens. However, the model's context length is only 1024 tokens",
        "BadRequestError",
        "400",
        Kind.CONTEXT_LENGTH,
        '"input_tokens"',
    ),
    Said(
        "vLLM entrypoints/openai/serving_engine.py",
        404,
        '{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}',
        Kind.MODEL_GONE,
        "NotFoundError",
    ),
    Said("vLLM entrypoints/openai/api_server.py", 401, '{"error":"Unauthorized"}', Kind.CREDENTIAL),
    Said(
        "SGLang; Qwen3 issue 1321",
        400,
        '{"object":"error","message":"The input (61709 tokens) is longer than the model\'s context length (40960 tokens).",'
        '"type":"BadRequestError","param":null,"code":400}',
        Kind.CONTEXT_LENGTH,
        "BadRequestError",
    ),
    Said(
        "llama.cpp; textgen issue 7257",
        400,
        '{"error":{"code":400,"message":"the request exceeds the available context size. try increasing the context size or enable '
        'context shift","type":"exceed_context_size_error","n_prompt_tokens":14429,"n_ctx":8192}}',
        Kind.CONTEXT_LENGTH,
        "exceed_context_size_error",
    ),
    Said(
        "llama.cpp pull request 15780",
        500,
        '{"error":{"code":500,"message":"the request exceeds the available context size.","type":"exceed_context_size_error"}}',
        Kind.CONTEXT_LENGTH,
        "exceed_context_size_error",
    ),
    Said(
        "llama.cpp tools/server/README",
        503,
        '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
        Kind.TRANSIENT,
        "unavailable_error",
    ),
    Said(
        "llama.cpp tools/server/README",
        501,
        '{"error":{"code":501,"message":"This server does not support tools","type":"not_supported_error"}}',
        Kind.UNKNOWN,
        "not_supported_error",
    ),
    _openai("Ollama openai/openai.go", 404, 'model \\"x\\" not found, try pulling it first', "api_error", "null", Kind.MODEL_GONE),
    Said("LM Studio", 400, '{"error":"The model is loaded with context length of only 4096 tokens"}', Kind.CONTEXT_LENGTH),
    Said("Cloudflare, any provider behind it", 502, "<html><title>502 Bad Gateway</title></html>", Kind.TRANSIENT),
    Said("a wrong base_url", 404, '{"detail":"Not Found"}', Kind.UNKNOWN),
    Said("nothing at all", 429, "", Kind.RATE_LIMIT),
    Said("nothing at all", 418, "", Kind.UNKNOWN),
    Said("a redirect", 307, "", Kind.UNKNOWN),
)
