"""Facts about a request, read before anything is decided: shape, complexity, sensitivity.

Everything here is synchronous, bounded in work, and fails to the careful side. It knows nothing of deployments, money or networks.
"""

from trimtab.signals.reading import sense, warm

__all__ = ["sense", "warm"]
