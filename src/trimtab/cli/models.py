"""``trimtab models``: what is deployed, what can be fetched, and fetching it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from trimtab import catalog
from trimtab.cli.common.home import Home
from trimtab.cli.common.offers import found_servers
from trimtab.cli.common.output import json_option, note, print_json, table
from trimtab.cli.common.weights import file_for
from trimtab.cli.config import config_option, deployments_table, load
from trimtab.core.errors import LocalModelError
from trimtab.local import weights as files


@click.group()
def models() -> None:
    """Show deployments and servers found; list and fetch weights for tier 1."""


@models.command(name="list")
@config_option
@json_option
def list_models(file: Path | None, as_json: bool) -> None:
    """Show what is deployed, which servers run on this machine, and which weights can be pulled."""
    deployments, found, weights = load(file).deployments, asyncio.run(found_servers()), catalog.weights()
    if as_json:
        print_json({"deployments": deployments, "found": found, "weights": weights})
        return
    click.echo(deployments_table(deployments))
    if found:
        click.echo(
            "\n" + table(("found", "at", "models"), [(s.provider, s.base_url, ", ".join(m.name for m in s.models)) for s in found])
        )
    rows = [(row.name, f"{row.parameters / 1e9:.2g} B", f"{row.bytes / 1e9:.2f} GB", row.licence, row.source) for row in weights]
    click.echo("\n" + table(("weights", "parameters", "size", "licence", "source"), rows))


@models.command()
@click.argument("name")
@click.option("--endpoint", envvar="HF_ENDPOINT", help="Another hub, such as a mirror of your own.")
def pull(name: str, endpoint: str | None) -> None:
    """Fetch the weights NAME, hold them against their pinned hash, and show their licence."""
    home = Home.find()
    home.make()
    row = next((row for row in catalog.weights() if row.name == name), None)
    if row is None:
        raise LocalModelError(f"We know no weights {name!r}.", hint=f"We know: {', '.join(row.name for row in catalog.weights())}.")
    folder = home.path / "weights"
    if not row.package:
        files.pull(row, folder, note, endpoint)
    path = file_for(name, folder, note)
    note(f'{path} is ready. Deploy it with these lines in trimtab.toml:\n\n  [[local]]\n  id = "{name}"\n  weights = "{name}"\n')
