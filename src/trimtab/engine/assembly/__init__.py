"""A gateway put together from its configuration, and what is looked after beside its requests."""

from trimtab.engine.assembly.assemble import Assembly, assemble

__all__ = ["Assembly", "assemble"]
