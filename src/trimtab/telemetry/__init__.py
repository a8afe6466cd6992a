"""What an operator may watch: counters for Prometheus, structured log lines, and OpenTelemetry traces and metrics for a collector.

Redaction lives here: whatever is told is built from ids, names and numbers, and never from a request's content. It knows nothing of where
the facts come from, and sends nothing but through :class:`~trimtab.net.Egress`.
"""

from trimtab.telemetry.exporter import Exporter, ExportPlan
from trimtab.telemetry.logs import configure_logging, log
from trimtab.telemetry.metrics import Metrics

__all__ = ["ExportPlan", "Exporter", "Metrics", "configure_logging", "log"]
