"""The pages of whoever runs it: every key of the configuration, every verb of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import click
from docs.generate.paper import Cells, grid, page

from trimtab import config
from trimtab.cli import cli
from trimtab.config import Entry


def configuration() -> str:
    sections = [
        f"## {name}\n\n{grid(('key', 'type', 'default', 'meaning'), [_key(entry) for entry in entries])}"
        for name, entries in groupby(config.reference(), _table_of)
    ]
    prices = grid(("key", "type", "default", "meaning"), [_key(entry) for entry in config.prices_reference()])
    return page(
        "Configuration",
        "Every key of the TOML file. An unknown key is an error that names the nearest one. A table whose name ends in `[]` may repeat:\n"
        "`deployment[].id` is the key `id` under `[[deployment]]`. An empty default means that the key is required.\n\n"
        "Without a file the [shipped default](../../src/trimtab/config/default.toml) applies; it shows every key with a comment.",
        *sections,
        f"## The prices file\n\nThe file that `prices_file` names. Its rows go before the shipped price list.\n\n{prices}",
    )


def _table_of(entry: Entry) -> str:
    head, dot, _ = entry.key.partition(".")
    if not dot:
        return "Top level"
    return f"[[{head.removesuffix('[]')}]]" if head.endswith("[]") else f"[{head}]"


def _key(entry: Entry) -> Cells:
    return f"`{entry.key}`", entry.type, f"`{entry.default}`" if entry.default else "", entry.meaning


def verbs(command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """The path and the help of every verb that does something."""
    name = "trimtab" if parent is None else command.name
    with click.Context(
        command, parent=parent, info_name=name, terminal_width=100, max_content_width=100, **command.context_settings
    ) as context:
        if isinstance(command, click.Group):
            for child in sorted(command.commands.values(), key=lambda child: child.name or ""):
                yield from verbs(child, context)
        else:
            yield context.command_path, command.get_help(context)


def command_line() -> str:
    return page(
        "Command line",
        "Every verb, as `--help` prints it. Three variables of the environment stand in for options: `TRIMTAB_CONFIG` for `--config`,\n"
        "`TRIMTAB_HOME` for the folder of ledger, weights and key (default: `.trimtab` here), `TRIMTAB_API_KEY` for the key.",
        *(f"## {path}\n\n```text\n{text}\n```" for path, text in verbs(cli)),
    )
