"""Batches: many requests handed in at once, run one by one while nobody else needs the room.

A queue of our own, in the store and in one folder beside it, for both protocols. It knows nothing of HTTP, nor of how either protocol shows
a batch.
"""

from trimtab.engine.batches.desk import Desk
from trimtab.engine.batches.files import EXPIRY_SECONDS, Files
from trimtab.engine.batches.opening import batching, carriers_of
from trimtab.engine.batches.queue import Queue
from trimtab.engine.batches.running import Carrier, Resources, Runner
from trimtab.engine.batches.values import Batch, KeptFile, Status

__all__ = [
    "EXPIRY_SECONDS",
    "Batch",
    "Carrier",
    "Desk",
    "Files",
    "KeptFile",
    "Queue",
    "Resources",
    "Runner",
    "Status",
    "batching",
    "carriers_of",
]
