"""Every shipped row of the registry is an ordinary member of the seam, at the far end of the real network path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from trimtab.catalog import ProviderRow, providers
from trimtab.core.catalog import Deployment, ModelCard
from trimtab.core.zones import Boundary, Secret, Sensitivity
from trimtab.lab.check_provider import CHECKS, Factory, Subject, run_check
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers.registry import auth_headers, provider_for

ANYONE = Boundary(zones=("any",), outermost={Sensitivity.PUBLIC: "any"})
KEY = Secret("sk-lab-0123456789abcdefghijkl")


def at(row: ProviderRow) -> Factory:
    """The row's provider, sent to another host: the path of its real address stays."""

    @asynccontextmanager
    async def factory(base_url: str) -> AsyncIterator[Subject]:
        deployment = Deployment(
            id=f"{row.name}/lab",
            model="lab-model-large",
            card=ModelCard(name="lab-model-large"),
            provider=row.name,
            dialect=row.dialect,
            tier=row.tier,
            zone="any",
            base_url=base_url + urlsplit(row.base_url).path,
        )
        receiver = Receiver(id=deployment.id, base_url=deployment.base_url, zone="any", headers=auth_headers(row, KEY))
        egress = Egress(Receivers(ANYONE, [receiver]))
        try:
            yield Subject(provider_for(row, egress), deployment)
        finally:
            await egress.aclose()

    return factory


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", providers())
async def test_the_row_conforms(name: str, check: str) -> None:
    await run_check(check, at(providers()[name]))
