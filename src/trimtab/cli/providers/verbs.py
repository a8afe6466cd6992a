"""``trimtab providers list`` and ``check``. What a check asks and how it reads the answers is in ``trimtab.providers.probe``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import msgspec

from trimtab import catalog
from trimtab.cli.common.output import json_option, note, print_json, table
from trimtab.cli.config import config_option, load
from trimtab.config import Config, DeploymentTable
from trimtab.core.catalog import Deployment
from trimtab.core.errors import ConfigError
from trimtab.net import Egress, Receivers
from trimtab.providers.probe import HELLO, MOST_TOKENS, SKY, TIME, Finding, Probe
from trimtab.providers.receivers import register
from trimtab.providers.registry import provider_for

_NEEDED = frozenset({"address", "key", "model", "chat", "embeddings"})
"""What must work for the exit status 0."""

_WORDS = {True: "yes", False: "NO", None: "not asked"}


@click.group()
def providers() -> None:
    """Show the kinds of endpoints, and check what works behind one."""


@providers.command(name="list")
@config_option
@json_option
def list_providers(file: Path | None, as_json: bool) -> None:
    """Show the providers that a deployment can name: what each speaks, where it is, and which key it wants."""
    rows = load(file).rows.values()
    if as_json:
        print_json(list(rows))
        return
    told = [
        (row.name, ", ".join(row.dialects), row.base_url or "the deployment's", row.key_env or row.auth, row.tier) for row in rows
    ]
    click.echo(table(("provider", "speaks", "address", "key", "tier"), told))


@providers.command()
@click.argument("name")
@click.option("--model", default="", help="The model to ask, where NAME is a provider. Default: the one that a key alone deploys.")
@config_option
@json_option
def check(name: str, model: str, file: Path | None, as_json: bool) -> None:
    """Ask the deployment or the provider NAME what works: address, key, models, chat, stream, tools, structured output, usage, embeddings.

    A provider is asked with its key in the environment. Only short public questions are sent.
    """
    config, deployment = _door(name, model, file)
    quoted = ", ".join(f'"{text}"' for text in (HELLO, TIME, SKY))
    note(f"Asks {deployment.base_url} (zone {deployment.zone}): {quoted}; a few times, for at most {MOST_TOKENS} tokens each.")
    findings = asyncio.run(_findings(config, deployment))
    if as_json:
        print_json({"deployment": deployment.id, "model": deployment.model, "findings": findings})
    else:
        click.echo(
            table(("", "works", "", "next step"), [(each.what, _WORDS[each.works], each.said, each.then) for each in findings])
        )
    if any(each.works is False and each.what.split(" ")[0] in _NEEDED for each in findings):
        sys.exit(1)


def _door(name: str, model: str, file: Path | None) -> tuple[Config, Deployment]:
    """The deployment of that id, else one that is made up for the provider of that name."""
    config = load(file)
    found = next((deployment for deployment in config.deployments if deployment.id == name), None)
    if found is not None and found.base_url:
        return config, msgspec.structs.replace(found, model=model or found.model)
    if found is not None:
        raise ConfigError(
            f"{name!r} is served by Trimtab itself.", hint="Start it with 'trimtab up', and ask it with 'trimtab ask'."
        )
    row = config.rows.get(name)
    if row is None:
        known = sorted({*(deployment.id for deployment in config.deployments), *config.rows})
        raise ConfigError(f"There is no deployment and no provider {name!r}.", hint=f"There are: {', '.join(known)}.")
    if not row.base_url or "{" in row.base_url or row.auth == "google":
        raise ConfigError(
            f"Provider {name!r} cannot be asked without a deployment: its address or credential is not in the environment.",
            hint="Write a [[deployment]] for it, and check that by its id. See docs/guides/providers.md.",
        )
    usual = next((starter.model for starter in catalog.starters() if starter.provider == name), "")
    config = load(file, only=DeploymentTable(id=name, provider=name, model=model or usual))
    return config, config.deployments[0]


async def _findings(config: Config, deployment: Deployment) -> list[Finding]:
    """All about the first credential; of each other whether it is taken."""
    row = config.rows[deployment.provider]
    credentials = config.credentials.get(deployment.id, ())
    found: list[Finding] = []
    for number, credential in enumerate(credentials or (None,), 1):
        egress = Egress(Receivers(config.boundary, []), proxy=config.network.proxy, ca_file=config.network.ca_file)
        try:
            register(egress, deployment, row, () if credential is None else (credential,))
            probe = Probe(egress, provider_for(row, egress), row, deployment)
            if number == 1:
                found += await probe.everything()
            else:
                found.append(msgspec.structs.replace(await probe.key(), what=f"key {number}"))
        finally:
            await egress.aclose()
    return found
