"""Inference servers that already run on this machine, offered as tier 1 in the words of the configuration."""

from __future__ import annotations

from collections.abc import Iterable

from trimtab.core.catalog import Deployment
from trimtab.core.zones import ONLY_PUBLIC, Boundary, Sensitivity
from trimtab.local.discover import PLACES, Found, discover
from trimtab.net import Egress, NetError, NetFailure, Receiver, Receivers

_MOST = 1 << 20


async def found_servers() -> tuple[Found, ...]:
    """Ask the usual ports of this machine who listens there. Nothing but the question leaves."""
    boundary = Boundary(zones=("here",), outermost={Sensitivity.PUBLIC: "here"})
    egress = Egress(Receivers(boundary, [Receiver(id=place.id, base_url=place.url, zone="here") for place in PLACES]))

    async def read(receiver: str, path: str) -> bytes:
        async with egress.get(receiver, path, carried=ONLY_PUBLIC, headers={}, connect_timeout=1) as answer:
            if answer.status != 200:
                raise NetError(NetFailure.PROTOCOL, receiver)
            return await answer.read(_MOST)

    try:
        return await discover(read)
    finally:
        await egress.aclose()


async def offers(deployed: Iterable[Deployment]) -> str:
    """What to add to the configuration to use each server found that is not deployed yet; empty when there is none."""
    known = {deployment.base_url.rstrip("/") for deployment in deployed}
    blocks = [_offer(server) for server in await found_servers() if server.base_url not in known and server.models]
    return "\n".join(blocks)


def _offer(server: Found) -> str:
    names = ", ".join(model.name for model in server.models)
    first = server.models[0].name
    return f"""
Found {server.provider} at {server.base_url} with {names}. To use it as tier 1, put into trimtab.toml:

  [[deployment]]
  id = "{server.provider}/{first}"
  provider = "{server.provider}"
  model = "{first}"
  base_url = "{server.base_url}"
"""
