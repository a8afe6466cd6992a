"""One TOML file -> :class:`Config`. Unknown keys are errors with a hint; secrets are references, never literals."""

from trimtab.config.file import DeploymentTable
from trimtab.config.model import (
    OIDC,
    Alerts,
    ApiKey,
    AWSCredential,
    Batches,
    Cache,
    Config,
    Credential,
    EntraCredential,
    GoogleCredential,
    LocalModel,
    Network,
    RoutingConfig,
    Server,
    StoreConfig,
    Telemetry,
)
from trimtab.config.reference import Entry, prices_reference, reference
from trimtab.config.resolve import default_text, load

__all__ = [
    "OIDC",
    "AWSCredential",
    "Alerts",
    "ApiKey",
    "Batches",
    "Cache",
    "Config",
    "Credential",
    "DeploymentTable",
    "EntraCredential",
    "Entry",
    "GoogleCredential",
    "LocalModel",
    "Network",
    "RoutingConfig",
    "Server",
    "StoreConfig",
    "Telemetry",
    "default_text",
    "load",
    "prices_reference",
    "reference",
]
