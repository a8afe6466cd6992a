"""665 school maths questions through the real server and the official SDK: routed, always closed, always managed, and a local sample.

    python -m examples.hybrid_gsm8k.run
    python -m examples.hybrid_gsm8k.run --questions 40 --local 0 --kill-at 15

What it needs, assumes and shows is in the README beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import openai
from examples.hybrid_gsm8k.children import FIRST_TOKEN, KEY, Child, free_port, gateway, pull, replay
from examples.hybrid_gsm8k.figures import Answered, Arm, Audit, arm, audit, records
from examples.hybrid_gsm8k.questions import GOLD, REPLAY, Question, questions
from msgspec import Struct
from tabulate import tabulate

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("trimtab.toml")
MIXTRAL, GPT4 = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
WEIGHTS = "smollm2-135m-instruct"
LOCAL = f'\n[[local]]\nid = "local"\nweights = "{WEIGHTS}"\n'
CONCURRENCY = 8
LOCAL_TOKENS = 300


class Plan(Struct, frozen=True):
    """``model`` is what the client writes into its requests."""

    name: str
    model: str
    questions: list[Question]
    concurrency: int = CONCURRENCY
    max_tokens: int | openai.Omit = openai.omit
    kill_at: int | None = None


def main() -> None:
    options = _options()
    data = Path(os.environ.get("TRIMTAB_DATA") or ROOT.parent / "shared" / "data")
    if missing := [str(data / name) for name in (REPLAY, GOLD) if not (data / name).exists()]:
        print(
            f"The recorded answers are not here: {', '.join(missing)}. Set TRIMTAB_DATA to the folder that has them.",
            file=sys.stderr,
        )
        sys.exit(2)
    asked = questions(data)[: options.questions]
    options.home.mkdir(parents=True, exist_ok=True)
    arms, found = asyncio.run(_run(options, data / REPLAY, asked))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode({"arms": arms, "kill": found}), indent=2).decode())
    else:
        print(_report(arms, found, asked))
    if found is not None and not found.holds:
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.hybrid_gsm8k.run")
    parser.add_argument("--questions", type=int, help="only the first so many (default: all)")
    parser.add_argument(
        "--local", type=int, default=20, metavar="N", help="ask the local model a sample of N; 0 starts none (default 20)"
    )
    parser.add_argument(
        "--kill-at", type=int, metavar="K", help="kill -9 the server after K answers of the first arm, restart it, go on"
    )
    parser.add_argument("--home", type=Path, default=Path(__file__).parent / ".trimtab", help="for the event log and the weights")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def _run(options: argparse.Namespace, answers: Path, asked: list[Question]) -> tuple[list[Arm], Audit | None]:
    home, upstream_port, port = options.home, free_port(), free_port()
    local = options.local > 0 and pull(WEIGHTS, home)
    if options.local > 0 and not local:
        print("The local model's weights cannot be had: its sample is left out.", file=sys.stderr)
    config = home / "trimtab.toml"
    config.write_text(CONFIG.read_text().replace("http://127.0.0.1:8901", f"http://127.0.0.1:{upstream_port}") + LOCAL * local)
    log = home / "servers.log"
    log.unlink(missing_ok=True)
    server = gateway(config, home, port, log)
    found, arms, audited = home / "ledger.sqlite3", list[Arm](), None
    with ExitStack() as stack:
        for child in (replay(answers, (MIXTRAL, GPT4), upstream_port, log), server):
            child.start()
            stack.callback(child.stop)
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0, timeout=300) as client:
            for plan in _plans(options, asked, local=local):
                since = time.time_ns()
                answered = await Run(plan, client, server).all()
                rows = await records(found, since)
                arms.append(arm(plan.name, answered, rows))
                if plan.kill_at is not None:
                    audited = await audit(found, answered, rows)
    return arms, audited


def _plans(options: argparse.Namespace, asked: list[Question], *, local: bool) -> list[Plan]:
    plans = [
        Plan("auto", "auto", asked, kill_at=options.kill_at),
        Plan("always closed", "gpt-4", asked),
        Plan("always managed", "mixtral", asked),
    ]
    if local:
        sample = random.Random(0).sample(asked, min(options.local, len(asked)))
        plans.append(Plan("local sample", "local", sample, concurrency=1, max_tokens=LOCAL_TOKENS))
    return plans


class Run:
    """One arm: its questions, asked by some workers at once."""

    def __init__(self, plan: Plan, client: openai.AsyncOpenAI, server: Child) -> None:
        self._plan = plan
        self._client = client
        self._server = server
        self._waiting = iter(plan.questions)
        self._answered: list[Answered] = []
        self._up = asyncio.Event()
        self._up.set()

    async def all(self) -> list[Answered]:
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._plan.concurrency):
                workers.create_task(self._work())
        print(file=sys.stderr)
        return self._answered

    async def _work(self) -> None:
        for question in self._waiting:
            self._answered.append(await self._ask(question))
            done = len(self._answered)
            if sys.stderr.isatty() or done % 100 == 0:
                print(f"\r{self._plan.name}: {done}/{len(self._plan.questions)}", end="", file=sys.stderr)
            if done == self._plan.kill_at:
                self._up.clear()
                await asyncio.to_thread(self._server.kill_and_restart)
                self._up.set()

    async def _ask(self, question: Question) -> Answered:
        """The answer that came whole, or ``None`` for its text where the gateway refused. Cut off by the kill, it is asked again."""
        while True:
            await self._up.wait()
            try:
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=self._plan.model,
                    messages=[{"role": "user", "content": question.prompt}],
                    max_tokens=self._plan.max_tokens,
                )
                return Answered(question, raw.headers["x-trimtab-decision"], raw.parse().choices[0].message.content or "")
            except openai.APIStatusError as refused:
                print(f"\n{refused.message}", file=sys.stderr)
                return Answered(question, refused.response.headers.get("x-trimtab-decision", ""), None)
            except openai.APIConnectionError:
                if self._plan.kill_at is None:
                    raise
                await asyncio.sleep(0.05)


def _report(arms: Sequence[Arm], found: Audit | None, asked: Sequence[Question]) -> str:
    headers = ("arm", "questions", "answered", "accuracy [95 %]", "cost USD", "self-hosted / managed / closed", "p50 ms", "p95 ms")
    table = tabulate([_row(arm) for arm in arms], headers=headers, tablefmt="simple", disable_numparse=True)
    known = sum(question.gold is not None for question in asked)
    lines = [
        f"{known} of {len(asked)} questions have a gold answer. Cost, tiers and times are read from the event log.",
        "Assumed prices, USD per million tokens in / out: Mixtral 0.24 / 0.24, GPT-4-1106 10 / 30. The recordings hold no token counts:",
        f"usage is estimated by a tokeniser. The replayed models answer after {FIRST_TOKEN * 1000:.0f} ms; the rest is the gateway's.",
    ]
    if found is not None:
        lines.append(
            f"\nkill -9: the client saw {found.seen} whole answers; the log has {found.once} of them once, {found.missing} not at all, "
            f"{found.doubled} twice. {found.unseen} more were whole in the log and never reached the client, {found.open} were cut off. "
            f"Chain: {found.chain or 'verified'}."
        )
    return "\n".join(["", table, "", *lines])


def _row(arm: Arm) -> tuple[str, ...]:
    low, high = arm.interval
    accuracy = f"{arm.right / arm.graded:.1%} [{low:.1%}, {high:.1%}]" if arm.graded else "-"
    cost = f"{arm.cost_usd:.4f}" + (f" + {arm.cost_unknown} unknown" if arm.cost_unknown else "")
    tiers = " / ".join(str(arm.tiers.get(tier, 0)) for tier in ("self_hosted", "managed", "closed"))
    return arm.name, str(arm.questions), str(arm.answered), accuracy, cost, tiers, f"{arm.p50_ms:.1f}", f"{arm.p95_ms:.1f}"


if __name__ == "__main__":
    main()
