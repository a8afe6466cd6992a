"""The gateway put together: whose key opens it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from trimtab.config import Config, load
from trimtab.core.accounts import VirtualKey
from trimtab.core.errors import ConfigError
from trimtab.engine.access import digest, rules
from trimtab.engine.assembly import assemble
from trimtab.engine.clock import SystemClock, new_id
from trimtab.store import SQLiteStore


def empty() -> Config:
    return replace(load(None, {}), deployments=(), local=())


async def opens(ledger: Path, key: str) -> None:
    async with assemble(empty(), ledger=ledger, weights={}, key_digest=digest(key)) as assembly:
        assert assembly.book.authenticate(key)


async def standing(ledger: Path) -> dict[bytes, VirtualKey]:
    store = await SQLiteStore.open(ledger, readonly=True)
    _, entities = await store.directory()
    await store.aclose()
    return {entity.digest: entity for entity in entities if isinstance(entity, VirtualKey)}


async def test_a_key_that_opens_nothing_is_said_at_the_start_and_costs_no_other_key_anything(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    await opens(ledger, "tt-first")
    await opens(ledger, "tt-second")
    before = await standing(ledger)
    with pytest.raises(ConfigError, match="opens nothing any more: it was revoked") as refused:
        await opens(ledger, "tt-first")
    assert "a new key is made" in refused.value.hint
    assert before == await standing(ledger)
    await opens(ledger, "tt-second")


async def test_a_key_that_was_rotated_and_has_expired_is_said_at_the_start(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    async with assemble(empty(), ledger=ledger, weights={}, key_digest=digest("tt-first")) as assembly:
        book = assembly.book
        first = book.authenticate("tt-first").key
        id, new = new_id(SystemClock().time_ns()), digest("tt-rotated")
        await book.apply(
            book.actor(f"key:{first.id}"),
            lambda directory, actor: rules.rotate_key(directory, actor, first.id, id=id, digest=new, overlap_seconds=0),
        )
    with pytest.raises(ConfigError, match="it has expired"):
        await opens(ledger, "tt-first")
    await opens(ledger, "tt-rotated")
