from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from trimtab.core.errors import EgressRefused, LocalModelError
from trimtab.local.supervisor import LlamaServer, Pace, Probe, Serving, State, Supervisor
from trimtab.net import NetError, NetFailure

STAND_IN = str(Path(__file__).with_name("stand_in.py"))
QUICK = Pace(start=5, check=0.05, first_delay=0.01, longest_delay=0.04, stop=0.2)

Make = Callable[..., LlamaServer]


async def _well(receiver: str, path: str) -> int:
    assert (receiver, path) == ("made", "/health")
    return 200


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def server(behaviour: str, probe: Probe = _well, pace: Pace = QUICK, id: str = "made") -> LlamaServer:
        command = (sys.executable, STAND_IN, behaviour, str(tmp_path / f"starts-{id}"))
        return LlamaServer(Serving(id=id, path=tmp_path / "made.gguf"), probe, pace=pace, command=command)

    return server


def _pid(server: LlamaServer) -> int:
    pid = server.statistics().pid
    assert pid is not None
    return pid


def _gone(pid: int) -> bool:
    """Not running, and not a zombie either."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_it_starts_and_stops(make: Make) -> None:
    server = make("well")
    assert (server.statistics().state, server.statistics().pid) == (State.STOPPED, None)
    await server.start()
    now = server.statistics()
    assert (now.state, now.restarts, now.last_failure) == (State.READY, 0, "")
    assert now.rss_bytes is None or now.rss_bytes > 1_000_000
    pid = _pid(server)
    await server.aclose()
    assert (server.statistics().state, server.statistics().pid) == (State.STOPPED, None)
    assert _gone(pid)


@pytest.mark.parametrize(
    "behaviour, says, hint",
    [
        ("refuse", r"made could not be started \(status 3\): it is damaged", "Fetch it again."),
        ("crash", "ggml_abort: out of memory", ""),
    ],
)
async def test_a_model_that_cannot_start_says_why(make: Make, behaviour: str, says: str, hint: str) -> None:
    server = make(behaviour)
    with pytest.raises(LocalModelError, match=says) as caught:
        await server.start()
    assert hint in caught.value.hint
    assert server.statistics().state == State.STOPPED
    await server.aclose()


async def test_our_port_is_not_ours_before_our_child_says_so(make: Make) -> None:
    """Somebody else may have taken the port between two starts; a good health answer of theirs must not earn them a prompt."""
    server = make("mute", pace=Pace(start=0.3, stop=0.2))
    with pytest.raises(LocalModelError, match=r"not ready after 0\.3 seconds"):
        await server.start()
    assert server.statistics().pid is None


async def test_who_ends_before_its_first_health_check_is_not_waited_for(make: Make) -> None:
    async def nobody(receiver: str, path: str) -> int:
        raise NetError(NetFailure.CONNECT, receiver)

    with pytest.raises(LocalModelError, match="gone again"):
        await make("vanish", nobody, pace=Pace()).start()


async def test_a_refusal_of_the_boundary_is_not_waited_out(make: Make) -> None:
    async def refused(receiver: str, path: str) -> int:
        raise EgressRefused("not a configured receiver")

    with pytest.raises(EgressRefused):
        await make("well", refused).start()


async def test_who_is_deaf_to_sigterm_is_killed(make: Make) -> None:
    server = make("deaf")
    await server.start()
    pid = _pid(server)
    await server.aclose()
    assert _gone(pid)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_killed_child_comes_back_at_the_same_address(make: Make, run: Callable[..., None]) -> None:
    async def drill() -> None:
        server = make("well crash crash well")
        await server.start()
        before, address, key = _pid(server), server.base_url, server.key.reveal()
        os.kill(before, signal.SIGKILL)
        await _until(lambda: server.statistics().state == State.BACKING_OFF)
        assert "ended with status -9" in server.statistics().last_failure
        await _until(lambda: server.statistics().state == State.READY)
        now = server.statistics()
        assert (3, address, key) == (now.restarts, server.base_url, server.key.reveal())
        assert "ggml_abort: out of memory" in now.last_failure
        after = _pid(server)
        assert before != after
        await server.aclose()
        assert _gone(before)
        assert _gone(after)

    run(drill())


async def test_who_fails_its_health_checks_is_replaced(make: Make) -> None:
    answers = iter([200, 503, 503, 200, 503, 503, None])

    async def ailing(receiver: str, path: str) -> int:
        answer = next(answers, 200)
        if answer is None:
            raise NetError(NetFailure.CONNECT, "made")
        return answer

    server = make("well", ailing)
    await server.start()
    first = _pid(server)
    await _until(lambda: server.statistics().restarts == 1 and server.statistics().state == State.READY)
    assert server.statistics().last_failure == "no answer to 3 health checks in a row"
    assert _pid(server) != first
    await server.aclose()


async def test_a_stop_while_backing_off_is_a_stop(make: Make) -> None:
    server = make("well", pace=Pace(first_delay=60, stop=0.2))
    await server.start()
    os.kill(_pid(server), signal.SIGKILL)
    await _until(lambda: server.statistics().state == State.BACKING_OFF)
    await server.aclose()
    assert server.statistics().state == State.STOPPED


async def test_a_cancelled_start_leaves_no_child(make: Make, tmp_path: Path) -> None:
    server = make("mute")
    starting = asyncio.create_task(server.start())
    await _until(lambda: (tmp_path / "starts-made").exists())
    pid = _pid(server)
    starting.cancel()
    await asyncio.wait({starting})
    assert starting.cancelled()
    assert _gone(pid)


async def test_the_key_stands_in_no_command_line_and_no_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-provider")
    server = make("settings")
    with pytest.raises(LocalModelError) as caught:
        await server.start()
    settings, rest = caught.value.message.split("[", 1)[1].split("}", 1)
    assert server.key.reveal() in settings
    assert server.key.reveal() not in rest
    assert "PATH" in rest
    assert "sk-of-another-provider" not in rest
    assert server.key.reveal() not in repr(server.key)


def test_back_off_doubles_up_to_its_cap() -> None:
    assert [Pace().delay(failures) for failures in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert Pace().delay(100_000) == 30


async def test_many_start_together_and_one_that_fails_stops_nobody(make: Make) -> None:
    async def well(receiver: str, path: str) -> int:
        return 200

    supervisor = Supervisor([make("well", well, id="a"), make("refuse", well, id="b"), make("well", well, id="c")])
    failed = await supervisor.start()
    assert list(failed) == ["b"]
    assert [each.state for each in supervisor.statistics()] == [State.READY, State.STOPPED, State.READY]
    assert [each.id for each in supervisor.statistics()] == ["a", "b", "c"]
    await supervisor.aclose()
    assert [each.state for each in supervisor.statistics()] == [State.STOPPED] * 3


PARENT = """
import asyncio, sys
from pathlib import Path
from trimtab.local.supervisor import LlamaServer, Serving

async def well(receiver, path):
    return 200

async def main():
    server = LlamaServer(Serving(id="made", path=Path("made.gguf")), well, command=sys.argv[1:])
    await server.start()
    print(server.statistics().pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, sys.executable, STAND_IN, "well", str(tmp_path / "starts")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not _gone(pid)
        parent.kill()
    deadline = time.monotonic() + 5
    while _runs(pid):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """A dead orphan that nobody has reaped yet is init's affair, and gone for us."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
