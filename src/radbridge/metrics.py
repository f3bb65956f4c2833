"""Prometheus metrics of one gateway, in a registry of its own. Labels are fixed words, never identifiers (rule 5)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class Metrics:
    """What a gateway counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.messages = Counter(
            "radbridge_messages", "Messages by wire, kind and outcome", ("wire", "kind", "outcome"), registry=r
        )
        self.failed_messages = Counter(
            "radbridge_messages_failed", "Acknowledged messages that couldn't be applied", registry=r
        )
        self.commit_seconds = Histogram(
            "radbridge_commit_seconds", "From a framed message to its commit", buckets=_FAST, registry=r
        )
        self.drafts = Counter("radbridge_drafts", "Draft requests by outcome", ("outcome",), registry=r)
        self.draft_seconds = Histogram(
            "radbridge_draft_seconds", "From settled findings to a stored draft", buckets=_SLOW, registry=r
        )
        self.flags = Counter(
            "radbridge_flags", "Guard flags by kind and what the site's policy did", ("kind", "action"), registry=r
        )
        self.deliveries = Counter(
            "radbridge_deliveries", "Deliveries by destination and outcome", ("destination", "outcome"), registry=r
        )
        self.delivery_seconds = Histogram(
            "radbridge_delivery_seconds", "From a queued delivery to its confirmation", buckets=_SLOW, registry=r
        )
        self.memory_reports = Gauge(
            "radbridge_memory_reports", "Signed reports that drafts can be shown as examples", registry=r
        )
        self.memory_seconds = Histogram(
            "radbridge_memory_seconds", "To find a draft's examples", buckets=_FAST, registry=r
        )
        self.trial_harm = Gauge(
            "radbridge_trial_harm", "The largest e-value that a watched LoRA version does harm", ("phase",), registry=r
        )
        self.trial_decisions = Counter(
            "radbridge_trial_decisions", "LoRA versions promoted, withdrawn, rolled back", ("decision",), registry=r
        )
        self.trial_errors = Counter(
            "radbridge_trial_errors", "Looks at a trial that the registry had no answer for", registry=r
        )
        self.ready = Gauge("radbridge_ready", "1 when the part is ready", ("part",), registry=r)

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
