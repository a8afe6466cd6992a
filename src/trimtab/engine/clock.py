"""The real time, and ids that sort by it."""

from __future__ import annotations

import asyncio
import os
import time


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def new_id(at_ns: int) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits. As text it sorts by time."""
    random = int.from_bytes(os.urandom(10))
    value = (at_ns // 1_000_000) << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | (random & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
