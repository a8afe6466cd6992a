"""Put a file in place whole or not at all: copy, hash while copying, flush, rename. It knows nothing about models."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trimtab.core.errors import LocalModelError

Progress = Callable[[str], None]
"""Takes one line for people."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHUNK = 1 << 20


def no_room(folder: Path) -> LocalModelError:
    return LocalModelError(
        f"There is no room in {folder} for the model.", hint="Free some space there, or choose another directory."
    )


@contextmanager
def disk_errors_for(folder: Path) -> Iterator[None]:
    """Turn what the operating system says into a :class:`LocalModelError` with the next step."""
    try:
        yield
    except OSError as failure:
        if failure.errno in DISK_FULL:
            raise no_room(folder) from failure
        raise LocalModelError(
            f"{folder} cannot be used: {failure.strerror or failure}.", hint="Check the directory and its permissions."
        ) from failure


@contextmanager
def placed(target: Path) -> Iterator[IO[bytes]]:
    """A file to write that becomes ``target`` when the block ends well, and vanishes otherwise.

    Raises :class:`LocalModelError` when the disk is full or the directory cannot be written.
    """
    part: Path | None = None
    with disk_errors_for(target.parent):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False) as file:
                part = Path(file.name)
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            if part is not None:
                part.unlink(missing_ok=True)


def copy_checked(source: IO[bytes], target: Path, sha256: str) -> None:
    """Copy ``source`` to ``target``. When its digest is not ``sha256`` nothing is left there and :class:`LocalModelError` is raised."""
    digest = hashlib.sha256()
    with placed(target) as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        _hold(target, digest.hexdigest(), sha256)


def move_checked(source: Path, target: Path, sha256: str) -> None:
    """Rename ``source``, on the same disk, to ``target`` when its digest is ``sha256``; else delete it and raise."""
    try:
        _hold(target, sha256_of(source), sha256)
        source.replace(target)
    finally:
        source.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hold(target: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise LocalModelError(
            f"{target.name} has SHA-256 {found} and should have {wanted}; it was deleted.",
            hint="Try again. If it stays so, the source was changed since it was checked: do not use it.",
        )
