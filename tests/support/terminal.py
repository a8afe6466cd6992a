"""The command as a user types it, in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct


class Said(Struct, frozen=True):
    """What came back. ``cpu`` is in seconds and does not depend on who else uses the machine."""

    status: int
    out: str
    err: str
    cpu: float


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's, without anybody's keys and without another home."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY") and not name.startswith("TRIMTAB_")}
    return kept | {"TRIMTAB_HOME": str(home)} | more


def run(command: list[str], *, cwd: Path, env: Mapping[str, str]) -> Said:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=45, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Said(done.returncode, done.stdout, done.stderr, cpu)


def trimtab(*arguments: str, home: Path, **env: str) -> Said:
    return run([sys.executable, "-m", "trimtab", *arguments], cwd=home, env=environment(home, **env))
