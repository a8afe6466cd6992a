"""Every store of ours, held to what the base promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from trimtab.lab.check_store import CHECKS, Check, Factory
from trimtab.lab.memory import MemoryStore
from trimtab.store.base import Store
from trimtab.store.sqlite import SQLiteStore


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    yield MemoryStore()


@pytest.fixture(params=["memory", "normal", "full"])
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> Factory:
    @asynccontextmanager
    async def sqlite() -> AsyncIterator[Store]:
        store = await SQLiteStore.open(tmp_path / f"{uuid4().hex}.db", writer="w", sync=request.param)
        try:
            yield store
        finally:
            await store.aclose()

    return memory if request.param == "memory" else sqlite


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
async def test_store_keeps_its_promises(check: Check, factory: Factory) -> None:
    await check(factory)
