"""Google's grant for a service account, for Vertex: a signed assertion for a token (RFC 7523; Google Identity, "Using OAuth 2.0 for
server to server applications").

It knows the assertion and nothing of tokens' lives (``tokens``) nor of Vertex's models.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from trimtab.core.errors import ConfigError
from trimtab.core.zones import Secret
from trimtab.providers.auth.tokens import Grant, Post, ask

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://oauth2.googleapis.com/token"

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE = 3600
_HINT = "Create a JSON key for the service account and give the whole file as the credential."


class _KeyFile(Struct):
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = AUDIENCE


class ServiceAccount:
    """What a service account's key file says."""

    def __init__(self, email: str, key: RSAPrivateKey, key_id: str, token_uri: str) -> None:
        self.email = email
        self.key = key
        self.key_id = key_id
        self.token_uri = token_uri

    def __repr__(self) -> str:
        return f"<ServiceAccount {self.email}>"

    @classmethod
    def read(cls, text: Secret) -> Self:
        """From the text of the key file. Raises :class:`ConfigError`, which repeats nothing of it."""
        import jwt
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from jwt.algorithms import RSAAlgorithm

        try:
            wire = msgspec.json.decode(text.reveal(), type=_KeyFile)
        except (msgspec.DecodeError, RecursionError):
            raise ConfigError("The service account's key is not the JSON of a key file.", hint=_HINT) from None
        try:
            key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(wire.private_key)
        except (jwt.PyJWTError, ValueError, TypeError):
            key = None
        if not isinstance(key, RSAPrivateKey):
            raise ConfigError("The service account's private key is not an RSA key in PEM form.", hint=_HINT) from None
        return cls(wire.client_email, key, wire.private_key_id, wire.token_uri)


class ServiceAccountGrant:
    """Grants for :class:`~trimtab.providers.auth.TokenSigner`.

    ``receiver_id`` and ``path`` are Google's token endpoint: where the assertion goes is the configuration's word, not the key file's.
    ``now`` is seconds since the epoch.
    """

    def __init__(
        self,
        post: Post,
        receiver_id: str,
        account: ServiceAccount,
        *,
        path: str = "/token",
        scope: str = SCOPE,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._post = post
        self._receiver_id = receiver_id
        self._account = account
        self._path = path
        self._scope = scope
        self._now = now

    def __repr__(self) -> str:
        return f"<ServiceAccountGrant from {self._receiver_id}>"

    async def __call__(self) -> Grant:
        import jwt

        account, issued = self._account, int(self._now())
        claims = {"iss": account.email, "scope": self._scope, "aud": account.token_uri, "iat": issued, "exp": issued + _LIFE}
        headers = {"kid": account.key_id} if account.key_id else None
        assertion = jwt.encode(claims, account.key, algorithm="RS256", headers=headers)
        form = urlencode({"grant_type": _GRANT_TYPE, "assertion": assertion}).encode()
        return await ask(self._post, self._receiver_id, self._path, form)
