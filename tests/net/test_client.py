from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
import time
import traceback
from pathlib import Path

import pytest
import trustme
from tests.net.exits import BOUNDARY, KEY, PUBLIC, ask, echo, egress_to, failure, opened
from tests.net.upstream import Exchange, chunk, head, upstream

from trimtab.core.errors import ConfigError, EgressRefused
from trimtab.core.zones import Secret, Sensitivity
from trimtab.net import Egress, NetFailure, Receiver, Receivers


async def test_sends_the_body_to_the_configured_address_with_the_receivers_credentials() -> None:
    async with upstream(echo) as up, egress_to(up.url("/v1/")) as egress:
        async with egress.post(
            "there", "/chat", b"hello", carried=PUBLIC, headers={"Content-Type": "application/json"}, connect_timeout=2
        ) as answer:
            assert (answer.status, answer.headers["x-up"]) == (200, "here")
            assert await answer.read(100) == b"hello"
        seen = up.seen[0]
        assert (seen.method, seen.target, seen.body) == ("POST", "/v1/chat", b"hello")
        assert f"Bearer {KEY}" == seen.headers["authorization"]
        assert seen.headers["content-type"] == "application/json"
        assert seen.headers["accept-encoding"] == "identity"


async def test_a_status_of_failure_is_an_answer() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(b"no", status="503 Busy", headers={"Retry-After": "7"})

    async with upstream(script) as up, egress_to(up.url()) as egress:
        assert await ask(egress) == (503, b"no")


async def test_refused_data_reaches_nobody_and_is_counted() -> None:
    async with upstream(echo) as up, egress_to(up.url()) as egress:
        with pytest.raises(EgressRefused):
            await ask(egress, carried=frozenset({Sensitivity.PERSONAL}))
        with pytest.raises(EgressRefused):
            await ask(egress, carried=frozenset())
        assert up.accepted == 0
        assert (egress.statistics().open, egress.statistics().sent, egress.statistics().refused) == (0, 0, 2)


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "Cookie", "Host", "Proxy-Authorization"])
async def test_a_caller_cannot_hand_over_credentials(name: str) -> None:
    async with upstream(echo) as up, egress_to(up.url()) as egress:
        with pytest.raises(ValueError, match="credentials"):
            await ask(egress, headers={name: "theirs"})
        assert up.accepted == 0


@pytest.mark.parametrize("path", ["@127.0.0.2/x", "x", "", "http://127.0.0.2/", ".127.0.0.2/"])
async def test_a_path_cannot_name_another_host(path: str) -> None:
    async with upstream(echo) as up, egress_to(up.url()) as egress:
        with pytest.raises(ValueError, match="path"):
            await ask(egress, path)
        assert up.accepted == 0


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(b"", status="307 Go", headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    async with upstream(script) as up, egress_to(f"http://localhost:{up.port}") as egress:  # a cookie needs a name
        assert [(await ask(egress))[0], (await ask(egress))[0]] == [307, 307]
        assert [exchange.target for exchange in up.seen] == ["/x", "/x"]
        assert "cookie" not in up.seen[1].headers


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with upstream(echo) as up, egress_to(up.url()) as egress:
        assert await ask(egress) == (200, b"hello")


async def test_the_configured_proxy_is_used_but_never_for_this_machine() -> None:
    async def proxy(exchange: Exchange) -> None:
        await exchange.answer(b"proxied")

    async with upstream(echo) as up, upstream(proxy) as via:
        async with egress_to("http://elsewhere.invalid/v1", proxy=via.url()) as egress:
            assert await ask(egress) == (200, b"proxied")
            assert via.seen[0].target == "http://elsewhere.invalid/v1/x"
        async with egress_to(up.url(), proxy=via.url()) as egress:
            assert await ask(egress) == (200, b"hello")
        async with egress_to(f"http://localhost:{up.port}", proxy=via.url()) as egress:
            assert await ask(egress) == (200, b"hello")
        assert len(via.seen) == 1


async def test_a_proxy_that_refuses_to_tunnel_is_no_connection() -> None:
    async def proxy(exchange: Exchange) -> None:
        await exchange.answer(b"", status="407 Proxy Authentication Required")

    async with upstream(proxy) as via, egress_to("https://elsewhere.invalid", proxy=via.url()) as egress:
        error = await failure(egress)
        assert (error.kind, str(error)) == (NetFailure.CONNECT, "there: no connection (the proxy answered 407)")


async def test_a_compressed_body_is_unpacked() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(gzip.compress(b"plain"), headers={"Content-Encoding": "gzip"})

    async with upstream(script) as up, egress_to(up.url()) as egress:
        assert await ask(egress) == (200, b"plain")


async def test_a_body_is_read_up_to_the_limit() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(b"x" * 100_000)

    async with upstream(script) as up, egress_to(up.url()) as egress, opened(egress) as answer:
        assert await answer.read(10) == b"x" * 10


async def test_connection_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with egress_to(f"http://127.0.0.1:{unused.getsockname()[1]}") as egress:
            assert (await failure(egress)).kind == NetFailure.CONNECT


async def test_an_unknown_name_is_no_connection() -> None:
    async with egress_to("http://no-such-host.invalid") as egress:
        assert (await failure(egress, connect_timeout=20)).kind == NetFailure.CONNECT


async def test_a_black_hole_ends_within_the_connect_timeout() -> None:
    with socket.socket() as hole, socket.socket() as first, socket.socket() as second:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for filler in (first, second):  # the queue of connections nobody accepts is full after them
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        async with egress_to(f"http://127.0.0.1:{hole.getsockname()[1]}") as egress:
            before = time.monotonic()
            assert (await failure(egress, connect_timeout=0.3)).kind == NetFailure.CONNECT_TIMEOUT
            assert time.monotonic() - before < 1.0


async def test_a_tls_handshake_that_never_ends_counts_as_connecting() -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(5)
        async with egress_to(f"https://127.0.0.1:{hole.getsockname()[1]}") as egress:
            assert (await failure(egress, connect_timeout=0.3)).kind == NetFailure.CONNECT_TIMEOUT


LENGTH = head("200 OK", {"content-length": "1000"}) + b"some"
CHUNKED = head("200 OK", {"transfer-encoding": "chunked"}) + chunk(b"some")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nConte", LENGTH, CHUNKED, CHUNKED + b"5\r\nab"])
@pytest.mark.parametrize("how", ["reset", "eof"])
async def test_a_cut_answer_is_a_reset(said: bytes, how: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(said)
        await asyncio.sleep(0.02)  # let the bytes arrive before the end does
        exchange.reset() if how == "reset" else exchange.writer.close()

    async with upstream(script) as up, egress_to(up.url()) as egress:
        assert (await failure(egress)).kind == NetFailure.RESET
        assert len(up.seen) == 1
        assert egress.statistics().open == 0


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"])
async def test_what_is_not_http_is_a_protocol_error(said: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(said)
        await asyncio.sleep(0.5)

    async with upstream(script) as up, egress_to(up.url()) as egress:
        assert (await failure(egress)).kind == NetFailure.PROTOCOL


async def test_a_receiver_whose_key_is_no_header_value_is_a_protocol_error() -> None:
    async with upstream(echo) as up:
        receiver = Receiver(id="there", base_url=up.url(), zone="any", headers={"x-key": Secret("a\r\nb")})
        egress = Egress(Receivers(BOUNDARY, [receiver]))
        assert (await failure(egress)).kind == NetFailure.PROTOCOL
        await egress.aclose()
        assert up.seen == []


async def test_tls_is_trusted_through_the_configured_ca_alone(tmp_path: Path) -> None:
    right, wrong = trustme.CA(), trustme.CA()
    for name, authority in (("right", right), ("wrong", wrong)):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    right.issue_cert("127.0.0.1").configure_cert(server)
    async with upstream(echo, tls=server) as up:
        async with egress_to(up.url(scheme="https"), ca_file=str(tmp_path / "right")) as egress:
            assert await ask(egress) == (200, b"hello")
        async with egress_to(up.url(scheme="https"), ca_file=str(tmp_path / "wrong")) as egress:
            error = await failure(egress)
            assert (error.kind, "certificate" in str(error)) == (NetFailure.TLS, True)
        async with egress_to(f"https://localhost:{up.port}", ca_file=str(tmp_path / "right")) as egress:
            assert (await failure(egress)).kind == NetFailure.TLS  # the certificate is for the address, not for the name
        assert len(up.seen) == 1


async def test_plain_text_where_tls_is_expected_is_a_tls_error() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, egress_to(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as egress:
        assert (await failure(egress)).kind == NetFailure.TLS


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_an_unusable_ca_file_is_the_operators_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        Egress(Receivers(BOUNDARY, []), ca_file=str(path))


async def test_no_credential_and_no_query_in_any_text(caplog: pytest.LogCaptureFixture) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.say(LENGTH)
        exchange.writer.close()

    async def garbage(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/9 nonsense\r\n\r\n")

    said: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for script in (cut, garbage):
            async with upstream(script) as up, egress_to(up.url()) as egress:
                error = await failure(egress)
                said += [repr(egress), repr(egress.receivers), str(error), repr(error)]
                said += traceback.format_exception(error)
        async with egress_to("http://127.0.0.1:1") as egress:
            error = await failure(egress)
            said += [str(error), *traceback.format_exception(error)]
        async with upstream(echo) as up, egress_to(up.url()) as egress, opened(egress) as answer:
            said += [repr(answer), repr(egress.receivers.admit(PUBLIC, "there"))]
            assert answer.without_credentials(f"your key {KEY} is wrong") == "your key *** is wrong"
    everything = "\n".join([*said, caplog.text])
    assert "canary" not in everything
    # the traceback quotes this file's own source lines, which name the query; the messages do not
    assert "secret-query" not in "\n".join(line for line in said if "File " not in line)
