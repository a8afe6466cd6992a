from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.local.made import made_gguf

from trimtab.local.child import CANNOT_START, Settings, find_reason

CHILD = [sys.executable, "-m", "trimtab.local.child"]
WITHOUT_EXTRA = [sys.executable, "-c", "import sys; sys.modules['xllamacpp'] = None; from trimtab.local.child import main; main()"]


def _settings(path: Path) -> bytes:
    settings = Settings(path=str(path), name="made", port=0, api_key="k", context=128, threads=1)
    return msgspec.json.encode(settings) + b"\n"


def _run(command: list[str], given: bytes) -> tuple[int, bytes, bytes]:
    """Exit status and output, with standard input held open as a living parent does."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(given)
        child.stdin.flush()
        err = child.stderr.read()
        return child.wait(30), child.stdout.read(), err


@pytest.fixture
def cut_short(tmp_path: Path) -> Path:
    path = made_gguf(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def test_without_a_parent_it_ends(tmp_path: Path) -> None:
    done = subprocess.run(CHILD, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_damaged_file_is_named_in_a_line_of_its_own(cut_short: Path) -> None:
    status, out, err = _run(CHILD, _settings(cut_short))
    reason = find_reason(err)
    assert reason is not None
    assert (status, out) == (CANNOT_START, b"")
    assert f"{cut_short} is not a sound GGUF file" in reason.error
    assert "fetch it again" in reason.hint


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    status, _, err = _run(WITHOUT_EXTRA, _settings(made_gguf(tmp_path / "made.gguf")))
    assert status == CANNOT_START
    reason = find_reason(err)
    assert reason is not None
    assert reason.hint == "Run: pip install 'trimtab[local]'"


def test_what_llama_cpp_cannot_load_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    """A sound file that is no model: its header passes, and llama.cpp finds the tensors of its architecture missing."""
    path = made_gguf(tmp_path / "made.gguf")
    status, out, err = _run(CHILD, _settings(path))
    assert (status, out) == (CANNOT_START, b"")
    reason = find_reason(err)
    assert reason is not None
    assert f"llama.cpp cannot serve {path}" in reason.error


@pytest.mark.local_model
def test_without_its_parent_the_real_child_ends_too(served_weights: Path) -> None:
    with subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(_settings(served_weights))
        child.stdin.flush()
        assert child.stdout.readline() == b"listening\n"
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(5) == 0
