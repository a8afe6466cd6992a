"""Writes configurations to load in tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from trimtab.config import ApiKey, Config, load

VLLM = """\
[[deployment]]
id = "home"
provider = "vllm"
model = "m"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "trimtab.toml"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def loaded(folder: Path, text: str, env: Mapping[str, str] | None = None, *, local: bool = True) -> Config:
    return load(write(folder, text), env or {}, local=local)


def keys_of(config: Config, id: str) -> list[str]:
    """The plain keys among a deployment's credentials."""
    return [found.key.reveal() for found in config.credentials[id] if isinstance(found, ApiKey)]
