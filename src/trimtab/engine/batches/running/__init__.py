"""How a batch is worked on: whoever holds its lease checks the input, runs its lines, and reports."""

from trimtab.engine.batches.running.carrying import Carrier
from trimtab.engine.batches.running.runner import Runner
from trimtab.engine.batches.running.work import Resources

__all__ = ["Carrier", "Resources", "Runner"]
