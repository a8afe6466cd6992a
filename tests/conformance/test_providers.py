"""Every shipped row of the registry is an ordinary member of the seam, at the far end of the real network path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from trimtab.catalog import ProviderRow, providers
from trimtab.config import ApiKey, AWSCredential, Credential
from trimtab.core.catalog import Deployment, ModelCard
from trimtab.core.messages import Dialect
from trimtab.core.zones import Boundary, Secret, Sensitivity
from trimtab.lab.check_provider import CHECKS, Factory, Subject, run_check
from trimtab.net import Egress, Receivers
from trimtab.providers.receivers import register
from trimtab.providers.registry import provider_for

ANYONE = Boundary(zones=("any",), outermost={Sensitivity.PUBLIC: "any"})
KEY = ApiKey(Secret("sk-lab-0123456789abcdefghijkl"))
AWS = AWSCredential(
    access_key_id=Secret("AKIDEXAMPLE"),
    secret_access_key=Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    session_token=None,
    region="eu-west-1",
)


def at(row: ProviderRow, *credentials: Credential) -> Factory:
    """The row's provider, sent to another host: the path of its real address stays."""

    @asynccontextmanager
    async def factory(base_url: str) -> AsyncIterator[Subject]:
        model = "lab/model-large" if row.dialect is Dialect.REPLICATE else "lab-model-large"
        deployment = Deployment(
            id=f"{row.name}/lab",
            model=model,
            card=ModelCard(name=model),
            provider=row.name,
            dialect=row.dialect,
            also=frozenset(row.also),
            tier=row.tier,
            zone="any",
            base_url=base_url + urlsplit(row.base_url).path,
        )
        egress = Egress(Receivers(ANYONE, []))
        keyring = register(egress, deployment, row, credentials)
        try:
            yield Subject(provider_for(row, egress, keyring), deployment)
        finally:
            await egress.aclose()

    return factory


PASSING = "what else is spoken passes as it came"


def cases() -> Iterator[tuple[str, str]]:
    """Rows that differ in nothing that a check of their chat can see are checked once."""
    seen: set[tuple[object, ...]] = set()
    for name, row in providers().items():
        sent = (row.dialect, row.cloud, row.paths.get(row.dialect), row.auth, row.usage_in_stream)
        checks = [check for check in CHECKS if check != PASSING] if sent not in seen else []
        seen.add(sent)
        yield from ((name, check) for check in (*checks, *[PASSING] * bool(row.also)))


@pytest.mark.parametrize("name, check", list(cases()))
async def test_the_row_conforms(name: str, check: str) -> None:
    row = providers()[name]
    await run_check(check, at(row, AWS if row.auth == "aws_sigv4" else KEY))


@pytest.mark.parametrize("check", ["text and parallel tool calls arrive whole", "no credential and no content is shown"])
@pytest.mark.parametrize("name", ["openai", "bedrock", "bedrock-anthropic", "gemini"])
async def test_two_credentials_that_take_turns_conform_too(name: str, check: str) -> None:
    row = providers()[name]
    await run_check(check, at(row, KEY, AWS if row.auth == "aws_sigv4" else KEY))
