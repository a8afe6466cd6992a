"""What a request must not show to everyone. A first detector: patterns with checksums; names and addresses are not its affair.

It reads everything that would leave, and what it cannot read counts as :attr:`Sensitivity.UNREADABLE`. It reports types and counts and
never what it matched. Which zone may see which class is the policy's table, not this package's.
"""

from trimtab.signals.sensitivity.detector import Found, scan
from trimtab.signals.sensitivity.reader import read_request

__all__ = ["Found", "read_request", "scan"]
