"""From a deployment's credentials to receivers of the egress check: one for each credential, named DEPLOYMENT, DEPLOYMENT#2 and so on.

Where tokens must be asked for, whoever grants them is a receiver too, in the deployment's own zone, and is sent no byte of a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from trimtab.catalog import ProviderRow
from trimtab.config import ApiKey, AWSCredential, Credential, EntraCredential, GoogleCredential
from trimtab.core.catalog import Deployment
from trimtab.core.zones import ONLY_PUBLIC, Secret
from trimtab.net import Egress, Receiver, Signer
from trimtab.providers.auth import AWSKey, EntraGrant, Post, SigV4Signer, TokenSigner
from trimtab.providers.auth.google import ServiceAccount, ServiceAccountGrant
from trimtab.providers.keyring import Keyring
from trimtab.providers.registry import auth_headers

_MAX_GRANT_BYTES = 64 * 1024


class Authorities(Struct, frozen=True, kw_only=True):
    """Where tokens come from."""

    entra: str = "https://login.microsoftonline.com"
    google: str = "https://oauth2.googleapis.com"


class _Pass(NamedTuple):
    """What a receiver shows at the door."""

    headers: Mapping[str, Secret]
    signer: Signer | None = None


def register(
    egress: Egress,
    deployment: Deployment,
    row: ProviderRow,
    credentials: Sequence[Credential],
    authorities: Authorities | None = None,
) -> Keyring | None:
    """Add the receivers of ``deployment`` to those of ``egress``. Returns a keyring where several credentials take turns.

    Raises :class:`ConfigError` for a service account's key file that is none.
    """
    ids = [deployment.id, *(f"{deployment.id}#{number}" for number in range(2, len(credentials) + 1))]
    shown = [
        _pass(egress, deployment, row, one, id, authorities or Authorities()) for id, one in zip(ids, credentials, strict=False)
    ]
    for id, (headers, signer) in zip(ids, shown or [_Pass({})], strict=True):
        egress.receivers.register(
            Receiver(id=id, base_url=deployment.base_url, zone=deployment.zone, headers=headers, signer=signer)
        )
    return Keyring(ids) if len(ids) > 1 else None


def _pass(
    egress: Egress, deployment: Deployment, row: ProviderRow, credential: Credential, id: str, authorities: Authorities
) -> _Pass:
    def authority(base_url: str) -> str:
        receiver = Receiver(id=f"{id} (tokens)", base_url=base_url, zone=deployment.zone)
        egress.receivers.register(receiver)
        return receiver.id

    post = _posting(egress, deployment.timeouts.connect)
    match credential:
        case ApiKey(key=key):
            return _Pass(auth_headers(row, key))
        case AWSCredential(region=region):
            signing = AWSKey(credential.access_key_id.reveal(), credential.secret_access_key, credential.session_token)
            return _Pass({}, SigV4Signer(signing, region=region))
        case EntraCredential(tenant=tenant, client_id=client_id, client_secret=secret):
            grant = EntraGrant(post, authority(authorities.entra), tenant=tenant, client_id=client_id, client_secret=secret)
            return _Pass({}, TokenSigner(grant))
        case GoogleCredential(service_account=text):
            account = ServiceAccount.read(text)
            return _Pass({}, TokenSigner(ServiceAccountGrant(post, authority(authorities.google), account)))


def _posting(egress: Egress, connect_timeout: float) -> Post:
    async def post(receiver_id: str, path: str, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        async with egress.post(
            receiver_id, path, body, carried=ONLY_PUBLIC, headers=headers, connect_timeout=connect_timeout
        ) as answer:
            return answer.status, await answer.read(_MAX_GRANT_BYTES)

    return post
