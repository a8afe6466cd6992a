"""Where Trimtab keeps what it makes: the ledger, the weights, the client's copy of the key, and where the gateway listens.

``TRIMTAB_HOME``, else ``.trimtab`` in the current folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from trimtab.core.errors import ConfigError


class Running(Struct, frozen=True):
    """Where the gateway of this home listens, as its server wrote it down."""

    url: str
    pid: int


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """What the operating system says about ``path``, with the next step."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be used: {error.strerror}.", hint="Set TRIMTAB_HOME to a folder that you may write."
        ) from None


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def find(cls) -> Home:
        return cls(Path(os.environ.get("TRIMTAB_HOME") or ".trimtab"))

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite3"

    def make(self) -> None:
        with _usable(self.path):
            self.path.mkdir(parents=True, exist_ok=True)

    def key(self) -> str | None:
        """The client's copy of the key: ``TRIMTAB_API_KEY``, or the file that ``up`` wrote for this user alone."""
        if given := os.environ.get("TRIMTAB_API_KEY"):
            return given
        file = self.path / "key"
        with _usable(file):
            return (file.read_text().strip() or None) if file.exists() else None

    def keep_key(self, key: str) -> None:
        path = self.path / "key"
        with _usable(path), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(key + "\n")

    def keep_running(self, running: Running) -> None:
        path = self.path / "running.json"
        with _usable(path):
            path.write_bytes(msgspec.json.encode(running))

    def forget_running(self, pid: int) -> None:
        """Forget the server ``pid``. What another server of this home has written since stays."""
        found = self._running()
        if found is not None and found.pid == pid:
            (self.path / "running.json").unlink(missing_ok=True)

    def running(self) -> Running:
        found = self._running()
        if found is None:
            raise ConfigError("No gateway of this folder is running.", hint="Start one with 'trimtab up'.")
        return found

    def _running(self) -> Running | None:
        """``None`` too for a file that a dying server left half written."""
        try:
            return msgspec.json.decode((self.path / "running.json").read_bytes(), type=Running)
        except (OSError, msgspec.MsgspecError):
            return None
