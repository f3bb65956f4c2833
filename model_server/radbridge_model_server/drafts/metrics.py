"""Prometheus metrics of one replica. Labels are fixed words; owners appear only while they have a challenger."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from radbridge_model_server.engines.engine import Engine

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class Metrics:
    """What a replica counts."""

    def __init__(self, *collectors: Collector) -> None:
        self.registry = CollectorRegistry()
        self.drafts = Counter("radbridge_model_drafts", "Drafts by stage", ("stage",), registry=self.registry)
        self.draft_seconds = Histogram(
            "radbridge_model_draft_seconds", "From receipt to answer", buckets=_SECONDS, registry=self.registry
        )
        self.fallbacks = Counter(
            "radbridge_model_fallbacks", "Drafts that something better was meant for", registry=self.registry
        )
        self.problems = Counter(
            "radbridge_model_problems", "Requests answered with a problem", ("problem",), registry=self.registry
        )
        for collector in collectors:
            self.registry.register(collector)

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)


class EngineMetrics(Collector):
    """The engine's own counts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Called by prometheus-client."""
        stats = self._engine.stats()
        return (
            GaugeMetricFamily("radbridge_engine_queued", "Prompts that wait", value=stats.queued),
            GaugeMetricFamily("radbridge_engine_running", "Prompts being continued", value=stats.running),
            GaugeMetricFamily("radbridge_engine_loras", "LoRAs in memory", value=len(stats.loras)),
            CounterMetricFamily("radbridge_engine_prompts", "Prompts answered", value=stats.generated),
            CounterMetricFamily("radbridge_engine_tokens", "Tokens written", value=stats.tokens),
            CounterMetricFamily("radbridge_engine_late", "Prompts whose deadline passed", value=stats.late),
            CounterMetricFamily("radbridge_engine_overloaded", "Prompts turned away", value=stats.overloaded),
        )
