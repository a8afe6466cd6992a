"""How a virtual key is made, known and compared. It knows nothing of whose key it is."""

from __future__ import annotations

import hashlib
import hmac
import secrets

KEY_PREFIX = "tt-"


def new_key() -> str:
    """256 random bits: its digest needs no salt and no slow hash."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> bytes:
    """SHA-256. What no key can hold (a lone surrogate from a header that is not UTF-8) is digested too, and found nowhere."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def same(a: bytes, b: bytes) -> bool:
    """In constant time, so that an answer's delay tells nothing about a digest."""
    return hmac.compare_digest(a, b)
