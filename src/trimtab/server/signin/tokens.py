"""The ID token: is it the provider's, for this gateway, for this sign-in, and of now? OpenID Connect Core 1.0, section 3.1.3.7.

Pure but for the time, which the library reads. The algorithm is one of a short list and has to fit the key, so that neither "none" nor a
public key taken for a shared secret gets through (RFC 8725, section 3.1). No message here holds a word of the token.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

import jwt
import msgspec
from msgspec import Struct

from trimtab.core.accounts import fault_of_address
from trimtab.core.errors import SignInRefused

LEEWAY = 60.0
"""Seconds by which two clocks may be apart."""

_KEY_TYPES: Mapping[str, str] = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_LONGEST_SUBJECT = 255
_AGAIN = "Sign in again."
_OPERATOR = "Whoever runs the gateway: check [oidc] and how this gateway is registered at the provider."


class JSONWebKeys(Struct, frozen=True):
    """RFC 7517, section 5."""

    keys: tuple[dict[str, object], ...]


class NoSuchKey(Exception):
    """None of the provider's keys is the one that the token names."""


class Claims(Struct, frozen=True, kw_only=True):
    """What is read of an ID token. ``xms_edov`` is Entra ID's word for a verified domain: it sends no ``email_verified``."""

    sub: str
    nonce: str = ""
    aud: str | tuple[str, ...] = ()
    azp: str | None = None
    email: str = ""
    email_verified: bool | str | None = None
    xms_edov: bool | int | str | None = None
    name: str = ""

    @property
    def verified_email(self) -> str:
        """The address, where the provider vouches for it; empty otherwise."""
        vouched = self.email_verified in (True, "true")
        if self.email_verified is None:
            vouched = self.xms_edov in (True, "1", "true")
        return self.email if vouched and fault_of_address(self.email) is None else ""


def verified(token: str, keys: JSONWebKeys, *, issuer: str, client_id: str, nonce: str) -> Claims:
    """The claims of ``token``. Raises :class:`SignInRefused`, or :class:`NoSuchKey` where a newer list of keys may help."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, RecursionError):
        raise SignInRefused("The provider's ID token cannot be read.", hint=_OPERATOR) from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KEY_TYPES:
        raise SignInRefused(
            "The ID token is signed in a way that is not taken here.",
            hint=f"Have the provider sign it with one of {', '.join(_KEY_TYPES)}.",
        )
    key = _key(keys, algorithm, kid if isinstance(kid, str) else None)
    claims = _claims(token, key, algorithm, issuer, client_id)
    others = isinstance(claims.aud, tuple) and len(claims.aud) > 1
    if claims.azp != client_id and (claims.azp is not None or others):
        raise SignInRefused("The ID token was made for another application.", hint=_OPERATOR)
    if not hmac.compare_digest(claims.nonce.encode(errors="surrogatepass"), nonce.encode()):
        raise SignInRefused("The ID token belongs to another sign-in.", hint=_AGAIN)
    if not claims.sub or len(claims.sub) > _LONGEST_SUBJECT or not claims.sub.isprintable():
        raise SignInRefused("The ID token names nobody.", hint=_OPERATOR)
    return claims


def _key(keys: JSONWebKeys, algorithm: str, kid: str | None) -> jwt.PyJWK:
    """The one key that is meant: by its id, or the only one that fits where the token names none."""
    fitting = [
        key
        for key in keys.keys
        if key.get("kty") == _KEY_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if len(fitting) != 1:
        raise NoSuchKey
    try:
        return jwt.PyJWK(fitting[0], algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise SignInRefused("The provider's key for the ID token cannot be used.", hint=_OPERATOR) from None


def _claims(token: str, key: jwt.PyJWK, algorithm: str, issuer: str, client_id: str) -> Claims:
    try:
        body = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "iat"], "enforce_minimum_key_length": True},
        )
        return msgspec.convert(body, Claims)
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        raise SignInRefused(
            f"The ID token is from another time: the clocks of provider and gateway are more than {LEEWAY:.0f} seconds apart.",
            hint="Whoever runs the gateway: set its clock by NTP. Then sign in again.",
        ) from None
    except jwt.InvalidAudienceError:
        raise SignInRefused("The ID token was made for another application.", hint=_OPERATOR) from None
    except jwt.InvalidIssuerError:
        raise SignInRefused("The ID token comes from another provider.", hint=_OPERATOR) from None
    except jwt.InvalidSignatureError:
        raise SignInRefused("The signature of the ID token does not hold.", hint=_AGAIN) from None
    except (jwt.PyJWTError, msgspec.ValidationError, RecursionError, ValueError, TypeError, OverflowError):
        raise SignInRefused("The provider's ID token cannot be read.", hint=_OPERATOR) from None
