"""An authority that grants tokens: Microsoft Entra's client credentials at ``/TENANT/oauth2/v2.0/token``, Google's signed assertions at
``/token``.

    async with TokenAuthority(clients={"an-app": "its secret"}) as authority:
        ...  # authority.url, authority.granted

Source: Microsoft identity platform, "OAuth 2.0 client credentials flow"; RFC 7523; and what the official clients, ``msal`` and
``google-auth``, are content with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self
from urllib.parse import parse_qs

import msgspec

from trimtab.lab.upstream.loopback import Ending, Exchange, Loopback

_ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenAuthority:
    """``clients`` maps Entra's applications to their secrets. ``accepts`` says whether an assertion is good. ``life`` is in seconds.

    ``failing`` holds statuses that the next requests for a token get instead of one; ``granted`` lists the tokens that were given.
    ``name`` is the address that it goes by, where clients reach it under another.
    """

    def __init__(
        self,
        *,
        clients: Mapping[str, str] | None = None,
        accepts: Callable[[str], bool] = lambda assertion: False,
        life: int = 3600,
        name: str = "",
    ) -> None:
        self.granted: list[str] = []
        self.failing: list[int] = []
        self._clients = dict(clients or {})
        self._accepts = accepts
        self._life = life
        self._name = name
        self._server = Loopback(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def exchanges(self) -> list[Exchange]:
        return self._server.exchanges

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    async def _handle(self, exchange: Exchange) -> Ending:
        status, answer = self._answer(exchange)
        await exchange.start(status, {"content-type": "application/json"})
        await exchange.send(msgspec.json.encode(answer))
        await exchange.finish()
        return "complete"

    def _answer(self, exchange: Exchange) -> tuple[int, Mapping[str, object]]:
        method, path = exchange.request.method, exchange.request.path.partition("?")[0]
        if method == "GET" and path.endswith("/v2.0/.well-known/openid-configuration"):
            here = f"{self._name or self.url}/{path.split('/')[1]}"
            return 200, {
                "issuer": f"{here}/v2.0",
                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
                "token_endpoint": f"{here}/oauth2/v2.0/token",
            }
        if method != "POST" or not (path == "/token" or path.endswith("/oauth2/v2.0/token")):
            return 404, {"error": "not_found"}
        if self.failing:
            return self.failing.pop(0), {"error": "temporarily_unavailable"}
        form = {name: values[0] for name, values in parse_qs(exchange.request.body.decode()).items()}
        return self._grant(form) if path == "/token" else self._grant_to_client(form)

    def _grant_to_client(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, object]]:
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if not form.get("scope", "").endswith("/.default"):
            return 400, {"error": "invalid_scope", "error_description": "AADSTS1002012: The scope is not valid."}
        secret = self._clients.get(form.get("client_id", ""))
        if secret is None or form.get("client_secret") != secret:
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
        return self._granted()

    def _grant(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, object]]:
        if form.get("grant_type") != _ASSERTION:
            return 400, {"error": "unsupported_grant_type"}
        if not self._accepts(form.get("assertion", "")):
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return self._granted()

    def _granted(self) -> tuple[int, Mapping[str, object]]:
        self.granted.append(f"lab-token-{len(self.granted) + 1}")
        return 200, {"token_type": "Bearer", "expires_in": self._life, "access_token": self.granted[-1]}
