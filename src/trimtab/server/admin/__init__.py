"""What the gateway tells about itself, and how its accounts are changed. No request to a model comes through here."""

from trimtab.server.admin.about import About, refused_in_dialect
from trimtab.server.admin.api import OPERATIONS, admin_routes
from trimtab.server.admin.table import not_served
from trimtab.server.admin.who import Who

__all__ = ["OPERATIONS", "About", "Who", "admin_routes", "not_served", "refused_in_dialect"]
