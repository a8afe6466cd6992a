from __future__ import annotations

import asyncio
import socket
import time

import pytest

from trimtab.core.units import Clock
from trimtab.lab.clock import EPOCH_NS, ManualClock, run_virtual, virtual


def test_an_hour_of_sleep_takes_no_time() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    before = time.monotonic()
    assert run_virtual(main()) == 3600
    assert time.monotonic() - before < 2


@virtual
async def test_timers_fire_in_order_whatever_their_order_of_making() -> None:
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(sleeper(seconds) for seconds in (50, 0.5, 7, 7, 0.25)))
    assert woken == [0.25, 0.5, 7, 7, 50]


@virtual
async def test_asyncio_timeout_obeys_virtual_time() -> None:
    clock = ManualClock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()
    assert clock.monotonic() == 30
    async with asyncio.timeout(10):
        await clock.sleep(9.99)


@virtual
async def test_the_clock_is_the_loops_time() -> None:
    await asyncio.sleep(12.5)
    clock: Clock = ManualClock()
    assert asyncio.get_running_loop().time() == clock.monotonic() == 12.5
    assert clock.time_ns() == EPOCH_NS + 12_500_000_000


@virtual
async def test_advance_makes_timers_due() -> None:
    clock = ManualClock()
    task = asyncio.ensure_future(asyncio.sleep(60, "woken"))
    await asyncio.sleep(0)
    clock.advance(60)
    assert await task == "woken"
    assert clock.monotonic() == 60


def test_a_deadlock_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="Deadlock"):
        run_virtual(main())


@virtual
async def test_work_in_an_executor_holds_time_still() -> None:
    timer = asyncio.ensure_future(asyncio.sleep(1000))
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, time.sleep, 0.02)
    assert loop.time() == 0
    assert not timer.done()
    await timer


@virtual
async def test_a_socket_that_speaks_is_heard_before_time_leaps() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"hello")
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().sock_recv(ours, 5) == b"hello"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().sock_recv(ours, 5)
        assert asyncio.get_running_loop().time() == 5


async def test_off_a_virtual_loop_the_clock_stands_still() -> None:
    clock = ManualClock()
    await asyncio.sleep(0.01)
    assert clock.monotonic() == 0
    await clock.sleep(90)
    clock.advance(10)
    assert clock.monotonic() == 100
    with pytest.raises(ValueError):
        clock.advance(-1)


def test_the_calendar_may_jump_and_monotonic_does_not_notice() -> None:
    clock = ManualClock()
    clock.advance(1)
    clock.set_wall(-3600)
    assert clock.monotonic() == 1
    assert clock.time_ns() == EPOCH_NS + 1_000_000_000 - 3600 * 1_000_000_000
