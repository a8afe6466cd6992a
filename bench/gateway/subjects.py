"""Who is measured: how each gateway is configured, started on its core, and asked.

Each is given one deployment, the fixed upstream on loopback. Trimtab runs as shipped: routing, sensitivity, keys and the event log are on.
LiteLLM's proxy runs with one worker, a master key and no database.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from bench.gateway.load import Fault, Load, Measured
from msgspec import Struct

ROOT = Path(__file__).parents[2]
CORES = tuple(sorted(os.sched_getaffinity(0)))
GATEWAY_CORE, OTHER_CORE = CORES[0], CORES[-1]
"""The gateway has a core to itself; upstream and load generator share another, where the machine has a second."""

_STARTUP_SECONDS = 120
_NO_ENV: Mapping[str, str] = {}
TRIMTAB = """
[[deployment]]
id = "bench"
model = "bench"
provider = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
zone = "any"
price = {{ input = 0.24, output = 0.24 }}
"""
LITELLM = """
model_list:
  - model_name: bench
    litellm_params: {{model: openai/bench, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
general_settings: {{master_key: sk-bench}}
litellm_settings: {{telemetry: false, set_verbose: false}}
"""


class Subject(Struct, frozen=True):
    """A server under measurement. ``pid`` is ``None`` for the upstream itself."""

    name: str
    load: Load
    pid: int | None = None

    def resident_mib(self) -> float:
        """Resident memory of the process and of all that it started."""
        return 0.0 if self.pid is None else sum(map(_resident_kib, _family(self.pid))) / 1024

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started."""
        for pid in () if self.pid is None else tuple(_family(self.pid)):
            os.kill(pid, number)

    def measure(self, **changes: float | bool) -> Measured:
        """Put ``load``, changed as told, on the subject from a process of its own."""
        load = msgspec.structs.replace(self.load, **changes)
        command = [sys.executable, "-m", "bench.gateway.load", msgspec.json.encode(load).decode()]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=lambda: _pin(OTHER_CORE), check=False)
        if done.returncode:
            raise Fault(f"{self.name} could not be measured")
        return msgspec.json.decode(done.stdout, type=Measured)


@contextmanager
def alone(subject: Subject, subjects: Iterable[Subject]) -> Iterator[None]:
    """Hold all other gateways still: one that idles on the same core would take from the one that is measured."""
    others = [other for other in subjects if other is not subject]
    for other in others:
        other.tell(signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            other.tell(signal.SIGCONT)


@contextmanager
def upstream() -> Iterator[Subject]:
    port = free_port()
    with _started([sys.executable, "-m", "bench.gateway.upstream", str(port)], port, OTHER_CORE):
        yield Subject("upstream alone", Load(port=port, key="none", model="bench"))


@contextmanager
def trimtab(upstream_port: int) -> Iterator[Subject]:
    port, key = free_port(), "tt-bench-of-the-gateway"
    with tempfile.TemporaryDirectory() as home:
        config = Path(home) / "trimtab.toml"
        config.write_text(TRIMTAB.format(upstream=upstream_port))
        command = [sys.executable, "-m", "trimtab", "serve", "--config", str(config), "--port", str(port)]
        with _started(command, port, GATEWAY_CORE, {"TRIMTAB_HOME": home, "TRIMTAB_API_KEY": key}) as pid:
            yield Subject("Trimtab", Load(port=port, key=key, model="auto"), pid)


@contextmanager
def litellm(upstream_port: int, venv: Path) -> Iterator[Subject]:
    """``venv`` has LiteLLM, or will have after this: the download is some hundred megabytes."""
    program = venv / "bin" / "litellm"
    if not program.exists():
        print(f"installing litellm[proxy] into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", "litellm[proxy]"], check=True)
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        config = Path(home) / "litellm.yaml"
        config.write_text(LITELLM.format(upstream=upstream_port))
        command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        quiet = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with _started(command, port, GATEWAY_CORE, quiet) as pid:
            yield Subject(f"LiteLLM {_version(venv)}", Load(port=port, key="sk-bench", model="bench"), pid)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@contextmanager
def _started(command: Sequence[str], port: int, core: int, env: Mapping[str, str] = _NO_ENV) -> Iterator[int]:
    """The id of a child on one core that takes connections at ``port``. What it wrote is shown if anything goes wrong."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **env}, stdout=log, stderr=log, preexec_fn=lambda: _pin(core)
        )
        try:
            _wait(process, port)
            yield process.pid
        except Fault:
            log.seek(0)
            if said := log.read().decode(errors="replace")[-4000:]:
                print(f"--- {' '.join(command)} said ---\n{said}", file=sys.stderr)
            raise
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Fault("the server did not start") from None
            time.sleep(0.1)


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))


def _resident_kib(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")
    return int(fields[1].split()[0]) if len(fields) > 1 else 0


def _version(venv: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    return subprocess.run([venv / "bin" / "python", "-c", code], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
