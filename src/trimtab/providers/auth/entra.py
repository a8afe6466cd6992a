"""Microsoft Entra's client-credentials grant with a shared secret, for Azure (identity platform, "OAuth 2.0 client credentials flow").

It knows the form and nothing of tokens' lives (``tokens``) nor of Azure's models.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from trimtab.core.zones import Secret
from trimtab.providers.auth.tokens import Grant, Post, ask

SCOPE = "https://cognitiveservices.azure.com/.default"


class EntraGrant:
    """Grants for :class:`~trimtab.providers.auth.TokenSigner`. ``receiver_id`` is the authority, ``https://login.microsoftonline.com``."""

    def __init__(
        self, post: Post, receiver_id: str, *, tenant: str, client_id: str, client_secret: Secret, scope: str = SCOPE
    ) -> None:
        self._post = post
        self._receiver_id = receiver_id
        self._path = f"/{quote(tenant, safe='')}/oauth2/v2.0/token"
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope

    def __repr__(self) -> str:
        return f"<EntraGrant from {self._receiver_id}>"

    async def __call__(self) -> Grant:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret.reveal(),
            "scope": self._scope,
        }
        return await ask(self._post, self._receiver_id, self._path, urlencode(form).encode())
