"""``python -m trimtab.local.child``: llama.cpp's own HTTP server for one GGUF file, in a process of its own.

The first line of standard input is :class:`Settings` as JSON, so no key stands in a command line or an environment. Standard output gets
one line when the server listens. When standard input ends, whoever started this process is gone, and it ends too. A reason for not
starting is a line of standard error, as JSON, with exit status 3. It knows nothing about restarts, requests or the rest of Trimtab.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from trimtab.core.errors import LocalModelError
from trimtab.local.header import read_header

CANNOT_START = 3
_ERRORS_ONLY = 1


class Settings(Struct, frozen=True, kw_only=True):
    """``context`` is in tokens; ``name`` is what the server calls its model."""

    path: str
    name: str
    port: int
    api_key: str
    context: int
    threads: int


class Reason(Struct, frozen=True):
    """Why the server did not start, and the next step."""

    error: str
    hint: str


def find_reason(said: bytes) -> Reason | None:
    """The reason among the lines that a child left. Not always the last: llama.cpp's log is written by a thread of its own."""
    for line in reversed(said.splitlines()):
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(line, type=Reason)
    return None


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        return
    watcher = threading.Thread(target=_end_with, args=(sys.stdin.buffer,), name="watch-parent", daemon=True)
    watcher.start()
    ready = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what native code prints must not be taken for our one line
    try:
        server = _serve(msgspec.json.decode(line, type=Settings))
    except LocalModelError as failure:
        os.write(2, b"\n" + msgspec.json.encode(Reason(failure.message, failure.hint)) + b"\n")  # at once, lest it be torn apart
        os._exit(CANNOT_START)
    ready.write(b"listening\n")
    ready.close()
    watcher.join()
    del server  # until here: without a reference it stops


def _end_with(stdin: BinaryIO) -> None:
    """Leave at once when the other end closes: nobody is left to wait for an answer, and native threads need no farewell."""
    while stdin.read(4096):
        pass
    os._exit(0)


def _serve(settings: Settings) -> object:
    """The running server, once it listens."""
    read_header(Path(settings.path))
    try:
        import xllamacpp
    except ImportError as missing:
        raise LocalModelError(
            "Serving a local model needs llama.cpp (xllamacpp).", hint="Run: pip install 'trimtab[local]'"
        ) from missing
    params = xllamacpp.CommonParams()
    params.model.path = settings.path
    params.model_alias = {settings.name}
    params.hostnames = ["127.0.0.1"]
    params.port = settings.port
    params.api_keys = [settings.api_key]
    params.n_parallel = 1  # more give fairness and no throughput on a processor
    params.n_ctx = settings.context
    params.cpuparams.n_threads = settings.threads
    params.cache_ram_mib = 0  # by default it keeps up to 8 GiB of past prompts
    params.endpoint_slots = False  # it shows prompts
    params.ui = False
    params.offline = True
    params.verbosity = _ERRORS_ONLY
    try:
        return xllamacpp.Server(params)
    except RuntimeError as failure:
        raise LocalModelError(
            f"llama.cpp cannot serve {settings.path}: {failure}",
            hint="The lines before this one are llama.cpp's own. Is the model's architecture supported, and is there memory enough?",
        ) from failure


if __name__ == "__main__":
    main()
