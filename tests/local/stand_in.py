"""A child that speaks the same two lines as ``trimtab.local.child`` and serves nothing. ``argv``: how to behave, and where to count starts.

Each start takes the next word of ``argv[1]``, and the last word from then on: ``well``, ``deaf`` (to SIGTERM), ``mute`` (never listens),
``vanish`` (listens and ends), ``refuse`` (a reason and status 3), ``crash`` (words that are no reason), ``settings`` (shows what it got).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    behaviours, counter = sys.argv[1].split(), Path(sys.argv[2])
    settings = json.loads(sys.stdin.buffer.readline())
    starts = len(counter.read_bytes()) if counter.exists() else 0
    counter.write_bytes(b"x" * (starts + 1))
    match behaviours[min(starts, len(behaviours) - 1)]:
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("listening", flush=True)
            time.sleep(60)
        case "vanish":
            print("listening", flush=True)
            print("gone again", file=sys.stderr)
            sys.exit(1)
        case "mute":
            time.sleep(60)
        case "refuse":
            print("native noise", file=sys.stderr)
            print(json.dumps({"error": "it is damaged.", "hint": "Fetch it again."}), file=sys.stderr)
            print("native noise after it", file=sys.stderr)
            sys.exit(3)
        case "crash":
            print("ggml_abort: out of memory", file=sys.stderr)
            sys.exit(134)
        case "settings":
            print(json.dumps([settings, dict(os.environ), sys.argv]), file=sys.stderr)
            sys.exit(1)
        case _:
            print("listening", flush=True)
            sys.stdin.buffer.read()


main()
