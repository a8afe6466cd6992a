"""``trimtab import``: one file per gateway that people come from."""

from trimtab.cli.importing.litellm import import_

__all__ = ["import_"]
