"""Trimtab: a hybrid LLM gateway. The parts are in the sub-packages; ``ARCHITECTURE.md`` has the map."""

__version__ = "0.1.0"
__all__ = ["__version__"]
