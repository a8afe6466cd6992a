"""One TOML file -> :class:`Config`. Unknown keys are errors with a hint; secrets are references, never literals."""

from trimtab.config.model import (
    Config,
    LocalModel,
    Network,
    RoutingConfig,
    Server,
    StoreConfig,
)
from trimtab.config.reference import Entry, prices_reference, reference
from trimtab.config.resolve import default_text, load

__all__ = [
    "Config",
    "Entry",
    "LocalModel",
    "Network",
    "RoutingConfig",
    "Server",
    "StoreConfig",
    "default_text",
    "load",
    "prices_reference",
    "reference",
]
