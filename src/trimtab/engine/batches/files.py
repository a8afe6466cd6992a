"""Files that clients bring and fetch, and the working files of batches: one folder beside the ledger, for this user alone.

On the disk a file is called by an id that was made here. What a file is, and to which place it belongs, is a document; a file whose
document is gone is swept away.
"""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from trimtab.core.errors import BodyTooLarge, LedgerError, MalformedRequest, NotFound
from trimtab.core.units import DAY_NS, SECOND_NS, Clock
from trimtab.engine.batches.values import KINDS, KeptFile
from trimtab.engine.caller import Caller
from trimtab.store import Document, Documents
from trimtab.wire.operations.form import Form, read_form

KIND = "file"
_FORM_BYTES = 64 * 1024
"""What a form may have beside the file's own bytes."""

_FIELDS = frozenset({"file", "purpose", "expires_after[anchor]", "expires_after[seconds]"})
_PURPOSES = frozenset({"assistants", "fine-tune", "vision", "user_data", "evals"})
EXPIRY_SECONDS = (3600, 2_592_000)
"""OpenAI's bounds of how long a file is kept."""

_PIECE = 1 << 20
_ORPHAN_NS = 3600 * SECOND_NS
"""A file younger than this may still be without its document."""

_KIND_OF = {"file": KIND, "batch": KINDS["openai"], "msgbatch": KINDS["anthropic"]}


class _Brought(Struct, frozen=True):
    """A form's file: its bytes stand at ``[start, stop)`` of the body."""

    name: str
    start: int
    stop: int
    seconds: int | None


class Files:
    """``days`` is how long a file is kept where its client says nothing; ``new_id`` makes an id that sorts by time."""

    def __init__(
        self, folder: Path, documents: Documents, clock: Clock, new_id: Callable[[int], str], *, days: int, max_bytes: int
    ) -> None:
        self._folder = folder
        self._documents = documents
        self._clock = clock
        self._new_id = new_id
        self._days = days
        self.max_bytes = max_bytes

    def make(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(error) from None

    def fresh(self, prefix: str) -> str:
        return prefix + self._new_id(self._clock.time_ns()).replace("-", "")

    def path(self, name: str) -> Path:
        """``name`` is an id that was made here, with what it is for behind a dot."""
        return self._folder / name

    async def bring(self, pieces: AsyncIterator[bytes], caller: Caller) -> KeptFile:
        """Keep the file of a form, whose bytes are ``pieces``. Raises :class:`MalformedRequest` and :class:`BodyTooLarge`."""
        id = self.fresh("file-")
        async with self.making(f"{id}.form") as form:
            size = 0
            async for piece in pieces:
                size += len(piece)
                if size > self.max_bytes + _FORM_BYTES:
                    raise BodyTooLarge(
                        f"The file is larger than {self.max_bytes} bytes.", hint="Split it, or raise [batches] max_file_bytes."
                    )
                await asyncio.to_thread(form.write, piece)
            await asyncio.to_thread(form.flush)
            brought = await asyncio.to_thread(_read_form, self.path(f"{id}.form"))
            async with self.making(f"{id}.part") as part:
                await asyncio.to_thread(_copy, self.path(f"{id}.form"), part, brought)
                return await self.publish(id, brought.name, "batch", caller, seconds=brought.seconds)

    @asynccontextmanager
    async def making(self, name: str) -> AsyncIterator[BinaryIO]:
        """A new file, readable by this user alone. It is gone afterwards unless somebody renamed it."""
        path = self.path(name)
        try:
            file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb")
            with file:
                yield file
        except OSError as error:
            raise _unwritable(error) from None
        finally:
            path.unlink(missing_ok=True)

    async def publish(self, id: str, name: str, purpose: str, caller: Caller, *, seconds: int | None = None) -> KeptFile:
        """Let the finished file ``ID.part`` be a file of the caller's place. Doing it twice changes nothing."""
        part, now = self.path(f"{id}.part"), self._clock.time_ns()
        kept = KeptFile(
            id=id,
            name=name,
            purpose=purpose,
            size=part.stat().st_size,
            created_ns=now,
            expires_ns=now + (self._days * DAY_NS if seconds is None else seconds * SECOND_NS),
        )
        part.replace(self.path(id))
        await self._documents.put_document(
            Document(
                kind=KIND,
                id=id,
                place=caller.place,
                owner=caller.owner,
                created_ns=now,
                expires_ns=kept.expires_ns,
                body=msgspec.json.encode(kept),
            )
        )
        return kept

    async def load(self, id: str, place: str) -> KeptFile:
        """Raises :class:`NotFound`, also for a file of another place."""
        held = await self._documents.document(KIND, id, now_ns=self._clock.time_ns())
        if held is None or held.place != place:
            raise NotFound(
                "No such file is kept here.",
                param="file_id",
                hint="Files are kept for the project that brought them, until they expire.",
            )
        return msgspec.json.decode(held.body, type=KeptFile)

    async def remove(self, id: str, place: str) -> None:
        await self.load(id, place)
        await self._documents.remove_document(KIND, id)
        self.path(id).unlink(missing_ok=True)

    async def sweep(self) -> None:
        """Remove what has no document any more."""
        for name, changed_ns in await asyncio.to_thread(self._names):
            base = name.partition(".")[0]
            kind = _KIND_OF.get(base.partition("-")[0].partition("_")[0])
            now = self._clock.time_ns()
            if kind is None or now - changed_ns < _ORPHAN_NS:
                continue
            if await self._documents.document(kind, base, now_ns=now) is None:
                self.path(name).unlink(missing_ok=True)

    def _names(self) -> list[tuple[str, int]]:
        with os.scandir(self._folder) as entries:
            return [(entry.name, entry.stat(follow_symlinks=False).st_mtime_ns) for entry in entries]


def _unwritable(error: OSError) -> LedgerError:
    return LedgerError(
        f"The folder of files beside the event log takes nothing: {error.strerror}.", hint="Make room, or let this user write it."
    )


def _copy(form: Path, part: BinaryIO, brought: _Brought) -> None:
    with form.open("rb") as whole:
        whole.seek(brought.start)
        left = brought.stop - brought.start
        while left and (piece := whole.read(min(left, _PIECE))):
            part.write(piece)
            left -= len(piece)
    part.flush()


def _read_form(path: Path) -> _Brought:
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise MalformedRequest("The body is empty.", hint="Send the file as multipart/form-data, with purpose=batch.")
        # Closed by nobody, but gone with this frame: what was matched in it may outlive a refusal for a moment.
        return _brought(read_form(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def _brought(form: Form) -> _Brought:
    for field in form.fields:
        if field.name not in _FIELDS:
            raise MalformedRequest("The form has a field that is not known here.", hint=f"Send {', '.join(sorted(_FIELDS))}.")
    purpose, file = form.text("purpose"), form.only("file")
    if purpose != "batch":
        said = f"{purpose} is not served here" if purpose in _PURPOSES else "is missing or not known"
        raise MalformedRequest(f"purpose: {said}.", param="purpose", hint="Files are for batches alone: send purpose=batch.")
    if file is None or file.filename is None:
        raise MalformedRequest("file: there is none.", param="file", hint="Send the lines as a file of the form.")
    return _Brought(file.filename[:255], file.start, file.stop, _expiry(form))


def _expiry(form: Form) -> int | None:
    anchor, seconds = form.text("expires_after[anchor]"), form.text("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    low, high = EXPIRY_SECONDS
    if anchor != "created_at" or seconds is None or not seconds.isdecimal() or not low <= int(seconds) <= high:
        raise MalformedRequest(
            "expires_after: that is no expiry.",
            param="expires_after",
            hint=f"Send anchor=created_at and seconds from {low} to {high}, or neither.",
        )
    return int(seconds)
