"""AWS Signature Version 4 (IAM user guide, "Create a signed AWS API request"): a pure function, and the signer around it.

It signs what it is given and knows no service. The path is escaped once more than it is on the wire, as every service but S3 wants it:
``:`` in a model's name is signed as ``%3A`` where it is sent plainly, and as ``%253A`` where it is sent as ``%3A``.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from posixpath import normpath
from urllib.parse import quote, urlsplit

from msgspec import Struct

from trimtab.core.zones import Secret

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}

_UNSIGNED = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
    }
    | {"trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id"}
)
"""What a proxy on the way may change."""

_SIGNED = frozenset({"content-type"})
"""Of the headers that are no credential, the one that the documentation wants signed. The fewer, the less a proxy can break."""


class AWSKey(Struct, frozen=True):
    """An access key; ``session_token`` comes with one that lives for a while."""

    id: str
    secret: Secret
    session_token: Secret | None = None


def sign(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, key: AWSKey, region: str, service: str, now: float
) -> dict[str, str]:
    """The headers to add: ``authorization``, ``x-amz-date`` and, with a session token, ``x-amz-security-token``.

    ``url`` is as it is sent, ``headers`` are all signed but those that a proxy may change, ``now`` is seconds since the epoch.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": moment}
    if key.session_token is not None:
        added["x-amz-security-token"] = key.session_token.reveal()
    target = urlsplit(url)
    signed = {name.lower(): value for name, value in headers.items()} | {"host": _host(url)} | added
    names = sorted(name for name in signed if name not in _UNSIGNED and name != "authorization")
    canonical = "\n".join(
        (
            method.upper(),
            quote(_normal(target.path), safe="/~"),
            "&".join("=".join(pair) for pair in sorted(_pairs(target.query))),
            *(f"{name}:{' '.join(signed[name].split())}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    derived = f"AWS4{key.secret.reveal()}".encode()
    for word in scope.split("/"):
        derived = _hmac(derived, word)
    signature = _hmac(derived, text).hex()
    added["authorization"] = f"{_ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return added


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _host(url: str) -> str:
    target = urlsplit(url)
    host = f"[{target.hostname}]" if ":" in (target.hostname or "") else target.hostname or ""
    is_default = target.port is None or target.port == _DEFAULT_PORTS.get(target.scheme)
    return host if is_default else f"{host}:{target.port}"


def _normal(path: str) -> str:
    """Without dot segments and doubled slashes; a slash at the end stays."""
    if not path:
        return "/"
    normal = "/" + normpath(path).lstrip("/")
    return normal + "/" if path.endswith("/") and normal != "/" else normal


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in query.split("&") if query)
    return [(name, value) for name, _, value in pairs]


class SigV4Signer:
    """Signs every request for one service in one region (``bedrock`` for Bedrock's models)."""

    def __init__(self, key: AWSKey, *, region: str, service: str = "bedrock", now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._region = region
        self._service = service
        self._now = now

    def __repr__(self) -> str:
        return f"<SigV4Signer {self._service} in {self._region}>"

    async def headers(self, method: str, url: str, sent: Mapping[str, str], body: bytes | None) -> Mapping[str, Secret]:
        told = {name: value for name, value in sent.items() if name in _SIGNED}
        added = sign(method, url, told, body or b"", key=self._key, region=self._region, service=self._service, now=self._now())
        return {name: Secret(value) for name, value in added.items()}
