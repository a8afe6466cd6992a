"""Writes the reference pages from the code: ``python -m docs.generate``. Each module holds the pages of one subject."""

from __future__ import annotations

from docs.generate.admin import admin_api
from docs.generate.errors import error_tree, errors
from docs.generate.facts import facts, metrics
from docs.generate.http import app_routes, http, path_of
from docs.generate.settings import command_line, configuration
from docs.generate.trials import clients, conformance

__all__ = [
    "PAGES",
    "admin_api",
    "app_routes",
    "clients",
    "command_line",
    "configuration",
    "conformance",
    "error_tree",
    "errors",
    "facts",
    "http",
    "metrics",
    "path_of",
]

PAGES = {
    "configuration.md": configuration,
    "command-line.md": command_line,
    "http.md": http,
    "admin-api.md": admin_api,
    "metrics.md": metrics,
    "errors.md": errors,
    "catalog.md": facts,
    "clients.md": clients,
    "conformance.md": conformance,
}
