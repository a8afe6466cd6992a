"""The table: requests per second, added latency, streams per second and memory, of Trimtab and its rivals, in one run.

python -m bench.gateway                                  # all, about two minutes and LiteLLM's installation
python -m bench.gateway --only trimtab --seconds 3       # no rivals
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import msgspec
from bench.gateway.load import Fault, Measured
from bench.gateway.subjects import CORES, Subject, alone, litellm, trimtab, upstream
from msgspec import Struct
from tabulate import tabulate

CONNECTIONS = 32
TURNS = 3
KINDS = {"many": (CONNECTIONS, False), "one": (1, False), "streams": (CONNECTIONS, True)}
"""How many connections, and whether they ask for streams. ``many`` comes first: some rivals take thousands of requests to warm up."""


class Row(Struct, frozen=True, kw_only=True):
    """One subject's figures. Resident memory is MiB, before the first request and after the last."""

    name: str
    many: Measured
    one: Measured
    streams: Measured
    idle: float
    after: float


def main() -> None:
    options = _options()
    try:
        with ExitStack() as stack:
            fixed = stack.enter_context(upstream())
            gateways = [stack.enter_context(start()) for start in _gateways(options, fixed.load.port, stack)]
            rows = _measure([fixed, *gateways], options)
    except Fault as fault:
        sys.exit(f"bench: {fault}")
    if options.json:
        print(msgspec.json.format(msgspec.json.encode({"machine": _machine(), "rows": rows}), indent=2).decode())
    else:
        print(_machine(), _table(rows), _ratios(rows), sep="\n\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=["trimtab", "litellm"], help="measure one gateway beside the upstream")
    parser.add_argument("--seconds", type=float, default=6.0, help=f"per measurement, over {TURNS} turns (default 6)")
    parser.add_argument("--warmup", type=float, default=3.0, help="before each in the first turn (default 3)")
    parser.add_argument(
        "--litellm-venv", type=Path, help="where LiteLLM is, or shall be kept (default: installed for this run alone)"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _gateways(options: argparse.Namespace, port: int, stack: ExitStack) -> Iterator[Callable[[], AbstractContextManager[Subject]]]:
    if options.only != "litellm":
        yield partial(trimtab, port)
    if options.only != "trimtab":
        yield partial(litellm, port, options.litellm_venv or Path(stack.enter_context(tempfile.TemporaryDirectory())))


def _measure(subjects: list[Subject], options: argparse.Namespace) -> list[Row]:
    """All are up, one at a time is asked, in turns: what else the machine does then falls on all alike."""
    idle = [subject.resident_mib() for subject in subjects]
    measured = [{kind: list[Measured]() for kind in KINDS} for _ in subjects]
    for turn in range(TURNS):
        for subject, found in zip(subjects, measured, strict=True):
            for kind, (connections, stream) in KINDS.items():
                print(f"turn {turn + 1} of {TURNS}: {subject.name}, {kind}", file=sys.stderr)
                warmup = options.warmup if turn == 0 else 0.5
                with alone(subject, subjects):
                    found[kind].append(
                        subject.measure(connections=connections, stream=stream, warmup=warmup, seconds=options.seconds / TURNS)
                    )
    return [
        Row(name=subject.name, **{kind: _middle(turns) for kind, turns in found.items()}, idle=before, after=subject.resident_mib())
        for subject, found, before in zip(subjects, measured, idle, strict=True)
    ]


def _middle(turns: list[Measured]) -> Measured:
    return sorted(turns, key=lambda measured: measured.rate)[len(turns) // 2]


def _table(rows: list[Row]) -> str:
    bare = rows[0]
    headers = ["", "req/s", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms", "streams/s", "idle MiB", "after MiB"]
    note = f"req/s, p50, p99 and streams/s: {CONNECTIONS} connections. Added: one connection, over the upstream's own."
    cells = [
        (
            row.name,
            f"{row.many.rate:,.0f}",
            f"{row.many.p50:.2f}",
            f"{row.many.p99:.2f}",
            *(("", "") if row is bare else (f"{row.one.p50 - bare.one.p50:.2f}", f"{row.one.p99 - bare.one.p99:.2f}")),
            f"{row.streams.rate:,.0f}",
            *(("", "") if row is bare else (f"{row.idle:.0f}", f"{row.after:.0f}")),
        )
        for row in rows
    ]
    table = tabulate(cells, headers=headers, tablefmt="simple", disable_numparse=True, colalign=("left", *["right"] * 8))
    return f"{table}\n\n{note}"


def _ratios(rows: list[Row]) -> str:
    if len(rows) < 3:
        return f"{rows[1].name}: {rows[1].many.rate / rows[0].many.rate:.1%} of the upstream's own rate."
    ours, theirs = rows[1], rows[2]
    return (
        f"{ours.name} to {theirs.name}: {ours.many.rate / theirs.many.rate:.1f} x the requests, "
        f"{ours.streams.rate / theirs.streams.rate:.1f} x the streams, "
        f"{theirs.idle / ours.idle:.1f} x less idle memory."
    )


def _machine() -> str:
    cores = "one core for all" if len(CORES) == 1 else f"gateway on core {CORES[0]}, upstream and load on core {CORES[-1]}"
    return f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}, {cores}"


if __name__ == "__main__":
    main()
