"""Prometheus metrics of one gateway, in a registry of its own. Labels are fixed words, never identifiers (rule 5).

What is read from the journal (`radbridge.flow.gauging`) is said of the whole cluster, by every gateway alike; what is
counted is of this one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from radbridge.meter import JournalMeter, WireMeter

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_GROUPS = (1, 2, 4, 8, 16, 32, 64)


class Metrics(WireMeter, JournalMeter):
    """What a gateway counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counter = partial(Counter, registry=self.registry)
        self._gauge = partial(Gauge, registry=self.registry)
        self._histogram = partial(Histogram, registry=self.registry)
        self._labelled = cache(lambda metric, *words: metric.labels(*words))
        """A metric with labels, for each message: to look it up anew costs as much as to count."""
        self._make_intake()
        self._make_drafting()
        self._make_delivery()
        self._make_cluster()
        self._make_guarding()

    def _make_intake(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.messages = counter("radbridge_messages", "Messages by wire, kind and outcome", ("wire", "kind", "outcome"))
        self.reused_ids = counter(
            "radbridge_control_ids_reused", "Messages under a control id that came before with other content"
        )
        self.failed_messages = counter("radbridge_messages_failed", "Acknowledged messages that couldn't be applied")
        self.quarantined = counter("radbridge_quarantined", "Acknowledged messages set aside after several tries")
        self.commit_seconds = histogram(
            "radbridge_commit_seconds", "From a framed message to its commit", buckets=_FAST
        )
        self.ack_seconds = histogram(
            "radbridge_ack_seconds", "From a message's last byte to its answer", ("wire",), buckets=_FAST
        )
        self.group_size = histogram("radbridge_group_size", "Writes that shared a commit", buckets=_GROUPS)
        self.journal_up = gauge("radbridge_journal_up", "1 while the journal commits")
        self.journal_retries = counter("radbridge_journal_retries", "Commits that were run again", ("reason",))
        self.ready = gauge("radbridge_ready", "1 when the part is ready", ("part",))

    def _make_drafting(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.drafts = counter("radbridge_drafts", "Draft requests by outcome", ("outcome",))
        self.draft_seconds = histogram(
            "radbridge_draft_seconds", "From settled findings to a stored draft", buckets=_SLOW
        )
        self.draft_stage_seconds = histogram(
            "radbridge_draft_stage_seconds", "What a draft's time went to", ("stage",), buckets=_SLOW
        )
        self.drafts_accepted = counter("radbridge_drafts_accepted", "What signers made of drafts", ("outcome",))
        self.flags = counter(
            "radbridge_flags", "Guard flags by kind and what the site's policy did", ("kind", "action")
        )
        self.lora_swaps = counter(
            "radbridge_lora_swaps", "Radiologists whose drafts another LoRA version began to write"
        )
        self.memory_reports = gauge("radbridge_memory_reports", "Signed reports that drafts can be shown as examples")
        self.memory_seconds = histogram("radbridge_memory_seconds", "To find a draft's examples", buckets=_FAST)
        self.trial_harm = gauge(
            "radbridge_trial_harm", "The largest e-value that a watched LoRA version does harm", ("phase",)
        )
        self.trial_decisions = counter(
            "radbridge_trial_decisions", "LoRA versions promoted, withdrawn, rolled back", ("decision",)
        )
        self.trial_errors = counter("radbridge_trial_errors", "Looks at a trial that the registry had no answer for")

    def _make_delivery(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.deliveries = counter(
            "radbridge_deliveries", "Deliveries by destination and outcome", ("destination", "outcome")
        )
        self.delivery_seconds = histogram(
            "radbridge_delivery_seconds", "From a queued delivery to its confirmation", buckets=_SLOW
        )
        self.unanswered_sends = counter("radbridge_unanswered", "Sends that nobody answered in time", ("destination",))
        self.late_acks = counter(
            "radbridge_late_acks", "Answers that came when nobody waited any more", ("destination",)
        )
        self.breaker_open = gauge(
            "radbridge_breaker_open", "1 while a destination is left alone after failures", ("destination",)
        )
        self.paused = gauge("radbridge_paused", "1 while an operator has stopped a destination", ("destination",))

    def _make_cluster(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.queue_age = gauge(
            "radbridge_queue_age_seconds", "How long the oldest has waited", ("queue", "destination")
        )
        self.queue_depth = gauge("radbridge_queue_depth", "How many wait", ("queue", "destination"))
        self.dead = gauge("radbridge_dead", "Messages and deliveries that wait for a person", ("kind",))
        self.leases = gauge("radbridge_leases", "Leases that this gateway holds", ("kind",))
        self.takeovers = counter("radbridge_takeovers", "Times that work of a gateway that died was taken over")
        self.gateways_alive = gauge(
            "radbridge_gateways_alive", "Gateways that share the journal and were heard of lately"
        )
        self.disk_free = gauge("radbridge_disk_free_bytes", "Free on the journal's disk, where that is this machine's")
        self.disk_size = gauge("radbridge_disk_size_bytes", "The size of that disk")

    def _make_guarding(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.logins = counter("radbridge_logins", "Logins by outcome", ("outcome",))
        self.rate_limited = counter("radbridge_rate_limited", "Callers made to wait or sent away", ("wire",))
        self.certificate_expiry = gauge(
            "radbridge_certificate_expiry_seconds", "Until the certificate ends that a wire shows", ("wire",)
        )
        self.audit_pending = gauge("radbridge_audit_pending", "Audit notes that aren't in the chain yet")
        self.audit_pending_age = gauge("radbridge_audit_pending_age_seconds", "How long the oldest of them has waited")
        self.audit_seq = gauge("radbridge_audit_seq", "The number of the chain's last note")
        self.syslog_lag = gauge("radbridge_syslog_lag", "Notes of the chain that syslog hasn't been told")
        self.syslog_age = gauge("radbridge_syslog_age_seconds", "How long the oldest of them has waited")
        self.purge_age = gauge("radbridge_purge_age_seconds", "Since a purge last came to its end")
        self.purged = counter("radbridge_purged", "Rows that the retention rules took", ("kind",))

    def acknowledged(self, wire: str, elapsed_s: float) -> None:
        """An answer was written."""
        self._labelled(self.ack_seconds, wire).observe(elapsed_s)

    def took_in(self, wire: str, kind: str, outcome: str) -> None:
        """A message came in; kind and outcome are words of ours."""
        self._labelled(self.messages, wire, kind, outcome).inc()

    def reused(self) -> None:
        """A sender used the id of one message for another."""
        self.reused_ids.inc()

    def limited(self, wire: str) -> None:
        """A caller was made to wait, or told to come back later."""
        self.rate_limited.labels(wire).inc()

    def logged_in(self, *, let_in: bool) -> None:
        """Somebody tried to log in."""
        self.logins.labels("ok" if let_in else "refused").inc()

    def answered_late(self, destination: str) -> None:
        """A destination acknowledged what nobody waited for any more."""
        self.late_acks.labels(destination).inc()

    def unanswered(self, destination: str) -> None:
        """A destination took a message and said nothing in time."""
        self.unanswered_sends.labels(destination).inc()

    def expires(self, wire: str, at: Callable[[], datetime]) -> None:
        """Who can tell until when a wire's certificate is valid; one that can't be read any more counts as ended."""

        def left_s() -> float:
            try:
                return (at() - datetime.now(UTC)).total_seconds()
            except (OSError, ValueError):
                return 0.0

        self.certificate_expiry.labels(wire).set_function(left_s)

    def committed(self, size: int) -> None:
        """A group of writes is on the disk."""
        self.group_size.observe(size)

    def retried(self, reason: str) -> None:
        """A group was run again."""
        self.journal_retries.labels(reason).inc()

    def journal_is(self, *, up: bool) -> None:
        """Whether the last group could be committed."""
        self.journal_up.set(up)

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
