"""The one file that imports an HTTP client (aiohttp; why: ``design/http-client.md``).

It sends what :meth:`Receivers.admit` has cleared, once: it follows no redirect, keeps no cookie, reads no proxy and no credential from the
environment, and repeats nothing that has a body. (aiohttp repeats a GET, once, when a kept connection turns out to be dead; a POST in that
place fails with ``RESET``, and whether to try again is the engine's decision.) It has the connect time-out and no other.

It knows nothing of protocols. A status that is not 2xx is an answer like any other.
"""

from __future__ import annotations

import functools
import io
import ipaddress
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum

import aiohttp
from msgspec import Struct
from yarl import URL

from trimtab.core.errors import ConfigError, EgressRefused
from trimtab.core.zones import Secret, Sensitivity
from trimtab.net.boundary import CredentialError, Receiver, Receivers

_KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: less than uvicorn's 5 (vLLM, SGLang), lest we write to one that the peer is closing."""

_AT_ONCE = 2**20
"""Bytes of a body that are written in one go. A longer one goes in pieces, so that it does not hold up the event loop."""

_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key", "host"})
"""Headers that come from the configuration or from nobody: a client's own key never leaves."""


_SCHEME = 6
"""Words of a header up to this length are its scheme (``Bearer``, ``Basic``), not its secret."""


class NetFailure(StrEnum):
    """``RESET``: the connection ended before the answer did. ``PROTOCOL``: what came was not HTTP, or what was to be sent is not.
    ``CREDENTIAL``: nothing was sent, as there is no credential to send it with.
    """

    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    RESET = "reset"
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    CREDENTIAL = "credential"


class NetError(Exception):
    """No whole answer came. The text names the receiver and the failure, never a URL, a header or a body."""

    def __init__(self, kind: NetFailure, receiver: str, said: str = "") -> None:
        super().__init__(f"{receiver}: {_SAYS[kind]}{f' ({said})' if said else ''}")
        self.kind = kind


_SAYS = {
    NetFailure.CONNECT: "no connection",
    NetFailure.CONNECT_TIMEOUT: "no connection within the time-out",
    NetFailure.TLS: "no trusted TLS connection",
    NetFailure.RESET: "the connection was cut before the answer was complete",
    NetFailure.PROTOCOL: "not a valid HTTP exchange",
    NetFailure.TIMEOUT: "the network gave up waiting",
    NetFailure.CREDENTIAL: "no credential",
}


class EgressStatistics(Struct, frozen=True):
    """``open``: exchanges under way. ``sent``: requests handed to the network since the start. ``refused``: stopped by the boundary."""

    open: int
    sent: int
    refused: int


class Answer:
    """A status line with its headers (names in lower case), and a body that is read once."""

    __slots__ = ("_receiver", "_response", "_secrets", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, receiver: Receiver, signed: Iterable[Secret] = ()) -> None:
        self._response = response
        self._receiver = receiver
        self._secrets = (*receiver.headers.values(), *signed)
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, in pieces as they arrive."""
        while piece := await self._next():
            yield piece

    async def read(self, limit: int) -> bytes:
        """The whole body, or its first ``limit`` bytes where it is longer: ask for one more than you accept."""
        body = bytearray()
        while len(body) < limit and (piece := await self._next()):
            body += piece
        return bytes(body[:limit])

    async def _next(self) -> bytes:
        """What has arrived; empty at the end."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _net_error(error, self._receiver.id) from None

    def without_credentials(self, text: str) -> str:
        """``text`` with the receiver's own credentials struck out: providers echo the key that they did not like."""
        for secret in self._secrets:
            for word in secret.reveal().split():
                if len(word) > _SCHEME:
                    text = text.replace(word, "***")
        return text


class Egress:
    """Sends bytes to receivers. One per event loop; the connections are made when the first request needs one.

    ``ca_file`` is trusted besides the system's store. A receiver on the loopback device is never reached through ``proxy``: what may only
    be seen on this machine stays on it.
    """

    def __init__(self, receivers: Receivers, *, proxy: str | None = None, ca_file: str | None = None) -> None:
        self.receivers = receivers
        self._proxy = proxy
        self._tls = _tls_context(ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._open = self._sent = self._refused = 0

    def __repr__(self) -> str:
        return f"<Egress {self.statistics()}>"

    def statistics(self) -> EgressStatistics:
        return EgressStatistics(open=self._open, sent=self._sent, refused=self._refused)

    def post(
        self,
        receiver: str,
        path: str,
        body: bytes,
        *,
        carried: frozenset[Sensitivity],
        headers: Mapping[str, str],
        connect_timeout: float,
    ) -> AbstractAsyncContextManager[Answer]:
        """Send ``body`` to ``receiver`` and hold the answer open. ``path`` goes behind the receiver's configured address.

        Entering raises :class:`EgressRefused` when the receiver may not see what the body carries, and :class:`NetError`. Leaving closes
        the connection, unless the answer was read to its end: then it is kept for the next request. ``connect_timeout`` is in seconds
        and covers name resolution, connecting and the TLS handshake, not what a signer waits for.
        """
        return self._exchange("POST", receiver, path, body, carried=carried, headers=headers, connect_timeout=connect_timeout)

    def get(
        self, receiver: str, path: str, *, carried: frozenset[Sensitivity], headers: Mapping[str, str], connect_timeout: float
    ) -> AbstractAsyncContextManager[Answer]:
        """As :meth:`post`, without a body. A GET is the one thing that can reach the receiver twice."""
        return self._exchange("GET", receiver, path, None, carried=carried, headers=headers, connect_timeout=connect_timeout)

    def request(
        self,
        method: str,
        receiver: str,
        path: str,
        body: bytes | None,
        *,
        carried: frozenset[Sensitivity],
        headers: Mapping[str, str],
        connect_timeout: float,
    ) -> AbstractAsyncContextManager[Answer]:
        """As :meth:`post`, by another method."""
        return self._exchange(method, receiver, path, body, carried=carried, headers=headers, connect_timeout=connect_timeout)

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        receiver_id: str,
        path: str,
        body: bytes | None,
        *,
        carried: frozenset[Sensitivity],
        headers: Mapping[str, str],
        connect_timeout: float,
    ) -> AsyncIterator[Answer]:
        try:
            receiver = self.receivers.admit(carried, receiver_id)
        except EgressRefused:
            self._refused += 1
            raise
        url = target_of(receiver, path)
        said = _headers(receiver, headers)
        signed = await _signed(receiver, method, str(url), said, body)
        said.update((name.lower(), secret.reveal()) for name, secret in signed.items())
        session = self._ready_session(receiver_id)
        self._open += 1
        self._sent += 1
        try:
            try:
                response = await session.request(
                    method,
                    url,
                    data=io.BytesIO(body) if body is not None and len(body) > _AT_ONCE else body,
                    headers=said,
                    allow_redirects=False,
                    proxy=None if _on_this_machine(url.host or "") else self._proxy,
                    timeout=_connect_within(connect_timeout),
                )
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise _net_error(error, receiver_id) from None
            try:
                yield Answer(response, receiver, signed.values())
            finally:
                if not response.content.at_eof():
                    response.close()
                await response.wait_for_close()
        finally:
            self._open -= 1

    def _ready_session(self, receiver_id: str) -> aiohttp.ClientSession:
        if self._closed:
            raise NetError(NetFailure.CONNECT, receiver_id, "shutting down")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=_KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def aclose(self) -> None:
        """Close every connection; what is asked for afterwards fails as not connected."""
        self._closed = True
        if self._session is not None:
            await self._session.close()


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"The certificate file {ca_file} cannot be used: {error.strerror or error}.",
                key="network.ca_file",
                hint="It holds one or more CA certificates in PEM form.",
            ) from error
    return context


def target_of(receiver: Receiver, path: str) -> URL:
    """The configured address with ``path`` behind it. A path can choose a page of the receiver and nothing else."""
    return _target(receiver.base_url, path)


@functools.lru_cache(maxsize=1024)
def _target(base_url: str, path: str) -> URL:
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    url = URL(base_url.rstrip("/") + path)
    if url.origin() != URL(base_url).origin():
        raise ValueError("a path cannot name another host")
    return url


@functools.lru_cache(maxsize=64)
def _connect_within(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=seconds)


def _headers(receiver: Receiver, given: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers, and the receiver's own over them: the only place where a credential is shown."""
    said = {"accept-encoding": "identity", **{name.lower(): value for name, value in given.items()}}
    if not _CREDENTIALS.isdisjoint(said):
        raise ValueError("credentials come from the configuration, never from a caller")
    return {**said, **{name.lower(): secret.reveal() for name, secret in receiver.headers.items()}}


async def _signed(receiver: Receiver, method: str, url: str, said: Mapping[str, str], body: bytes | None) -> Mapping[str, Secret]:
    """What the receiver's signer adds. Where it has nothing to give, nothing is sent."""
    if receiver.signer is None:
        return {}
    try:
        return await receiver.signer.headers(method, url, said, body)
    except CredentialError as error:
        kind = NetFailure.CONNECT if error.is_passing else NetFailure.CREDENTIAL
        raise NetError(kind, receiver.id, str(error)) from None


@functools.cache
def _on_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _net_error(error: Exception, receiver: str) -> NetError:
    """Which failure the library's exception stands for. Of its text only what cannot hold a URL or a header is kept."""
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as refusal):
            return NetError(NetFailure.TLS, receiver, refusal.verify_message)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return NetError(NetFailure.TLS, receiver)
        case aiohttp.ConnectionTimeoutError():
            return NetError(NetFailure.CONNECT_TIMEOUT, receiver)
        case aiohttp.ClientHttpProxyError():
            return NetError(NetFailure.CONNECT, receiver, f"the proxy answered {error.status}")
        case aiohttp.ClientConnectorError():
            return NetError(NetFailure.CONNECT, receiver, error.strerror or "")
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | ConnectionError():
            return NetError(NetFailure.RESET, receiver)
        case TimeoutError():
            return NetError(NetFailure.TIMEOUT, receiver)
        case aiohttp.ClientOSError():
            return NetError(NetFailure.RESET, receiver)
        case _:
            return NetError(NetFailure.PROTOCOL, receiver)
