"""Writes what is out of date. ``--check`` says which pages those are and writes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.generate import PAGES

HERE = Path(__file__).parents[1] / "reference"


def main() -> None:
    check = "--check" in sys.argv
    stale = []
    for name, write in PAGES.items():
        text, file = write(), HERE / name
        if not file.exists() or file.read_text() != text:
            stale.append(name)
            if not check:
                HERE.mkdir(exist_ok=True)
                file.write_text(text)
    if stale:
        print(f"{'out of date' if check else 'written'}: {', '.join(stale)}")
    sys.exit(bool(stale) and check)


if __name__ == "__main__":
    main()
