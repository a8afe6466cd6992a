"""``trimtab config``: check a configuration before it is used, and show what it comes to."""

from __future__ import annotations

import os
from pathlib import Path

import click

from trimtab import config as configuration
from trimtab.cli.common.output import json_option, print_json, table
from trimtab.core.catalog import Deployment

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TRIMTAB_CONFIG",
    help="The configuration. Default: trimtab.toml here if there is one, else what is shipped.",
)


def load(file: Path | None, only: configuration.DeploymentTable | None = None) -> configuration.Config:
    """The configuration that a verb was given, or the one that applies here; with nothing deployed but ``only``, where that is given."""
    here = Path("trimtab.toml")
    return configuration.load(file or (here if here.exists() else None), os.environ, only=only)


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@config_option
@json_option
def check(file: Path | None, as_json: bool) -> None:
    """Say whether the configuration is sound, and which deployments it gives."""
    loaded = load(file)
    if as_json:
        print_json(
            {"file": loaded.file, "policy": loaded.policy_hash, "deployments": loaded.deployments, "boundary": loaded.boundary}
        )
        return
    click.echo(deployments_table(loaded.deployments))
    click.echo(f"\n{loaded.file}: sound. Policy {loaded.policy_hash[:12]}.")


@config.command()
def default() -> None:
    """Print the shipped configuration with its comments: a trimtab.toml to start from."""
    click.echo(configuration.default_text())


def deployments_table(deployments: tuple[Deployment, ...]) -> str:
    """What is deployed, for people."""
    rows = []
    for deployment in deployments:
        price, card = deployment.price, deployment.card
        rows.append(
            (
                deployment.id,
                deployment.tier,
                deployment.zone,
                card.context_window,
                "unknown" if price is None else f"{price.input / 1e9:g} / {price.output / 1e9:g}",
                card.licence or "unknown",
                "reserve" if deployment.reserve else "",
            )
        )
    return table(("deployment", "tier", "zone", "context", "USD per M in / out", "licence", ""), rows)
