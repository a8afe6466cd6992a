"""The only way out of the process.

Every byte that leaves for a model, a judge, an embedder, a collector, a webhook or a price list goes through :class:`Egress`, which
holds what the bytes carry against the zone of who would receive them, and refuses. Receivers are registered from the configuration;
a caller names one and can never hand over a URL, a zone or a credential. It knows nothing of protocols, deployments or routing.
"""

from trimtab.net.boundary import CredentialError, Receiver, Receivers, Signer
from trimtab.net.client import Answer, Egress, EgressStatistics, NetError, NetFailure

__all__ = ["Answer", "CredentialError", "Egress", "EgressStatistics", "NetError", "NetFailure", "Receiver", "Receivers", "Signer"]
