"""Spans to an OpenTelemetry collector, by OTLP over HTTP. Entry point `radbridge.tracers`; needs the extra `otel`.

The provider is our own and never OpenTelemetry's global one: no other library's spans, whose attributes hold URLs and
statements, can get into it. The bytes leave by the same client as all others: no proxy, no redirect, pins.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Sequence

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from radbridge import __version__
from radbridge.config import Traces
from radbridge.errors import ConfigError, DeliveryFailed
from radbridge.logs import redact
from radbridge.traces import Name, Value
from radbridge_adapters.rest.client import Reply, ask, make_http

log = structlog.get_logger(__name__)

TIMEOUT_S = 5.0
"""For one batch; what can't be told within it is dropped (rule 4)."""
_EVERY_MS = 1000
_LONGEST = 200
"""Characters of an attribute."""
_W3C = TraceContextTextMapPropagator()


class _Recorded:
    """A span that is recorded."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span, Context()))
        self.carried = carrier["traceparent"]

    def note(self, **attributes: Value) -> None:
        """Add attributes: of them what a log would show."""
        self._span.set_attributes(dict(redact(None, "", dict(attributes))))

    def end(self, *, failed: str = "") -> None:
        """End it."""
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
            self.note(failed=failed)
        self._span.end()


class OtlpTracer:
    """A `Tracer` that sends to `settings.endpoint`. Made on the event loop; raises ConfigError."""

    def __init__(self, settings: Traces, gateway: str) -> None:
        """`gateway` is the name of this one among those of the cluster."""
        self._exporter = _Exporter(settings)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample)),
            resource=Resource(
                {"service.name": "radbridge", "service.version": __version__, "service.instance.id": gateway}
            ),
            span_limits=SpanLimits(max_attribute_length=_LONGEST),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, schedule_delay_millis=_EVERY_MS))
        self._tracer = self._provider.get_tracer("radbridge", __version__)

    def begin(self, name: Name, parent: str) -> _Recorded | None:
        """A span, where its trace is sampled."""
        context = _W3C.extract({"traceparent": parent}, Context())
        span = self._tracer.start_span(name, context)
        return _Recorded(span) if span.is_recording() else None

    async def ping(self) -> None:
        """Raise DeliveryFailed unless the collector takes an export; of no spans."""
        await self._exporter.ping()

    async def close(self) -> None:
        """Send what is left, for at most `TIMEOUT_S`."""
        await asyncio.to_thread(self._provider.shutdown)
        await self._exporter.close()


class _Exporter(SpanExporter):
    """Called by the SDK's thread; the bytes are sent on the event loop."""

    def __init__(self, settings: Traces) -> None:
        self._url = settings.endpoint or ""
        self._headers = {**_read_headers(settings), "content-type": "application/x-protobuf"}
        self._http = make_http("traces", self._url, timeout_s=TIMEOUT_S, trust=settings)
        self._loop = asyncio.get_running_loop()
        self._stuck = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch once. One that can't be sent is dropped: nobody's report waits for a trace."""
        sending = asyncio.run_coroutine_threadsafe(self._send(encode_spans(spans).SerializeToString()), self._loop)
        try:
            sent = sending.result(2 * TIMEOUT_S)
        except concurrent.futures.TimeoutError:
            sending.cancel()
            sent = False
        if sent == self._stuck:
            self._stuck = not sent
            (log.info if sent else log.warning)("traces go out again" if sent else "traces are dropped", part="traces")
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    async def ping(self) -> None:
        reply = await self._ask(encode_spans([]).SerializeToString())
        if not reply.ok:
            raise DeliveryFailed("traces", f"the collector at {self._url} answers HTTP {reply.status}")

    async def _ask(self, body: bytes) -> Reply:
        return await ask(self._http, "traces", "POST", self._url, content=body, headers=self._headers)

    async def _send(self, body: bytes) -> bool:
        try:
            return (await self._ask(body)).ok
        except DeliveryFailed:
            return False

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def shutdown(self) -> None:
        """The gateway closes it: connections belong to the event loop."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept back here."""
        return True


def _read_headers(settings: Traces) -> dict[str, str]:
    """`name: value` lines."""
    if settings.headers_file is None:
        return {}
    try:
        lines = [line for line in settings.headers_file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"traces.headers_file: {type(error).__name__}; it holds lines of `name: value`"]) from None
    if any(":" not in line for line in lines):
        raise ConfigError(["traces.headers_file: each line must be `name: value`"])
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
