"""What a check is, and how it says what it expected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from trimtab.core.errors import Conflict, LedgerError
from trimtab.store.base import Store

Factory = Callable[[], AbstractAsyncContextManager[Store]]
Check = Callable[[Factory], Awaitable[None]]


async def refused(handed: Awaitable[object], words: str, error: type[LedgerError | Conflict] = LedgerError) -> None:
    """Expect that ``handed`` raises ``error``, with ``words`` in its message."""
    try:
        await handed
    except error as raised:
        expect(True, words in raised.message, f"{words!r} in the message {raised.message!r}")
    else:
        raise AssertionError(f"what should be refused for {words!r} was not")


def expect(expected: object, actual: object, what: str) -> None:
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {actual!r}")
