"""From the configuration's local models to verified files on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trimtab import catalog
from trimtab.cli.common.home import Home
from trimtab.config import Config
from trimtab.core.errors import LocalModelError
from trimtab.local.requantise import requantise
from trimtab.local.weights import ensure, inspect, location

Progress = Callable[[str], None]


def ensure_all(
    config: Config, home: Home, progress: Progress, *, fetch: bool = True
) -> tuple[dict[str, Path], dict[str, LocalModelError]]:
    """A verified file for each local model, by id; and, by id, why there is none."""
    found: dict[str, Path] = {}
    missing: dict[str, LocalModelError] = {}
    for model in config.local:
        try:
            found[model.id] = file_for(model.weights, home.path / "weights", progress, fetch=fetch)
        except LocalModelError as error:
            missing[model.id] = error
    return found, missing


def file_for(weights: str, folder: Path, progress: Progress, *, fetch: bool = True) -> Path:
    """The GGUF file to serve for a name of the catalogue or a path. Fetches what is missing, and requantises once."""
    row = next((row for row in catalog.weights() if row.name == weights), None)
    if row is None:
        path = Path(weights)
        if not path.exists():
            known = ", ".join(row.name for row in catalog.weights())
            raise LocalModelError(f"{weights} is neither a file nor weights that we know.", hint=f"We know: {known}.")
        file = inspect(path)
        progress(f"{path}: {file.name}, licence {file.licence}, sha256 {file.sha256}")
        return path
    if not fetch and not location(row, folder).exists():
        raise LocalModelError(f"The weights of {row.name} are not on this machine.", hint=f"Run: trimtab models pull {row.name}")
    return requantise(ensure(row, folder, progress), folder, row.sha256, progress)
