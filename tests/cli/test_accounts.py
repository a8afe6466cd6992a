"""The verbs for teams, against a gateway that runs in the test's own loop; each in a thread of its own, as a process would be."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.serving import KEY, Running, openai_door, serving

from trimtab.cli import cli
from trimtab.cli.common.home import Home
from trimtab.cli.common.home import Running as Noted
from trimtab.core.accounts import Budget, Change, Period
from trimtab.core.units import USD, NanoUSD
from trimtab.lab.check_store.samples import START_NS, sample_intent, sample_outcome
from trimtab.store import SQLiteStore


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    monkeypatch.delenv("TRIMTAB_API_KEY", raising=False)
    return Home(tmp_path)


@pytest.fixture
async def running(home: Home) -> AsyncIterator[Running]:
    async with serving([openai_door("door", "http://127.0.0.1:9")]) as gateway:
        home.keep_running(Noted(gateway.url, 1))
        home.keep_key(KEY)
        yield gateway


async def typed(*words: str, key: str | None = None) -> Result:
    env = {"TRIMTAB_API_KEY": key} if key else {}
    return await asyncio.to_thread(CliRunner().invoke, cli, words, env=env)


async def done(*words: str, key: str | None = None) -> str:
    said = await typed(*words, key=key)
    assert said.exit_code == 0, (words, said.output, said.exception)
    return said.stdout.strip()


async def facts(*words: str, key: str | None = None) -> Any:
    return json.loads(await done(*words, "--json", key=key))


async def test_a_team_is_set_up_and_its_key_lives_and_dies(running: Running) -> None:
    await done("place", "put", "acme", "--name", "Acme")
    await done("place", "put", "acme/search", "--rpm", "600", "--zone", "any")
    assert "600 requests/min" in await done("place", "list", "--place", "acme")
    account = await done("service-account", "add", "acme/search", "--name", "crawler")
    key = await done("key", "create", "acme/search", "--owner", account, "--model", "door", "--expires", "90d")
    assert re.fullmatch(r"tt-[\w-]{43}", key)
    grant = await done("grant", "add", account, "analyst", "acme/search")

    me = await facts("whoami", key=key)
    assert (me["principal"], me["place"], me["scope"]["models"]) == (account, "acme/search", ["door"])
    assert "analyst at acme/search" in await done("whoami", key=key)
    assert [row["id"] for row in await facts("grant", "list", "--holder", account)] == [grant]

    (listed,) = await facts("key", "list", "--place", "acme")
    second = await done("key", "rotate", listed["id"], "--overlap", "12h")
    assert key not in await done("key", "list") + await done("audit") + second
    assert (await facts("whoami", key=second))["place"] == "acme/search"
    await done("key", "revoke", f"key:{listed['id']}")
    refused = await typed("whoami", key=key)
    assert (refused.exit_code, "was revoked" in str(refused.exception)) == (1, True)

    await done("grant", "remove", grant)
    assert (await facts("whoami", key=second))["roles"] == []
    await done("service-account", "disable", account)
    assert (await typed("whoami", key=second)).exit_code == 1
    await done("service-account", "enable", account)
    await done("place", "close", "acme")
    assert (await typed("whoami", key=second)).exit_code == 1
    await done("place", "put", "acme", "--reopen")
    assert (await facts("whoami", key=second))["holder"]
    rows = await facts("audit", "--last", "3")
    assert [row["entity"]["kind"] for row in rows] == ["service_account", "place", "place"]


async def test_a_refusal_is_told_in_the_gateways_words(running: Running) -> None:
    await done("place", "put", "acme")
    key = await done("key", "create", "acme")
    refused = await typed("place", "put", "acme/search", key=key)
    assert refused.exit_code == 1
    assert "manage_places" in str(refused.exception)
    assert "Ask an admin of acme" in str(refused.exception)


async def test_a_budget_that_is_set_twice_is_one(running: Running) -> None:
    await done("place", "put", "acme")
    first = await done("budget", "set", "place:acme", "--usd", "50", "--alert", "0.5")
    assert await done("budget", "set", "place:acme", "--usd", "70.5") == first
    other = await done("budget", "set", "place:acme", "--usd", "5", "--per", "day")
    rows = {row["id"]: row for row in await facts("budget", "list", "--place", "acme")}
    assert {id: (row["limit_usd"], row["period"], row["alerts"]) for id, row in rows.items()} == {
        first: (70.5, "month", [0.5]),
        other: (5.0, "day", [0.8, 1.0]),
    }
    assert "unknown" in await done("budget", "list"), "what is spent was not read yet"
    await done("budget", "remove", first)
    assert [row["id"] for row in await facts("budget", "list")] == [other]


async def test_a_budget_over_a_rotated_key_is_one(running: Running) -> None:
    """Whichever key of the line it is set over."""
    await done("place", "put", "acme")
    await done("key", "create", "acme")
    (first,) = await facts("key", "list", "--place", "acme")
    await done("key", "rotate", first["id"])
    (second,) = [row for row in await facts("key", "list", "--place", "acme") if row["id"] != first["id"]]
    budget = await done("budget", "set", f"key:{second['id']}", "--usd", "5")
    assert await done("budget", "set", f"key:{second['id']}", "--usd", "7") == budget
    assert await done("budget", "set", f"key:{first['id']}", "--usd", "8") == budget
    assert [(row["id"], row["of"], row["limit_usd"]) for row in await facts("budget", "list")] == [
        (budget, f"key:{first['id']}", 8.0)
    ]
    for id in ("gone", "", "a/b"):
        assert f"There is no key {id!r}" in str((await typed("budget", "set", f"key:{id}", "--usd", "7")).exception)
    assert await done("budget", "set", "place:acme", "--usd", "9", "--soft") != await done(
        "budget", "set", "place:acme", "--usd", "9"
    )


async def test_the_audit_is_read_from_where_it_was_left(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("acme", "acme/search", "acme/search/chatbot"):
        await done("place", "put", path)
    *_, left, later, last = await facts("audit")
    asked: list[str] = []
    changes = running.book.audit

    def audit(*, after: str, limit: int) -> AsyncIterator[Change]:
        asked.append(after)
        return changes(after=after, limit=limit)

    monkeypatch.setattr(running.book, "audit", audit)
    assert await facts("audit", "--after", left["id"]) == [later, last]
    assert asked == [left["id"]]


async def test_usage_by_the_gateway_and_by_the_file_is_the_same(running: Running, home: Home) -> None:
    """Also that a gateway which is gone is told of, and its file read."""
    file = await SQLiteStore.open(home.ledger, writer="w")
    budget = Budget(id="b", of="place:acme/search", period=Period.MONTH, limit=NanoUSD(10 * USD))
    for store in (running.store, file):
        for number in range(3):
            await store.append(sample_intent(number))
            await store.append(sample_outcome(number, cost=None if number == 2 else USD // 4))
    await file.change(Change(id="c", at_ns=START_NS, actor="system", action="put", entity=budget, basis=0))
    await file.aclose()
    asked = ("usage", "--by", "team,deployment", "--since", "2020-01-01")
    by_gateway = await facts(*asked)
    by_file = await facts(*asked, "--ledger", str(home.ledger))
    for told in (by_gateway, by_file):
        assert told["totals"]["cost_usd"] == 0.5
        assert told["totals"]["cost_unknown"] == 1
        assert [group["by"]["deployment"] for group in told["groups"]] == ["far", "local"]
    assert {**by_file, "budgets": []} == {**by_gateway, "budgets": []}

    home.keep_running(Noted("http://127.0.0.1:9", 1))
    said = await typed(*asked)
    assert "No gateway answers" in said.stderr
    row = next(line for line in said.stdout.splitlines() if "far" in line)
    assert ">= $0.50" in row
    assert "$10.00 of $10.00 this month" in row
    assert "$10.00" not in said.stdout.splitlines()[-1], "the team's budget is not the total's"
    lines = list(csv.DictReader(io.StringIO(await done(*asked, "--csv"))))
    assert [(line["team"], line["deployment"], line["cost_usd"]) for line in lines] == [
        ("acme/search", "far", "0.5"),
        ("acme/search", "local", "0.0"),
    ]


async def test_a_gateway_that_refuses_is_not_gone_around(running: Running, home: Home) -> None:
    await (await SQLiteStore.open(home.ledger, writer="w")).aclose()
    said = await typed("usage", key="tt-unknown")
    assert said.exit_code == 1
    assert "not known here" in str(said.exception)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("usage", "--by", "colour"), "the dimensions are"),
        (("usage", "--since", "yesterday"), "is no moment"),
        (("key", "create", "acme", "--expires", "1y"), "is no moment"),
        (("key", "rotate", "x", "--overlap", "soon"), "is no span"),
        (("grant", "add", "user:x", "king", "acme"), "is not one of"),
        (("budget", "set", "place:acme", "--usd", "-1"), "is not in the range"),
    ],
)
def test_what_cannot_be_read_is_said_before_anybody_is_asked(home: Home, words: tuple[str, ...], why: str) -> None:
    said = CliRunner().invoke(cli, words)
    assert said.exit_code == 2
    assert why in said.output


async def test_without_a_gateway_or_a_key_the_next_step_is_named(home: Home) -> None:
    said = await typed("place", "list")
    assert "trimtab up" in str(said.exception)
    assert "trimtab up" in str((await typed("usage")).exception)
