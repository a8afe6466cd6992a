"""When a connection is closed, when it is kept, and what is never sent twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any

import pytest
import uvloop
from tests.net.exits import PUBLIC, ask, echo, egress_to, failure, opened
from tests.net.upstream import Exchange, Script, chunk, head, upstream

from trimtab.cli.serve import _listen
from trimtab.net import NetFailure

Run = Callable[[Coroutine[Any, Any, None]], None]
on_both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


async def stalled_before_the_head(exchange: Exchange) -> None:
    await exchange.reader.read(1)  # returns at the end of the connection
    raise EOFError


async def stalled_in_the_body(exchange: Exchange) -> None:
    await exchange.say(head("200 OK", {"transfer-encoding": "chunked"}), chunk(b"some"))
    await stalled_before_the_head(exchange)


@pytest.mark.parametrize("script", [stalled_before_the_head, stalled_in_the_body])
async def test_cancelling_closes_the_connection(script: Script) -> None:
    async with upstream(script) as up, egress_to(up.url()) as egress:
        task = asyncio.create_task(ask(egress))
        await asyncio.wait_for(up.asked.wait(), 1.0)
        await asyncio.sleep(0.02)  # let the head arrive, where there is one
        assert egress.statistics().open == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(up.closed.wait(), 1.0)
        assert egress.statistics().open == 0


async def test_cancelling_an_upload_that_nobody_reads_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await accepted.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        while await reader.read(2**16):
            pass
        closed.set()
        writer.close()

    accepted = asyncio.Event()
    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    async with server, egress_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as egress:
        task = asyncio.create_task(ask(egress, body=b"x" * 20_000_000))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1.0)
        accepted.set()
        await asyncio.wait_for(closed.wait(), 1.0)


@pytest.mark.parametrize("length", [3, 4])
async def test_an_answer_that_came_before_the_upload_was_read_is_left_at_once(length: int) -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(head("413 Too Large", {"content-length": str(length)}) + b"big")
        await left.wait()
        writer.transport.abort()
        over.set()

    left, over = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(hasty, "127.0.0.1", 0)
    async with egress_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as egress, asyncio.timeout(1):
        async with egress.post("there", "/", b"x" * 20_000_000, carried=PUBLIC, headers={}, connect_timeout=1) as answer:
            assert (answer.status, await answer.read(3)) == (413, b"big")
        left.set()
        await over.wait()
    server.close()


async def test_leaving_early_closes_and_reading_to_the_end_keeps_the_connection() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.say(head("200 OK", {"transfer-encoding": "chunked"}), chunk(b"data"))
        if exchange.target == "/whole":
            await exchange.say(chunk(b""))
        else:
            await stalled_before_the_head(exchange)

    async with upstream(script) as up, egress_to(up.url()) as egress:
        assert [await ask(egress, "/whole"), await ask(egress, "/whole")] == [(200, b"data")] * 2
        assert up.accepted == 1
        async with opened(egress) as answer:
            async for piece in answer.chunks():
                assert piece == b"data"
                break
        await asyncio.wait_for(up.closed.wait(), 1.0)
        assert await ask(egress, "/whole") == (200, b"data")
        assert up.accepted == 2


async def test_a_post_on_a_connection_that_died_is_not_sent_again() -> None:
    async def script(exchange: Exchange) -> None:
        if len(up.seen) == 1:
            await exchange.answer(b"kept")
        else:
            exchange.writer.close()  # it has read the whole request, and hangs up

    async with upstream(script) as up, egress_to(up.url()) as egress:
        assert await ask(egress) == (200, b"kept")
        assert (await failure(egress)).kind == NetFailure.RESET
        assert (len(up.seen), up.accepted) == (2, 1)


async def test_a_get_on_a_connection_that_died_is_sent_once_more() -> None:
    async def script(exchange: Exchange) -> None:
        if len(up.seen) == 2:
            exchange.writer.close()
        else:
            await exchange.answer(b"kept")

    async with upstream(script) as up, egress_to(up.url()) as egress:
        for _ in range(2):
            async with egress.get("there", "/models", carried=PUBLIC, headers={}, connect_timeout=2) as answer:
                assert await answer.read(100) == b"kept"
        assert [exchange.method for exchange in up.seen] == ["GET"] * 3


async def test_an_idle_connection_that_the_upstream_closed_is_not_used() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(b"ok")
        exchange.writer.close()

    async with upstream(script) as up, egress_to(up.url()) as egress:
        for _ in range(3):
            assert await ask(egress) == (200, b"ok")
            await asyncio.sleep(0.02)
        assert (up.accepted, len(up.seen)) == (3, 3)


async def test_two_hundred_streams_are_open_at_once() -> None:
    everyone = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if len(up.seen) == 200:
            everyone.set()
        await everyone.wait()
        await exchange.answer(b"ok")

    async with upstream(script) as up, egress_to(up.url()) as egress:
        answers = await asyncio.gather(*(ask(egress) for _ in range(200)))
        assert answers == [(200, b"ok")] * 200
        assert (egress.statistics().open, egress.statistics().sent) == (0, 200)


async def test_nothing_is_sent_after_closing() -> None:
    async with upstream(echo) as up, egress_to(up.url()) as egress:
        assert await ask(egress) == (200, b"hello")
        await egress.aclose()
        assert (await failure(egress)).kind == NetFailure.CONNECT
        await egress.aclose()
        assert len(up.seen) == 1


def sends_at_once(transport: asyncio.BaseTransport) -> bool:
    return bool(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


@on_both_loops
def test_small_writes_to_an_upstream_leave_at_once(run: Run) -> None:
    """Nagle's algorithm would hold each back until the one before it is acknowledged: up to 40 ms per event of a stream."""

    async def script(exchange: Exchange) -> None:
        await exchange.say(head("200 OK", {"transfer-encoding": "chunked"}), chunk(b"data"))
        await stalled_before_the_head(exchange)

    async def scenario() -> None:
        async with upstream(script) as up, egress_to(up.url()) as egress, opened(egress) as answer:
            connection = answer._response.connection
            assert connection is not None
            assert connection.transport is not None
            assert sends_at_once(connection.transport)

    run(scenario())


@on_both_loops
def test_small_writes_to_a_client_leave_at_once(run: Run) -> None:
    """The socket is the one that ``trimtab serve`` listens on."""

    class Door(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.put_nowait(transport)

    accepted = asyncio.Queue[asyncio.BaseTransport]()

    async def scenario() -> None:
        with closing(_listen("127.0.0.1", 0)) as listening:
            server = await asyncio.get_running_loop().create_server(Door, sock=listening)
            _, writer = await asyncio.open_connection(*listening.getsockname())
            transport = await asyncio.wait_for(accepted.get(), 1.0)
            assert sends_at_once(transport)
            assert sends_at_once(writer.transport)
            writer.close()
            transport.abort()  # type: ignore[attr-defined]
            server.close()

    run(scenario())
