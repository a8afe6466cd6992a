"""HTTP in front of the gateway. Thin handlers: bytes to values, values to bytes, and no decision of their own."""

from trimtab.server.app import build_app

__all__ = ["build_app"]
