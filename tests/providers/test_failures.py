from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.providers.bodies import ANTHROPIC, OPENAI, OTHERS, Said

from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.messages import Dialect
from trimtab.net import NetError, NetFailure
from trimtab.providers.failures import (
    MAX_EXCERPT,
    MAX_RETRY_AFTER,
    RULES,
    classify,
    classify_net,
    kind_of,
    retry_after,
    scrubbed,
    truncated,
)
from trimtab.wire import CODECS, UpstreamError

ALL = (*ANTHROPIC, *OPENAI, *OTHERS)
SENTENCES: list[tuple[int | None, UpstreamError, FailureKind]] = [
    # ai.google.dev/gemini-api/docs/troubleshooting
    (400, UpstreamError(message="User location is not supported for the API use."), FailureKind.REGION),
    (400, UpstreamError(message="API key not valid. Please pass a valid API key."), FailureKind.CREDENTIAL),
    # Google: google.api.ErrorReason stands in the type, and the sentences are those that Gemini's users quote (see the rules)
    (403, UpstreamError(code="403", type="BILLING_DISABLED"), FailureKind.QUOTA),
    (429, UpstreamError(message="Your prepayment credits are depleted. Please go to AI Studio."), FailureKind.QUOTA),
    (429, UpstreamError(code="429", type="RESOURCE_EXHAUSTED", message="You exceeded your current quota"), FailureKind.RATE_LIMIT),
    (429, UpstreamError(code="429", type="RATE_LIMIT_EXCEEDED"), FailureKind.RATE_LIMIT),
    (429, UpstreamError(code="429", type="MODEL_CAPACITY_EXHAUSTED"), FailureKind.TRANSIENT),
    (400, UpstreamError(code="400", type="API_KEY_INVALID", message="API Key not found."), FailureKind.CREDENTIAL),
    (
        400,
        UpstreamError(message="The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."),
        FailureKind.CONTEXT_LENGTH,
    ),
    (404, UpstreamError(message="models/gemini-pro is not found for API version v1beta, or is not"), FailureKind.MODEL_GONE),
    # OpenAI docs/deprecations
    (404, UpstreamError(message="The model `text-davinci-003` has been deprecated"), FailureKind.MODEL_GONE),
    (None, UpstreamError(type="invalid_request_error", message="bad"), FailureKind.CALLER_FAULT),
    # docs.cohere.com/reference/errors and, for the trial's month and the blocked texts, its users
    (429, UpstreamError(message="You are using a Trial key, which is limited to 1000 API calls / month."), FailureKind.QUOTA),
    (429, UpstreamError(message="You are using a Trial key, which is limited to 40 API calls / minute."), FailureKind.RATE_LIMIT),
    (
        400,
        UpstreamError(message="too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."),
        FailureKind.CONTEXT_LENGTH,
    ),
    (400, UpstreamError(message="too many tokens: size limit exceeded by 11326 tokens."), FailureKind.CONTEXT_LENGTH),
    (400, UpstreamError(message="too many tokens: max tokens must be less than or equal to 4096"), FailureKind.UNKNOWN),
    (400, UpstreamError(message="invalid request: model 'command-r' is not supported by the generate API"), FailureKind.UNKNOWN),
    (400, UpstreamError(message="invalid request: message must be at least 1 token long"), FailureKind.CALLER_FAULT),
    (498, UpstreamError(message="blocked output: please adjust your prompt and try again"), FailureKind.CONTENT_FILTER),
    (401, UpstreamError(message="invalid api token"), FailureKind.CREDENTIAL),
    (402, UpstreamError(message="Please add or update your payment method"), FailureKind.QUOTA),
    (404, UpstreamError(message="model 'xyz' not found, make sure the correct model ID was used"), FailureKind.MODEL_GONE),
    (499, UpstreamError(message="request cancelled"), FailureKind.TRANSIENT),
    (None, UpstreamError(code="ERROR"), FailureKind.TRANSIENT),
    # Amazon Bedrock: the errors of InvokeModel and Converse in the API reference, and their sentences as its users report them. In a
    # stream the same names come without a status.
    (400, UpstreamError(type="ServiceQuotaExceededException"), FailureKind.QUOTA),
    (400, UpstreamError(type="ValidationException", message="Input is too long for requested model."), FailureKind.CONTEXT_LENGTH),
    (404, UpstreamError(type="ResourceNotFoundException"), FailureKind.MODEL_GONE),
    (
        403,
        UpstreamError(type="AccessDeniedException", message="You don't have access to the model with the specified model ID."),
        FailureKind.MODEL_GONE,
    ),
    (400, UpstreamError(type="ValidationException", message="The provided model identifier is invalid."), FailureKind.MODEL_GONE),
    (403, UpstreamError(type="UnrecognizedClientException", message="The security token is invalid."), FailureKind.CREDENTIAL),
    (None, UpstreamError(code="malformed_tool_use"), FailureKind.UNKNOWN),
    (429, UpstreamError(type="ModelNotReadyException"), FailureKind.TRANSIENT),
    (None, UpstreamError(type="throttlingException"), FailureKind.RATE_LIMIT),
    (424, UpstreamError(type="ModelErrorException"), FailureKind.TRANSIENT),
    (None, UpstreamError(type="validationException", message="bad"), FailureKind.CALLER_FAULT),
]
NOW = 1_790_000_000.0


def classified(said: Said) -> ProviderError:
    error = CODECS[said.dialect].decode_error(said.body.encode())
    return classify(said.status, error, {}, who="there", now=NOW)


@pytest.mark.parametrize("said", ALL, ids=[f"{said.source}-{said.status}" for said in ALL])
def test_what_the_providers_say(said: Said) -> None:
    error = classified(said)
    assert (error.kind, error.detail, error.upstream_status) == (said.kind, said.detail, said.status)


def test_every_rule_has_a_case_that_needs_it() -> None:
    """Without the rule, some body of the table or some status means something else."""
    cases = [(said.status, CODECS[said.dialect].decode_error(said.body.encode())) for said in ALL]
    cases += [(status, UpstreamError()) for status in range(300, 600)]
    cases += [(status, error) for status, error, _ in SENTENCES]

    def decided_by(status: int | None, error: UpstreamError) -> int:
        carried = int(error.code) if error.code.isdigit() and len(error.code) == 3 else None
        meant = carried if status is None or status < 400 else status
        return next((n for n, rule in enumerate(RULES) if rule.fits(error, error.message.lower(), meant)), -1)

    idle = set(range(len(RULES))) - {decided_by(status, error) for status, error in cases}
    assert [RULES[number] for number in sorted(idle)] == []


@pytest.mark.parametrize("status, error, kind", SENTENCES)
def test_a_sentence_where_there_is_no_code(status: int | None, error: UpstreamError, kind: FailureKind) -> None:
    assert kind_of(status, error) == kind


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.none(), st.integers(100, 999)),
    st.builds(UpstreamError, code=st.text(), type=st.text(), message=st.text(), param=st.text()),
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text()),
)
def test_nothing_an_upstream_says_breaks_the_classifier(status: int | None, error: UpstreamError, headers: dict[str, str]) -> None:
    failure = classify(status, error, headers, who="there", now=NOW)
    assert failure.retry_after is None or 0 <= failure.retry_after <= MAX_RETRY_AFTER
    assert len(failure.excerpt) <= MAX_EXCERPT
    assert not failure.detail or (failure.detail.isascii() and " " not in failure.detail)
    if status in (400, 422) or (status is not None and status < 400):
        return
    assert failure.kind is not FailureKind.CALLER_FAULT or status is None


RETRY_AFTER: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": " 1.5 "}, 1.5),
    ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
    ({"retry-after": "99999999"}, MAX_RETRY_AFTER),
    ({"retry-after": "-3"}, None),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "1e3"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "9" * 400}, None),
    ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),  # NOW is 14:13:20
    ({"retry-after": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0.0),
    ({"retry-after": "Mon, 21 Sep 2026 15:00:30 GMT", "date": "Mon, 21 Sep 2026 15:00:00 GMT"}, 30.0),
    ({"retry-after": "Mon, 21 Sep 9999 15:00:30 GMT"}, MAX_RETRY_AFTER),
]


@pytest.mark.parametrize("headers, seconds", RETRY_AFTER)
def test_retry_after_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


SECRETS = [
    "sk-abcdef0123456789",
    "sk-proj-********************AbCd",
    "sk-ant-api03-Zz_9-kk",
    "gsk_abcdefgh12345678",
    "AIzaSyA-1234567890abcdefg",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "Bearer abc.def-ghi",
    "0123456789abcdef0123456789abcdef",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("sentence", ["Incorrect API key provided: {}.", "key={}&x=1", "'{}' is not known", "{}"])
def test_what_looks_like_a_credential_is_struck_out(secret: str, sentence: str) -> None:
    said = scrubbed(sentence.format(secret))
    assert "***" in said
    for piece in (secret, secret.split("-")[-1], secret.split()[-1]):
        assert len(piece) < 4 or piece not in said


def test_an_ordinary_sentence_survives_on_one_line() -> None:
    said = "This model's maximum context length is 8192 tokens.\nHowever, your messages resulted in 9000 tokens."
    assert scrubbed(said) == said.replace("\n", " ")


@pytest.mark.parametrize("kind", list(NetFailure))
def test_a_network_failure_is_transient_and_keeps_its_name(kind: NetFailure) -> None:
    error = classify_net(NetError(kind, "there"))
    meant = FailureKind.CREDENTIAL if kind is NetFailure.CREDENTIAL else FailureKind.TRANSIENT
    assert (error.kind, error.detail, error.upstream_status) == (meant, kind.value, None)
    assert error.message.startswith("there: ")


def test_a_request_without_a_credential_was_never_sent() -> None:
    assert not classify_net(NetError(NetFailure.CREDENTIAL, "there")).may_be_billed


@pytest.mark.parametrize(
    "said", ["ThrottlingException", "ThrottlingException:http://internal.amazon.test/coral/", "aws.test#ThrottlingException:x"]
)
def test_the_name_of_an_aws_error_is_in_a_header(said: str) -> None:
    error = CODECS[Dialect.ANTHROPIC].decode_error(b'{"message":"Too many requests."}')
    classified = classify(400, error, {"x-amzn-errortype": said}, who="there", now=NOW)
    assert (classified.kind, classified.detail) == (FailureKind.RATE_LIMIT, "ThrottlingException")


def test_the_name_of_an_aws_error_is_in_the_body() -> None:
    error = CODECS[Dialect.ANTHROPIC].decode_error(
        b'{"__type":"com.amazon.coral.service#UnrecognizedClientException","Message":"no"}'
    )
    assert (error.type, error.message) == ("UnrecognizedClientException", "no")


def test_a_truncated_stream_is_transient() -> None:
    error = truncated("there", "req_1")
    assert (error.kind, error.detail, error.upstream_id) == (FailureKind.TRANSIENT, "stream_truncated", "req_1")
