"""``trimtab lab``: upstreams to try things against, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import click

from trimtab.core.errors import ConfigError
from trimtab.lab import faults as faulty
from trimtab.lab import replay as recorded


@click.group()
def lab() -> None:
    """Upstreams on loopback that answer with recordings, or fail in every known way."""


@lab.command()
@click.option(
    "--answers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="JSONL or JSONL.gz of recorded answers.",
)
@click.option(
    "--model", "models", multiple=True, required=True, help="A model of the recording to serve. May be given several times."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8901, show_default=True)
@click.option("--first-token", default=0.0, show_default=True, help="Seconds before the first token.")
@click.option("--per-token", default=0.0, show_default=True, help="Seconds between tokens.")
def replay(answers: Path, models: tuple[str, ...], port: int, first_token: float, per_token: float) -> None:
    """Answer known prompts with recorded real answers, as an OpenAI-compatible upstream."""
    _run(recorded.serve(answers, models, port=port, first_token=first_token, per_token=per_token, ready=click.echo))


@lab.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8902, show_default=True)
def faults(port: int) -> None:
    """Fail on request: the model's name says how. GET /v1/models lists the ways."""
    _run(faulty.serve(port, ready=click.echo))


def _run(serve: Coroutine[object, object, None]) -> None:
    """Run until Ctrl-C. What is wrong with the arguments is an error in two lines."""
    try:
        asyncio.run(serve)
    except ValueError as error:
        raise ConfigError(str(error), hint="Name another file or model.") from None
    except OSError as error:
        raise ConfigError(f"{error.strerror or error}.", hint="Name another --port or another file.") from None
