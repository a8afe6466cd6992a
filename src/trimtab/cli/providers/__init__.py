"""``trimtab providers``: which there are, and what works behind one."""

from trimtab.cli.providers.verbs import providers

__all__ = ["providers"]
