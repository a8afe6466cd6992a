"""Tokens that somebody grants for a while (RFC 6749): kept until shortly before they expire, asked for once however many wait.

It starts no task of its own: whoever needs the token first asks for it, the others wait behind it, and where it leaves before the answer
comes, the next of them asks. It knows no authority; who grants the token is a callable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
from msgspec import Struct

from trimtab.core.zones import Secret
from trimtab.net import CredentialError, NetError

EARLY = 300.0
"""Seconds before its end from which on a token is replaced."""

RESTING = 5.0
"""Seconds for which a failure stands, so that those who wait do not ask one after the other."""

_LEAST_LIFE = 1.0
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


class Post(Protocol):
    """Sends ``body`` to a receiver's ``path`` through the egress check. Raises what :meth:`Egress.post` raises."""

    async def __call__(self, receiver_id: str, path: str, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        """The answer's status and its body."""


class Grant(Struct, frozen=True):
    """A token, and for how many seconds it holds."""

    token: Secret
    expires_in: float


class TokenSigner:
    """Puts ``Authorization: Bearer`` with a granted token on every request. ``now`` is seconds since the epoch.

    A monotonic clock would stand still while a laptop sleeps, and its token would not.
    """

    def __init__(self, grant: Callable[[], Awaitable[Grant]], *, now: Callable[[], float] = time.time) -> None:
        self._grant = grant
        self._now = now
        self._asking = asyncio.Lock()
        self._header: Secret | None = None
        self._good_until = 0.0
        self._early_at = 0.0
        self._failure: CredentialError | None = None
        self._failed_until = 0.0

    def __repr__(self) -> str:
        return "<TokenSigner>"

    async def headers(self, method: str, url: str, sent: Mapping[str, str], body: bytes | None) -> Mapping[str, Secret]:
        return {"authorization": await self._bearer()}

    async def _bearer(self) -> Secret:
        if self._header is not None and self._now() < self._early_at:
            return self._header
        async with self._asking:
            if self._header is None or self._now() >= self._early_at:
                await self._renew()
            if self._header is not None and self._now() < self._good_until:
                return self._header  # perhaps the old one, where no new one could be had
            if self._failure is None:
                raise CredentialError("the token that was granted had no life left", is_passing=True)
            # A new one each time: an error that is raised again and again gathers the frames of all who met it.
            raise CredentialError(str(self._failure), is_passing=self._failure.is_passing)

    async def _renew(self) -> None:
        if self._failure is not None and self._now() < self._failed_until:
            return
        asked_at = self._now()
        try:
            granted = await self._grant()
        except CredentialError as failure:
            self._failure = failure.with_traceback(None)
            self._failed_until = self._now() + RESTING
            return
        self._failure = None
        self._header = Secret(f"Bearer {granted.token.reveal()}")
        self._good_until = asked_at + granted.expires_in
        self._early_at = asked_at + max(granted.expires_in - EARLY, min(granted.expires_in / 2, EARLY))


class _Granted(Struct):
    access_token: str
    expires_in: float | str = 0.0


class _Refused(Struct):
    error: str = ""


_GRANTED = msgspec.json.Decoder(_Granted)
_REFUSED = msgspec.json.Decoder(_Refused)


async def ask(post: Post, receiver_id: str, path: str, form: bytes) -> Grant:
    """One request to a token endpoint (RFC 6749, 4.4.2 and 5). Raises :class:`CredentialError`, with the error's code and no more of it."""
    try:
        status, body = await post(receiver_id, path, form, _FORM)
    except NetError as error:
        raise CredentialError(f"no token: {error}", is_passing=True) from None
    if status != 200:
        raise _refusal(receiver_id, status, body)
    try:
        granted = _GRANTED.decode(body)
        seconds = float(granted.expires_in)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        raise CredentialError(f"{receiver_id} answered with no token that can be read", is_passing=True) from None
    if not granted.access_token or not granted.access_token.isascii() or not granted.access_token.isprintable():
        raise CredentialError(f"{receiver_id} answered with a token that no header can carry")
    return Grant(Secret(granted.access_token), max(_LEAST_LIFE, seconds))


def _refusal(receiver_id: str, status: int, body: bytes) -> CredentialError:
    try:
        code = _REFUSED.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        code = ""
    reason = f" ({code})" if code.isascii() and code.replace("_", "").isalnum() and len(code) <= 64 else ""
    if status == 429 or status >= 500:
        return CredentialError(f"{receiver_id} gave no token: status {status}{reason}", is_passing=True)
    return CredentialError(f"{receiver_id} refused a token: status {status}{reason}; check the credential in the configuration")
