"""The two servers of the example, each in a process of its own: the replayed models, and Trimtab in front of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

TRIMTAB = (sys.executable, "-m", "trimtab")
KEY = "tt-hybrid-gsm8k-example"
FIRST_TOKEN = 0.05
_STARTUP_SECONDS = 60.0


class Child:
    """A server that can be started, stopped, killed and started again. What it says goes to ``log``."""

    def __init__(self, command: Sequence[str], *, ready: str, log: Path, env: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._ready = ready
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when the address ``ready`` answers, or raise ``RuntimeError`` with the last of what the server said."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._env)
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not _answers(self._ready):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{' '.join(self._command)} did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def kill_and_restart(self) -> None:
        """``kill -9``: no handler runs, nothing is flushed."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.start()


def replay(answers: Path, models: Sequence[str], port: int, log: Path) -> Child:
    """Recorded models that wait a little before they answer, so that a kill finds requests under way."""
    named = [part for model in models for part in ("--model", model)]
    command = [*TRIMTAB, "lab", "replay", "--answers", str(answers), *named, "--port", str(port), "--first-token", str(FIRST_TOKEN)]
    return Child(command, ready=f"http://127.0.0.1:{port}/v1/models", log=log)


def gateway(config: Path, home: Path, port: int, log: Path) -> Child:
    command = [*TRIMTAB, "serve", "--config", str(config), "--port", str(port)]
    env = {"TRIMTAB_HOME": str(home), "TRIMTAB_API_KEY": KEY}
    return Child(command, ready=f"http://127.0.0.1:{port}/readyz", log=log, env=env)


def pull(weights: str, home: Path) -> bool:
    """Fetch the local model's weights, once per ``home``. What goes wrong is said by the command itself."""
    command = [*TRIMTAB, "models", "pull", weights]
    return subprocess.run(command, env={**os.environ, "TRIMTAB_HOME": str(home)}, check=False).returncode == 0


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
