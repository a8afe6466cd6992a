"""How facts are printed: a table for people, JSON for programs. Standard output carries data alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click
import msgspec
from tabulate import tabulate

json_option: Callable[[Callable[..., object]], Callable[..., object]] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON."
)


def print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def tell(value: object, as_json: bool, text: str = "", remark: str = "") -> None:
    """``value`` as JSON, or as people read it: ``text`` on standard output, ``remark`` beside it."""
    if as_json:
        print_json(value)
        return
    if text:
        click.echo(text)
    if remark:
        note(remark)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return tabulate([[_cell(cell) for cell in row] for row in rows], headers=headers, tablefmt="simple", disable_numparse=True)


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    return tabulate([[name, _cell(value)] for name, value in rows], tablefmt="plain", disable_numparse=True)


def note(text: str) -> None:
    """A remark for the person at the terminal, kept out of the data."""
    click.echo(text, err=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, frozenset | set):
        return ", ".join(sorted(str(item) for item in value)) or "-"
    return str(value)
