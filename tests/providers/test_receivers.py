"""From credentials to what stands on the wire: keys, signatures and tokens, against upstreams and authorities that check them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from tests.conformance.test_providers import AWS
from tests.providers.doors import BOUNDARY
from tests.providers.test_auth import accepts, key_file
from tests.providers.test_rows import answer, asked

from trimtab.catalog import providers
from trimtab.config import ApiKey, Credential, EntraCredential, GoogleCredential
from trimtab.core.catalog import Deployment, ModelCard
from trimtab.core.errors import ConfigError, EgressRefused, FailureKind, ProviderError
from trimtab.core.messages import Dialect
from trimtab.core.zones import Secret, Sensitivity
from trimtab.lab.check_provider import Subject
from trimtab.lab.faults import FAILURES, FaultyUpstream, speak
from trimtab.lab.upstream.clouds.tokens import TokenAuthority
from trimtab.net import Egress, Receivers
from trimtab.providers.receivers import Authorities, register
from trimtab.providers.registry import provider_for

ENTRA = EntraCredential(tenant="contoso", client_id="an-app", client_secret=Secret("its-secret"))
KEYS = [ApiKey(Secret(f"sk-canary-{number}-0123456789")) for number in range(3)]


@asynccontextmanager
async def subject_of(
    name: str, url: str, credentials: Sequence[Credential], authority: str = "", zone: str = "any"
) -> AsyncIterator[Subject]:
    row = providers()[name]
    deployment = Deployment(
        id="d",
        model="m",
        card=ModelCard(name="m"),
        provider=name,
        dialect=row.dialect,
        tier=row.tier,
        zone=zone,
        base_url=url,
    )
    egress = Egress(Receivers(BOUNDARY, []))
    keyring = register(egress, deployment, row, credentials, Authorities(entra=authority, google=authority))
    try:
        yield Subject(provider_for(row, egress, keyring), deployment)
    finally:
        await egress.aclose()


async def failure(subject: Subject) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await answer(subject, asked(Dialect.OPENAI_CHAT))
    return caught.value


def shown(there: FaultyUpstream) -> list[str]:
    return [exchange.request.headers["authorization"] for exchange in there.exchanges]


# -- several keys


async def test_keys_take_turns_and_the_answer_says_which() -> None:
    async with FaultyUpstream() as there, subject_of("openai", there.url, KEYS) as subject:
        used = [(await answer(subject, asked(Dialect.OPENAI_CHAT)))[0].credential for _ in range(4)]
    assert used == ["d", "d#2", "d#3", "d"]
    assert shown(there) == [f"Bearer {KEYS[number % 3].key.reveal()}" for number in range(4)]


async def test_one_key_is_no_ring() -> None:
    async with FaultyUpstream() as there, subject_of("openai", there.url, KEYS[:1]) as subject:
        upstream, _ = await answer(subject, asked(Dialect.OPENAI_CHAT))
        there.play(FAILURES["openai.rate_limit"])
        error = await failure(subject)
    assert (upstream.credential, error.spare) == ("", False)


@pytest.mark.parametrize("what", ["openai.rate_limit", "openai.quota", "openai.credential"])
async def test_a_limited_key_rests_and_says_that_another_is_ready(what: str) -> None:
    async with FaultyUpstream(FAILURES[what], speak()) as there, subject_of("openai", there.url, KEYS[:2]) as subject:
        error = await failure(subject)
        assert (error.kind, error.spare) == (FAILURES[what].kind, True)
        assert {(await answer(subject, asked(Dialect.OPENAI_CHAT)))[0].credential for _ in range(3)} == {"d#2"}


async def test_when_all_keys_rest_none_is_spare() -> None:
    async with FaultyUpstream(FAILURES["openai.rate_limit"]) as there, subject_of("openai", there.url, KEYS[:2]) as subject:
        assert [(await failure(subject)).spare for _ in range(2)] == [True, False]


async def test_nothing_is_shown() -> None:
    async with FaultyUpstream() as there, subject_of("openai", there.url, KEYS) as subject:
        everything = repr(subject.provider) + repr(KEYS) + repr([AWS, ENTRA, GoogleCredential(Secret("{}"))])
    assert not any(word in everything for word in ("sk-canary", "its-secret", "wJalr"))


# -- clouds


@pytest.mark.parametrize("name", ["bedrock", "bedrock-anthropic"])
@pytest.mark.parametrize("stream", [False, True])
async def test_bedrock_takes_the_signature_and_no_other(name: str, stream: bool) -> None:
    other = replace(AWS, secret_access_key=Secret("another"))
    async with FaultyUpstream(aws_secret=AWS.secret_access_key.reveal()) as there:
        async with subject_of(name, there.url, [AWS]) as subject:
            await answer(subject, asked(Dialect.OPENAI_CHAT, stream=stream))
        async with subject_of(name, there.url, [other, AWS]) as subject:
            error = await failure(subject)
            assert (error.kind, error.detail, error.spare) == (FailureKind.CREDENTIAL, "InvalidSignatureException", True)
            await answer(subject, asked(Dialect.OPENAI_CHAT, stream=stream))
    assert "/eu-west-1/bedrock/aws4_request" in shown(there)[0]


async def test_a_key_of_bedrocks_own_is_sent_as_it_is() -> None:
    async with FaultyUpstream() as there, subject_of("bedrock", there.url, KEYS[:1]) as subject:
        await answer(subject, asked(Dialect.OPENAI_CHAT))
    assert shown(there) == [f"Bearer {KEYS[0].key.reveal()}"]


async def test_entra_grants_one_token_for_many_requests() -> None:
    async with TokenAuthority(clients={"an-app": "its-secret"}) as authority, FaultyUpstream() as there:
        async with subject_of("azure", there.url, [ENTRA], authority.url) as subject:
            for _ in range(2):
                await answer(subject, asked(Dialect.OPENAI_CHAT))
        assert shown(there) == ["Bearer lab-token-1"] * 2
        assert all("api-key" not in exchange.request.headers for exchange in there.exchanges)
        assert [exchange.request.path for exchange in authority.exchanges] == ["/contoso/oauth2/v2.0/token"]


async def test_a_refused_application_is_a_credential_that_rests_and_nothing_is_sent() -> None:
    wrong = replace(ENTRA, client_secret=Secret("old-secret"))
    async with TokenAuthority(clients={"an-app": "its-secret"}) as authority, FaultyUpstream() as there:
        async with subject_of("azure", there.url, [wrong, ENTRA], authority.url) as subject:
            error = await failure(subject)
            assert (error.kind, error.spare, there.exchanges) == (FailureKind.CREDENTIAL, True, [])
            assert "invalid_client" in error.message
            assert "old-secret" not in f"{error!r} {error} {error.excerpt}"
            await answer(subject, asked(Dialect.OPENAI_CHAT))
    assert shown(there) == ["Bearer lab-token-1"]


@pytest.mark.parametrize("name", ["vertex", "vertex-anthropic"])
async def test_a_service_account_is_granted_a_token(name: str) -> None:
    account = GoogleCredential(Secret(json.dumps(key_file())))
    async with TokenAuthority(accepts=accepts) as authority, FaultyUpstream() as there:
        async with subject_of(name, there.url, [account], authority.url) as subject:
            await answer(subject, asked(Dialect.OPENAI_CHAT, stream=True))
    assert shown(there) == ["Bearer lab-token-1"]


async def test_a_key_file_that_is_none_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="not the JSON of a key file"):
        async with subject_of("vertex", "http://127.0.0.1:9", [GoogleCredential(Secret("a-key"))]):
            raise AssertionError("registered")


async def test_no_token_is_asked_for_what_may_not_leave() -> None:
    async with TokenAuthority(clients={"an-app": "its-secret"}) as authority, FaultyUpstream() as there:
        async with subject_of("azure", there.url, [ENTRA], authority.url) as subject:
            request = replace(asked(Dialect.OPENAI_CHAT), sensitivity=frozenset({Sensitivity.PERSONAL}))
            with pytest.raises(EgressRefused):
                await answer(subject, request)
        assert (authority.exchanges, there.exchanges) == ([], [])
