"""What is the same for every dialect: the client's status, the error bodies, and the small tools of ``body``."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import strategies as some

from trimtab.core.errors import (
    AttemptsExhausted,
    BodyTooLarge,
    BudgetExhausted,
    ConfigError,
    FailureKind,
    LedgerError,
    MalformedRequest,
    NoDeployment,
    ProviderError,
    TrimtabError,
    Unauthenticated,
)
from trimtab.core.messages import Dialect
from trimtab.wire import CODECS, UpstreamError, client_status
from trimtab.wire.body import MAX_LOST, DataUrl, Losses, encode_data_url, parse_data_url, tool_id, without

K = FailureKind


@pytest.mark.parametrize(
    ("kind", "upstream", "detail", "status"),
    [
        (K.CALLER_FAULT, 422, "", 422),
        (K.CALLER_FAULT, None, "", 400),
        (K.CALLER_FAULT, 500, "", 400),
        (K.CONTEXT_LENGTH, 413, "", 413),
        (K.CONTENT_FILTER, 400, "", 400),
        (K.RATE_LIMIT, 429, "", 429),
        (K.QUOTA, 429, "insufficient_quota", 503),
        (K.CREDENTIAL, 401, "", 502),
        (K.MODEL_GONE, 404, "", 502),
        (K.REGION, 403, "", 502),
        (K.UNKNOWN, None, "", 502),
        (K.UNKNOWN, None, "unsupported_operation", 400),
        (K.UNKNOWN, 404, "unsupported_operation", 502),
        (K.TRANSIENT, 500, "", 502),
        (K.TRANSIENT, 503, "", 503),
        (K.TRANSIENT, 529, "", 503),
        (K.TRANSIENT, 504, "", 504),
        (K.TRANSIENT, None, "connect_timeout", 504),
        (K.TRANSIENT, None, "reset", 502),
    ],
)
def test_client_status(kind: FailureKind, upstream: int | None, detail: str, status: int) -> None:
    error = ProviderError(kind, "m", upstream_status=upstream, detail=detail)
    assert status == client_status(error)
    assert status == client_status(AttemptsExhausted(error, {"a": kind, "b": K.UNKNOWN}))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MalformedRequest("m"), 400),
        (BodyTooLarge("m"), 413),
        (BudgetExhausted("m"), 429),
        (LedgerError("m"), 503),
        (ConfigError("m"), 500),
    ],
)
def test_client_status_of_our_own_errors(error: TrimtabError, status: int) -> None:
    assert status == client_status(error)


def test_every_failure_kind_has_a_status() -> None:
    assert all(400 <= client_status(ProviderError(kind, "m")) < 600 for kind in FailureKind)


def test_openai_error_body() -> None:
    error = MalformedRequest("messages: is required.", param="messages", hint="Add the field.")
    assert json.loads(CODECS[Dialect.OPENAI_CHAT].encode_error(error)) == {
        "error": {
            "message": "messages: is required. Add the field.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "invalid_request",
        }
    }


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Unauthenticated("m"), "authentication_error", "invalid_api_key"),
        (ProviderError(K.CREDENTIAL, "m", upstream_status=401), "server_error", "upstream_credentials_exhausted"),
        (ProviderError(K.CONTEXT_LENGTH, "m"), "invalid_request_error", "context_length_exceeded"),
        (ProviderError(K.TRANSIENT, "m", detail="stream_truncated"), "server_error", "stream_truncated"),
        (AttemptsExhausted(ProviderError(K.TRANSIENT, "m"), {"a": K.TRANSIENT}), "server_error", "attempts_exhausted"),
        (NoDeployment("m"), "server_error", "no_deployment"),
        (BudgetExhausted("m"), "rate_limit_error", "budget_exhausted"),
    ],
)
def test_openai_error_types_and_codes(error: TrimtabError, kind: str, code: str) -> None:
    body = json.loads(CODECS[Dialect.OPENAI_CHAT].encode_error(error))["error"]
    assert (body["type"], body["code"]) == (kind, code)


def test_the_primary_failure_is_told_with_the_providers_words_where_the_client_is_to_blame() -> None:
    first = ProviderError(K.CALLER_FAULT, "The provider refused the request.", upstream_status=400, excerpt="top_k: unknown")
    told = json.loads(CODECS[Dialect.ANTHROPIC].encode_error(AttemptsExhausted(first, {"a": K.CALLER_FAULT, "b": K.TRANSIENT})))
    assert told == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "The provider refused the request. The provider said: top_k: unknown 2 deployments were tried.",
        },
    }
    hidden = ProviderError(K.CREDENTIAL, "The key was refused.", excerpt="key sk-...abc")
    assert b"sk-" not in CODECS[Dialect.ANTHROPIC].encode_error(hidden)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"error":{"message":"m","type":"invalid_request_error","param":"p","code":"c"}}',
            UpstreamError("c", "invalid_request_error", "m", "p"),
        ),
        (b'{"error":{"message":"m","type":"x","param":null,"code":429}}', UpstreamError("429", "x", "m")),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', UpstreamError("", "overloaded_error", "m")),
        (b'{"error":"m"}', UpstreamError(message="m")),
        (b'{"object":"error","message":"m","type":"BadRequestError","code":400}', UpstreamError("400", "BadRequestError", "m")),
        (b'{"detail":"m"}', UpstreamError(message="m")),
        (b'[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]', UpstreamError("400", "INVALID_ARGUMENT", "m")),
        (b'{"error":{"message":{"deep":1}}}', UpstreamError()),
        (b"<html>Bad gateway</html>", UpstreamError()),
        (b"[]", UpstreamError()),
        (b"\xff", UpstreamError()),
        (b"[" * 100_000, UpstreamError()),
    ],
)
@pytest.mark.parametrize("dialect", CODECS)
def test_error_bodies_of_many_upstreams(dialect: Dialect, body: bytes, error: UpstreamError) -> None:
    assert error == CODECS[dialect].decode_error(body)


ERROR_TYPES = {
    Dialect.COHERE: "",
    Dialect.COHERE_EMBED: "",
    Dialect.GEMINI: "INVALID_REQUEST",
    Dialect.GEMINI_EMBED: "INVALID_REQUEST",
}


@pytest.mark.parametrize("dialect", CODECS)
@given(message=some.some_text, hint=some.texts)
def test_what_is_encoded_as_an_error_is_read_as_one(dialect: Dialect, message: str, hint: str) -> None:
    read = CODECS[dialect].decode_error(CODECS[dialect].encode_error(MalformedRequest(message, hint=hint)))
    assert read.message == (f"{message} {hint}" if hint else message)
    assert read.type == ERROR_TYPES.get(dialect, "invalid_request_error")


@given(st.lists(st.text(max_size=12), unique=True))
def test_tool_ids_stay_apart_and_good_ones_stay_themselves(ids: list[str]) -> None:
    made = [tool_id(id) for id in ids]
    assert len(set(made)) == len(ids)
    assert all(made)
    assert [tool_id(id) for id in made] == made


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("data:image/png;base64,AA==", DataUrl("image/png", "AA==")),
        ("DATA:Image/PNG;charset=x;BASE64,AA==", DataUrl("image/png", "AA==")),
        ("data:text/plain,hello", None),
        ("https://example.test/a;base64,b", None),
        ("", None),
    ],
)
def test_data_urls(url: str, parts: DataUrl | None) -> None:
    assert parts == parse_data_url(url)
    if parts is not None:
        assert parts == parse_data_url(encode_data_url(parts.media_type, parts.data))


@pytest.mark.parametrize(
    ("body", "paths", "left"),
    [
        ('{"a":[{"b":[1.0,2]},3],"c":1e2}', ["a.0.b.1"], '{"a":[{"b":[1.0]},3],"c":1e2}'),
        ('{"a":[{"b":[1],"r":"x"},3]}', ["a.0.b.0"], '{"a":[3]}'),
        ('{"a":[{"b":1, "c":2},3]}', ["a.0.b", "a.1"], '{"a":[{"c":2}]}'),
        ('{"a":{"b":[{"c":1,"d":2}]}}', ["a.0.b.0.c"], '{"a":{"b":[{"d":2}]}}'),
        ('{"a":[0,1,2]}', ["a.0", "a.2"], '{"a":[1]}'),
        ('{"a":[0]}', ["a.0"], "{}"),
        ('{"a":[{"b":[1]}],"c":{"d":[2]},"e":3}', ["a.0.b.0", "c.d.0"], '{"e":3}'),
    ],
)
def test_what_is_left_out_leaves_the_rest_as_it_came(body: str, paths: list[str], left: str) -> None:
    """A list that is left empty goes, and so does what it was in, but for the body; the only member of a list may stand alone."""
    assert left.encode() == without(body.encode(), paths)


BODIES: dict[Dialect, dict[str, object]] = {
    Dialect.OPENAI_CHAT: {"messages": [{"role": "user", "content": "?"}]},
    Dialect.OPENAI_RESPONSES: {"input": "?"},
    Dialect.ANTHROPIC: {"messages": [{"role": "user", "content": "?"}], "max_tokens": 9},
    Dialect.OPENAI_EMBEDDINGS: {"input": "?"},
}


@pytest.mark.parametrize("dialect", BODIES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("models", ["a/b"]),
        ("fallbacks", [{"model": "b"}]),
        ("route", "fallback"),
        ("provider", {"only": ["b"]}),
        ("preset", "@preset/b"),
    ],
)
def test_no_field_lets_an_upstream_choose_who_answers(dialect: Dialect, name: str, value: object) -> None:
    """They would be forwarded as they came, past the key's models, the zone and the price."""
    body = {"model": "m", **BODIES[dialect], "metadata": {name: "x"}}
    assert CODECS[dialect].decode_request(json.dumps({**body, name: None}).encode()).model == "m"
    with pytest.raises(MalformedRequest) as refusal:
        CODECS[dialect].decode_request(json.dumps({**body, name: value}).encode())
    assert refusal.value.param == name
    assert "name one model" in str(refusal.value)


def test_losses_are_named_once_and_not_without_end() -> None:
    losses = Losses(["a"])
    for number in range(100):
        losses.add("a")
        losses.add(f"messages.{number}")
    assert len(losses.names()) == MAX_LOST + 1
    assert losses.names()[0] == "a"
    assert losses.names()[-1] == f"and {101 - MAX_LOST} more"
