"""The example runs, its figures come from the log, and a kill -9 in the middle loses and doubles nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from examples.hybrid_gsm8k.figures import wilson
from examples.hybrid_gsm8k.questions import GOLD, REPLAY, last_number

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TRIMTAB_DATA") or ROOT.parent / "shared" / "data")

recorded = pytest.mark.skipif(
    not ((DATA / REPLAY).exists() and (DATA / GOLD).exists()), reason="the recorded answers are not here; set TRIMTAB_DATA"
)
QUESTIONS = 40


def example(home: Path, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.hybrid_gsm8k.run", "--questions", str(QUESTIONS), "--local", "0", "--json"]
    return subprocess.run(
        [*command, "--home", str(home), *options],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


@recorded
@pytest.mark.process
def test_a_killed_server_loses_and_doubles_nothing_that_the_client_saw(tmp_path: Path) -> None:
    done = example(tmp_path, "--kill-at", "15")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = msgspec.json.decode(done.stdout)

    kill = report["kill"]
    assert tuple(kill[name] for name in ("seen", "once", "missing", "doubled", "chain")) == (QUESTIONS, QUESTIONS, 0, 0, "")
    assert kill["open"] + kill["unseen"] > 0, "nothing was under way when the server was killed: the drill proves nothing"

    auto, closed, managed = report["arms"]
    assert [arm["name"] for arm in (auto, closed, managed)] == ["auto", "always closed", "always managed"]
    for arm in (auto, closed, managed):
        assert (arm["answered"], arm["cost_unknown"]) == (QUESTIONS, 0)
        assert arm["interval"][0] < arm["right"] / QUESTIONS < arm["interval"][1]
        assert sum(arm["tiers"].values()) == QUESTIONS
    assert (closed["tiers"], managed["tiers"]) == ({"closed": QUESTIONS}, {"managed": QUESTIONS})
    assert managed["cost_usd"] < auto["cost_usd"] <= closed["cost_usd"]
    assert managed["right"] < closed["right"]


def test_without_the_recordings_it_says_so(tmp_path: Path) -> None:
    done = example(tmp_path, env={"TRIMTAB_DATA": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert "TRIMTAB_DATA" in done.stderr


@pytest.mark.parametrize(
    ("text", "number"),
    [("# 18", 18), ("he pays $1,050.00.", 1050), ("5 + 6 = 11\n#### 11\n\n", 11), ("a loss of -3 points", -3), ("none", None)],
)
def test_the_last_number_is_the_answer(text: str, number: int | None) -> None:
    assert number == last_number(text)


def test_wilson_agrees_with_its_published_table() -> None:
    """Newcombe 1998, table I: 81 of 263, and 0 of 20."""
    assert pytest.approx(wilson(81, 263), abs=5e-5) == (0.2553, 0.3662)
    assert pytest.approx(wilson(0, 20), abs=5e-5) == (0.0, 0.1611)
