"""``trimtab import``: another gateway's configuration as ours, and the list of what it could not carry."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import click

from trimtab.cli.common.output import json_option, note, print_json, table
from trimtab.config.importing.litellm import Converted, convert
from trimtab.core.errors import ConfigError

_MEANING = {"act": "to do", "differs": "works otherwise", "left": "left out"}


@click.group(name="import")
def import_() -> None:
    """Turn another gateway's configuration into one of ours."""


@import_.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=Path("trimtab.toml"),
    show_default=True,
    help="Where the configuration is written; - prints it.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
def litellm(file: Path, output: Path, force: bool, as_json: bool) -> None:
    """Convert the LiteLLM configuration FILE, and list what could not be carried.

    Addresses that FILE refers to by os.environ/NAME are read from this environment. Keys are not: the made file names their variables.
    """
    made = convert(_read(file), os.environ, str(file))
    _write(output, made.toml, force=force)
    if as_json:
        print_json({"file": str(output), "missing": _missing(made), "converted": made})
        return
    say = note if str(output) == "-" else click.echo
    if made.notes:
        say(_notes(made))
    say(f"\n{output}: {made.toml.count('[[deployment]]')} deployments; {len(made.carried)} keys carried, {len(made.notes)} notes.")
    say("What is found sensitive in a request stays at home unless [boundary] says otherwise: LiteLLM would have sent it.")
    if missing := _missing(made):
        say(f"Set before you start it: {', '.join(missing)}.")


def _notes(made: Converted) -> str:
    """What holds for several keys is said once."""
    places: dict[tuple[str, str], list[str]] = {}
    for one in made.notes:
        places.setdefault((_MEANING[one.severity], f"{one.what} {one.next}"), []).append(one.path)
    rows = [("\n".join(paths), meaning, textwrap.fill(text, 76)) for (meaning, text), paths in places.items()]
    return table(("LiteLLM's key", "", "what became of it, and what next"), rows)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot read the file: {error.strerror}.", file=str(file), hint="Check the path.") from None
    except UnicodeDecodeError:
        raise ConfigError("Cannot read the file: it is not UTF-8 text.", file=str(file), hint="Save it as UTF-8.") from None


def _write(output: Path, text: str, *, force: bool) -> None:
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    try:
        with output.open("w" if force else "x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{output} is there already.", hint="Choose another with --output, or write over it with --force."
        ) from None
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}.", hint="Choose another with --output.") from None


def _missing(made: Converted) -> list[str]:
    """Variables that the made file names and that are not set here."""
    return [name for name in made.variables if not os.environ.get(name, "").strip()]
