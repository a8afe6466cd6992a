"""Configurations of other gateways, turned into ours: text in, text and an account of what was left behind out. No I/O."""

from trimtab.config.importing.account import Carried, Note, Severity

__all__ = ["Carried", "Note", "Severity"]
