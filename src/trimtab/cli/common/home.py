"""Where Trimtab keeps what it makes: the ledger, the weights, the client's copy of the key, and where the gateway listens.

``TRIMTAB_HOME``, else ``.trimtab`` in the current folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from trimtab.core.errors import ConfigError


class Running(Struct, frozen=True):
    """Where the gateway of this home listens, as its server wrote it down."""

    url: str
    pid: int


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
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be made: {error.strerror}.", hint="Set TRIMTAB_HOME to a folder that you may write."
            ) from None

    def key(self) -> str | None:
        """The client's copy of the key: ``TRIMTAB_API_KEY``, or the file that ``up`` wrote for this user alone."""
        if given := os.environ.get("TRIMTAB_API_KEY"):
            return given
        file = self.path / "key"
        return file.read_text().strip() if file.exists() else None

    def keep_key(self, key: str) -> None:
        descriptor = os.open(self.path / "key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")

    def keep_running(self, running: Running) -> None:
        (self.path / "running.json").write_bytes(msgspec.json.encode(running))

    def forget_running(self) -> None:
        (self.path / "running.json").unlink(missing_ok=True)

    def running(self) -> Running:
        file = self.path / "running.json"
        if not file.exists():
            raise ConfigError("No gateway of this folder is running.", hint="Start one with 'trimtab up'.")
        return msgspec.json.decode(file.read_bytes(), type=Running)
