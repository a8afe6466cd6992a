"""What the gateway tells about itself, and how its accounts are changed. No request to a model comes through here."""

from trimtab.server.admin.about import About, refused_in_dialect
from trimtab.server.admin.site import OPERATIONS, admin_routes
from trimtab.server.admin.table import Site, not_served, refused
from trimtab.server.admin.who import CSRF_HEADER, Session, Sessions, Who

__all__ = [
    "CSRF_HEADER",
    "OPERATIONS",
    "About",
    "Session",
    "Sessions",
    "Site",
    "Who",
    "admin_routes",
    "not_served",
    "refused",
    "refused_in_dialect",
]
