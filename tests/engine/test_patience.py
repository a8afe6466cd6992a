"""One timer for a whole stream: each wait is timed by itself, and a slow reader costs the upstream nothing."""

from __future__ import annotations

import asyncio

import pytest

from trimtab.engine.attempts.patience import Patience
from trimtab.lab.clock import virtual


async def after(seconds: float, value: int = 0) -> int:
    await asyncio.sleep(seconds)
    return value


@virtual
async def test_what_comes_in_time_is_given() -> None:
    patience = Patience()
    assert [await patience.wait(after(0.9, number), 1.0) for number in range(5)] == [0, 1, 2, 3, 4]
    patience.rest()


@virtual
async def test_each_wait_has_its_own_time() -> None:
    patience = Patience()
    await patience.wait(after(0.1), 10.0)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):  # a shorter wait than the one that the timer was set for
        await patience.wait(after(5.0), 1.0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0)
    patience.rest()


@virtual
async def test_time_between_waits_is_not_counted() -> None:
    patience = Patience()
    for _ in range(3):
        await patience.wait(after(0.5), 1.0)
        await asyncio.sleep(100)  # the client reads slowly
    patience.rest()


@virtual
async def test_a_cancellation_from_outside_stays_one() -> None:
    patience = Patience()
    task = asyncio.create_task(patience.wait(after(5.0), 10.0))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.rest()


@virtual
async def test_after_a_time_out_the_task_goes_on() -> None:
    patience = Patience()
    with pytest.raises(TimeoutError):
        await patience.wait(after(5.0), 1.0)
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    assert await patience.wait(after(0.5, 7), 1.0) == 7
    patience.rest()
