"""How a batch is worked on: whoever holds its lease checks the input, runs its lines, and reports."""

from trimtab.engine.batches.running.carrying import Carriage, Carrier
from trimtab.engine.batches.running.runner import Runner
from trimtab.engine.batches.running.work import Shop

__all__ = ["Carriage", "Carrier", "Runner", "Shop"]
