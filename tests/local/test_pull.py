from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from tests.local.made import made_gguf, sha256

from trimtab.catalog import WeightsRow
from trimtab.core.errors import LocalModelError
from trimtab.local.weights import ensure, pull

pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")

COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """The part of the hub that its client asks for one file: ``HEAD`` and ``GET /{repo}/resolve/{revision}/{file}``."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        found = self.path == f"/made/made-GGUF/resolve/{COMMIT}/made-q8_0.gguf"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", '"made"')
            self.send_header("Content-Length", str(len(self.server.content)))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(made_gguf(tmp_path / "source.gguf").read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def row(tmp_path: Path, hub: Hub) -> WeightsRow:
    source = tmp_path / "source.gguf"
    return WeightsRow(
        name="made", card="made", licence="Apache-2.0", parameters=1000, bytes=source.stat().st_size, sha256=sha256(source),
        repo="made/made-GGUF", revision=COMMIT, filename="made-q8_0.gguf", source="tests", as_of="2026-11-22",
    )  # fmt: skip


def test_a_pull_asks_for_the_pinned_revision_and_shows_the_licence(row: WeightsRow, hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    path = pull(row, tmp_path / "home", said.append, hub.url)
    wanted = f"/made/made-GGUF/resolve/{COMMIT}/made-q8_0.gguf"
    assert [f"HEAD {wanted}", f"GET {wanted}"] == hub.asked
    assert (hub.content, [path]) == (path.read_bytes(), list((tmp_path / "home").iterdir()))
    assert f"made: licence Apache-2.0, SHA-256 {row.sha256}" == said[-1]
    assert path == pull(row, tmp_path / "home", said.append, hub.url) == ensure(row, tmp_path / "home", said.append)
    assert len(hub.asked) == 2


def test_a_file_that_is_not_the_pinned_one_is_deleted(row: WeightsRow, hub: Hub, tmp_path: Path) -> None:
    hub.content = hub.content[:-1] + b"x"
    with pytest.raises(LocalModelError, match=r"it was deleted\. .*do not use it"):
        pull(row, tmp_path / "home", print, hub.url)
    assert list((tmp_path / "home").iterdir()) == []


def test_a_file_that_the_hub_lacks_is_named(row: WeightsRow, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match=r"made/made-GGUF/other\.gguf could not be fetched: .*404"):
        pull(msgspec.structs.replace(row, filename="other.gguf"), tmp_path / "home", print, hub.url)


def test_a_hub_that_does_not_answer_is_named(row: WeightsRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client waits 23 seconds in all between its tries
    with pytest.raises(LocalModelError, match=r"could not be fetched: .*Check the network"):
        pull(row, tmp_path / "home", print, "http://127.0.0.1:9")
