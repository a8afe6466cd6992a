"""What came of each line, written as it comes: one line of JSON per line of the batch, in one write.

Every holder of the batch's lease writes to a file of its own, so one that lost the lease without noticing spoils nothing. The first result
of a line counts. A line that a crash cut off is none; the line of the batch then runs once more.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Self

from trimtab.core.errors import LedgerError
from trimtab.wire.batches import Ending, Result, read_result, written


class Journal:
    """The results of one batch, as the holder of the lease ``epoch`` sees and adds to them. ``path_of`` says where an epoch's lie.

    Opening and adding take a moment of disk.
    """

    def __init__(self, path_of: Callable[[int], Path], epoch: int) -> None:
        self._paths = [path_of(number) for number in range(1, epoch + 1)]
        self._file = -1
        self._lock = Lock()
        """Held while the file is written or closed: whoever waited for a result may be cancelled while a thread still writes it."""
        self.done: set[int] = set()
        self.counts: Counter[Ending] = Counter()
        for result in self.results():
            self._count(result)

    def _count(self, result: Result) -> None:
        self.done.add(result.number)
        self.counts[result.ending] += 1

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self._paths[-1], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _full(error.strerror) from None
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            os.close(self._file)
            self._file = -1

    def add(self, result: Result) -> None:
        """A second result of a line changes nothing.

        Raises :class:`LedgerError` where the disk takes no more: then nothing may be added any more under this lease.
        """
        if result.number in self.done:
            return
        row = written(result)
        try:
            with self._lock:
                whole = os.write(self._file, row) == len(row)
        except OSError as error:
            raise _full(error.strerror) from None
        if not whole:
            raise _full("no space left")
        self._count(result)

    def results(self) -> Iterator[Result]:
        """Each line's first result."""
        seen: set[int] = set()
        for path in self._paths:
            if not path.exists():
                continue
            with path.open("rb") as file:
                for raw in file:
                    result = read_result(raw) if raw.endswith(b"\n") else None
                    if result is not None and result.number not in seen:
                        seen.add(result.number)
                        yield result

    def remove(self) -> None:
        for path in self._paths:
            path.unlink(missing_ok=True)


def write_all(rows: Iterator[bytes], file: BinaryIO) -> int:
    """Write and count."""
    count = 0
    for row in rows:
        file.write(row)
        count += 1
    file.flush()
    return count


def _full(why: str | None) -> LedgerError:
    return LedgerError(f"The results of a batch cannot be written: {why}.", hint="Make room: the batch goes on by itself.")
