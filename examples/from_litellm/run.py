"""One program, two gateways, one changed URL: LiteLLM with its configuration, and Trimtab with the same file imported.

    python -m examples.from_litellm.run
    python -m examples.from_litellm.run --litellm path/to/bin/litellm

What it starts and shows is in the README beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from examples.hybrid_gsm8k.children import TRIMTAB, Child, free_port
from tabulate import tabulate

from trimtab.lab.faults import FaultyUpstream, Oblige

HERE = Path(__file__).parent
CONFIG, CLIENT = HERE / "config.yaml", HERE / "client.py"
KEY = "sk-from-litellm-example"
Answers = Mapping[str, object]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="from-litellm-") as folder:
        litellm, trimtab = asyncio.run(_run(options.litellm, Path(folder)))
    if options.json:
        print(json.dumps({"litellm": litellm, "trimtab": trimtab}, ensure_ascii=False))
    else:
        print(_report(litellm, trimtab))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.from_litellm.run")
    parser.add_argument(
        "--litellm",
        default=os.environ.get("LITELLM_COMMAND") or shutil.which("litellm"),
        help="the command of LiteLLM's proxy (default: LITELLM_COMMAND, else litellm where it is installed)",
    )
    parser.add_argument("--json", action="store_true", help="print the answers themselves")
    return parser.parse_args()


async def _run(litellm: str | None, home: Path) -> tuple[Answers | None, Answers]:
    """The answers of both; ``None`` for a LiteLLM that is not there."""
    async with FaultyUpstream(Oblige()) as openai, FaultyUpstream(Oblige()) as anthropic:
        env = {
            "OPENAI_API_BASE": f"{openai.url}/v1",
            "ANTHROPIC_API_BASE": anthropic.url,
            **dict.fromkeys(("OPENAI_API_KEY", "OTHER_OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "lab"),
        }
        return await asyncio.to_thread(_with_litellm, litellm, home, env), await asyncio.to_thread(_with_trimtab, home, env)


def _with_litellm(command: str | None, home: Path, env: Mapping[str, str]) -> Answers | None:
    if not command:
        print("LiteLLM's proxy is not installed here: its side is left out.", file=sys.stderr)
        return None
    port = free_port()
    server = Child(
        [command, "--config", str(CONFIG), "--host", "127.0.0.1", "--port", str(port)],
        ready=f"http://127.0.0.1:{port}/health/liveliness",
        log=home / "litellm.log",
        env={**env, "LITELLM_MASTER_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    try:
        return _asked(server, port)
    except RuntimeError as error:
        print(f"LiteLLM's side is left out: {error}", file=sys.stderr)
        return None


def _with_trimtab(home: Path, env: Mapping[str, str]) -> Answers:
    """The two commands of the README."""
    made, port = home / "trimtab.toml", free_port()
    done = subprocess.run(
        [*TRIMTAB, "import", "litellm", str(CONFIG), "--output", str(made)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"The import failed:\n{done.stderr}")
    print(done.stdout.replace(str(made), made.name), file=sys.stderr)
    server = Child(
        [*TRIMTAB, "serve", "--config", str(made), "--port", str(port)],
        ready=f"http://127.0.0.1:{port}/readyz",
        log=home / "trimtab.log",
        env={**env, "TRIMTAB_HOME": str(home), "TRIMTAB_API_KEY": KEY},
    )
    return _asked(server, port)


def _asked(server: Child, port: int) -> Answers:
    """What the client got. It is told an address and a key, and nothing else."""
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        env = {**os.environ, "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": KEY}
        done = subprocess.run([sys.executable, str(CLIENT)], env=env, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise SystemExit(f"The client failed:\n{done.stderr[-3000:]}")
        answers: Answers = json.loads(done.stdout)
        return answers


def _report(litellm: Answers | None, trimtab: Answers) -> str:
    rows = [
        (name, _short(litellm[name]) if litellm else "-", _short(answer), _verdict(litellm, name, answer))
        for name, answer in trimtab.items()
    ]
    return tabulate(rows, headers=("asked", "LiteLLM", "Trimtab", ""), tablefmt="simple", disable_numparse=True)


def _verdict(litellm: Answers | None, name: str, answer: object) -> str:
    return "" if litellm is None else "same" if litellm[name] == answer else "different"


def _short(answer: object) -> str:
    text = json.dumps(answer, ensure_ascii=False)
    return text if len(text) <= 70 else f"{text[:67]}..."


if __name__ == "__main__":
    main()
