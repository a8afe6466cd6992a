"""What the first release left behind is taken over by today's server: its log and its key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import openai
import pytest
from tests.support.process import server
from tests.support.terminal import trimtab

DATA = Path(__file__).parents[1] / "store" / "data"
KEY = "tt-the-key-of-the-spine"
CONFIG = """
[[deployment]]
id = "steady"
provider = "vllm"
model = "steady"
base_url = "http://127.0.0.1:9/v1"
"""

pytestmark = pytest.mark.process


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as ``trimtab up`` of the first release kept it: the log and the client's copy of the key."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        db.executescript((DATA / "spine.sql").read_text())
    (tmp_path / "key").write_text(KEY + "\n")
    return tmp_path


async def test_the_old_key_opens_and_the_old_records_can_be_read(home: Path) -> None:
    with closing(sqlite3.connect(home / "ledger.sqlite3")) as db:
        (old,) = db.execute("SELECT max(id) FROM requests WHERE outcome = 'complete'").fetchone()
    async with server(home, CONFIG, TRIMTAB_API_KEY="") as running:
        sdk = openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=KEY, max_retries=0)
        assert "steady" in [model.id async for model in sdk.models.list()]
        decision = await sdk.with_options(base_url=running.url).get(f"/-/decisions/{old}", cast_to=object)
        assert "complete" in str(decision)
        with pytest.raises(openai.AuthenticationError):
            await sdk.with_options(api_key=KEY + "x").models.list()
    assert (home / "key").read_text().strip() == KEY
    said = trimtab("ledger", "verify", home=home)
    assert said.status == 0, said.out + said.err
