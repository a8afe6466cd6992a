"""Anthropic's bodies behind a cloud. Its own clients are the oracle of what the cloud is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic._models import FinalRequestOptions
from anthropic.lib.bedrock import _client as bedrock_client
from anthropic.lib.vertex import _client as vertex_client
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests import strategies as some

from trimtab.core.messages import Dialect, Request
from trimtab.wire import AnthropicMessages
from trimtab.wire.anthropic.codec import Cloud

PLAIN, BEDROCK, VERTEX = AnthropicMessages(), AnthropicMessages("bedrock"), AnthropicMessages("vertex")
BODY: dict[str, Any] = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "x_new": {"a": [1.50]}}
BETAS = (("anthropic-beta", "one-2026-01-01, two-2026-02-02"),)


def asked(**fields: Any) -> Request:
    return PLAIN.decode_request(json.dumps({**BODY, **fields}).encode())


def by_anthropics_client(cloud: Cloud, body: dict[str, Any]) -> Any:
    options = FinalRequestOptions(
        method="post", url="/v1/messages", json_data=dict(body), headers={name: value.replace(" ", "") for name, value in BETAS}
    )
    if cloud == "bedrock":
        return bedrock_client._prepare_options(options, {}).json_data
    return vertex_client._prepare_options(options, project_id="p", region="eu").json_data


@pytest.mark.parametrize("cloud", ["bedrock", "vertex"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_body_is_the_one_that_anthropics_client_sends(cloud: Cloud, stream: bool) -> None:
    fields = {"stream": True} if stream else {}
    request = replace(asked(**fields), headers=BETAS)
    expected = by_anthropics_client(cloud, {**BODY, **fields})
    # Its version 2.12 writes a newer date here than either cloud's documentation has.
    expected["anthropic_version"] = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}[cloud]
    assert expected == json.loads(AnthropicMessages(cloud).forward_request(request, "m", want_usage=True))


@settings(max_examples=40, deadline=None)
@given(some.requests(Dialect.OPENAI_CHAT), st.sampled_from((BEDROCK, VERTEX)))
def test_a_translated_body_differs_in_nothing_else(request: Request, codec: AnthropicMessages) -> None:
    request = replace(request, headers=(("openai-beta", "x"), *BETAS))
    plain, lost = PLAIN.encode_request(request, "m")
    body, lost_there = codec.encode_request(request, "m")
    expected = json.loads(plain)
    expected.pop("model")
    if codec is BEDROCK:
        expected.pop("stream", None)
    found = json.loads(body)
    assert found.pop("anthropic_version")
    assert (expected, lost) == (found, lost_there)


def test_values_go_through_as_they_came() -> None:
    body = BEDROCK.forward_request(asked(anthropic_beta=["mine"]), "m", want_usage=True)
    assert b'"x_new":{"a": [1.5]}' in body
    assert json.loads(body)["anthropic_beta"] == ["mine"]
