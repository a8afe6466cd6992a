"""The command line: one verb per job, and ``--json`` on each that prints facts."""

from __future__ import annotations

import sys

import click

from trimtab import __version__
from trimtab.cli.accounts import audit, budget, grant, key, place, service_account, usage, user, whoami
from trimtab.cli.ask import ask
from trimtab.cli.config import config
from trimtab.cli.explain import explain
from trimtab.cli.importing import import_
from trimtab.cli.lab import lab
from trimtab.cli.ledger import ledger
from trimtab.cli.models import models
from trimtab.cli.providers import providers
from trimtab.cli.serve import serve, up
from trimtab.core.errors import TrimtabError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trimtab")
def cli() -> None:
    """A hybrid LLM gateway: each request goes to the cheapest deployment that will answer it well and is allowed to see it."""


_ACCOUNTS = (whoami, place, user, service_account, grant, key, budget, usage, audit)

for verb in (up, serve, ask, explain, models, providers, config, import_, ledger, lab, *_ACCOUNTS):
    cli.add_command(verb)


def main() -> None:
    """Run a verb. What goes wrong on purpose is said in two lines, without a traceback; the exit status is 1."""
    try:
        cli(standalone_mode=True)
    except TrimtabError as error:
        click.echo(f"error: {_place(error)}{error.message}", err=True)
        if error.hint:
            click.echo(f"hint: {error.hint}", err=True)
        sys.exit(1)


def _place(error: TrimtabError) -> str:
    """``file:line: `` where the error knows it."""
    return str(error)[: -len(_without_place(error))] if str(error).endswith(_without_place(error)) else ""


def _without_place(error: TrimtabError) -> str:
    return TrimtabError.__str__(error)
