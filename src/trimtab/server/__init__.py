"""HTTP in front of the gateway. Thin handlers: bytes to values, values to bytes, and no decision of their own."""

from trimtab.server.app import build_app
from trimtab.server.common.site import Site
from trimtab.server.doors import Shelf
from trimtab.server.signin import IdentityProvider, SignIn

__all__ = ["IdentityProvider", "Shelf", "SignIn", "Site", "build_app"]
