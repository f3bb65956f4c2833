"""Traces: a message's way from its frame to the confirmed draft, at a collector that reads OTLP by its own schema."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from radbridge import traces
from radbridge.config import Traces
from radbridge.errors import ConfigError
from radbridge.traces import DECLINED, Name, carried, span
from radbridge_adapters.otlp import OtlpTracer
from tests.support.collector import attributes, collecting
from tests.support.dictation import listening
from tests.support.gateway import free_port
from tests.support.live import live, make_site
from tests.support.ris import Ris

MARKERS = (b"ZQMRN77", b"ZQNAME", b"ZQFIND", b"ZQACC", b"ZQCTRL", b"ZQSIGN", b"ZQIMPR")
"""What a message has in every place that can hold PHI."""


def ris() -> Ris:
    """A RIS whose every message is marked."""
    return Ris(accession="ZQACC1", mrn="ZQMRN77", name="ZQNAME^JANE", signer="1001^ZQSIGN^GREGORY", prefix="ZQCTRL")


async def say(address: str, *messages: bytes) -> None:
    """Send messages over MLLP, each after the answer to the one before."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for raw in messages:
        writer.write(b"\x0b" + raw + b"\x1c\r")
        await reader.readuntil(b"\x1c\r")
    writer.close()
    await writer.wait_closed()


async def test_a_trace_from_the_frame_to_the_delivery(tmp_path: Path) -> None:
    """Each part of a draft's way is a span under the one before it, and nothing of a patient is in any byte of them."""
    with collecting() as collector:
        async with listening() as dictation:
            site = make_site(
                tmp_path,
                traces={"endpoint": collector.url, "sample": 1.0},
                hl7v2={
                    "listen": "127.0.0.1:0",
                    "destinations": [
                        {"name": "dictation", "address": f"127.0.0.1:{dictation.port}", "ack_timeout_s": 60}
                    ],
                },
            )
            async with live(site) as gateway:
                told = ris()
                findings = "There is a large ZQFIND mass. ZQNAME was told."
                await say(gateway.addresses["hl7v2"], told.order(), told.dictated(findings))
                await dictation.until(1)
                await say(gateway.addresses["hl7v2"], told.signed("ZQIMPR mass."), b"ZQNAME no message at all")
    (delivered,) = [span for span in collector.named("deliver") if attributes(span)["purpose"] == "draft"]
    known = {span.span_id: span for span in collector.spans}
    way = [delivered]
    while (parent := known.get(way[-1].parent_span_id)) is not None:
        way.append(parent)
    assert [span.name for span in reversed(way)] == [
        "frame",
        "accept",
        "apply",
        "draft",
        "deliver",
    ]
    assert {span.name for span in collector.spans if span.parent_span_id == way[1].span_id} == {
        "model",
        "guard",
        "deliver",
    }
    assert {span.trace_id for span in way} == {delivered.trace_id}
    sent = b"".join(collector.bodies)
    assert [marker for marker in MARKERS if marker in sent] == []
    assert b"dictation" in sent


@pytest.fixture
def tracer_of() -> Iterator[Callable[[Traces], OtlpTracer]]:
    """Makes the process's tracer; afterwards there is none."""

    def make(settings: Traces) -> OtlpTracer:
        tracer = OtlpTracer(settings, "gateway-1")
        traces.record(tracer)
        return tracer

    yield make
    traces.record(None)


Make = Callable[[Traces], OtlpTracer]


async def test_a_fault_is_told_by_its_type_alone(tracer_of: Make) -> None:
    """A span that ends with an exception says its type; the text, which may quote a message, goes nowhere."""
    with collecting() as collector:
        tracer = tracer_of(Traces(endpoint=collector.url, sample=1.0))
        with (
            pytest.raises(ValueError, match="ZQNAME"),
            span(Name.ACCEPT, wire="hl7v2", accession="ZQACC1", patient="ZQNAME", kind="PID|1||ZQMRN77"),
        ):
            raise ValueError("ZQNAME^JANE")
        await tracer.close()
    (told,) = collector.spans
    assert attributes(told)["failed"] == "ValueError"
    assert attributes(told)["wire"] == "hl7v2"
    assert not any(marker in collector.bodies[0] for marker in MARKERS)
    assert list(told.events) == []
    assert told.status.message == ""


async def test_only_sampled_messages_are_traced(tracer_of: Make) -> None:
    """What isn't sampled at its frame is traced nowhere on its way, and stores nothing."""
    with collecting() as collector:
        tracer = tracer_of(Traces(endpoint=collector.url, sample=0.0))
        with span(Name.FRAME) as frame:
            assert frame.carried == DECLINED
            assert carried() == ""
            with span(Name.ACCEPT) as accept:
                assert accept.carried == DECLINED
        with span(Name.APPLY, carried(frame)) as apply:
            assert apply.carried == ""
        await tracer.close()
    assert collector.spans == []


async def test_no_trace_begins_in_the_middle(tracer_of: Make) -> None:
    """Work whose message wasn't traced makes no span, though a collector is there, and though others would be."""
    with collecting() as collector:
        tracer = tracer_of(Traces(endpoint=collector.url, sample=1.0))
        with span(Name.DELIVER, ""), span(Name.MODEL):
            pass
        with span(Name.ACCEPT, DECLINED):
            pass
        await tracer.close()
    assert collector.bodies == []


async def test_a_collector_that_is_away_holds_nobody_up(tracer_of: Make, tmp_path: Path) -> None:
    """With nobody at the endpoint spans are dropped, the log says so once, and the gateway's end doesn't wait."""
    with capture_logs() as logged:
        tracer = tracer_of(Traces(endpoint=f"http://127.0.0.1:{free_port()}/v1/traces", sample=1.0))
        for _ in range(3):
            with span(Name.ACCEPT):
                pass
        await tracer.close()
    assert [line["event"] for line in logged] == ["traces are dropped"]


async def test_the_collectors_token_is_sent(tracer_of: Make, tmp_path: Path) -> None:
    """Lines of `headers_file` go with each request; the error about a file that can't be read doesn't quote it."""
    token = tmp_path / "headers"
    token.write_text("Authorization: Bearer s3cret\n\nX-Site: north\n")
    with collecting() as collector:
        tracer = tracer_of(Traces(endpoint=collector.url, headers_file=token, sample=1.0))
        with span(Name.ACCEPT):
            pass
        await tracer.close()
    assert collector.headers[0]["authorization"] == "Bearer s3cret"
    assert collector.headers[0]["x-site"] == "north"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    token.write_text("s3cret")
    with pytest.raises(ConfigError) as told:
        tracer_of(Traces(endpoint=collector.url, headers_file=token))
    assert "s3cret" not in str(told.value)


async def test_where_spans_go_is_named_by_the_site_alone(tracer_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor OpenTelemetry's own variables lead spans to another place."""
    with collecting() as collector, collecting() as elsewhere:
        for name in ("HTTP_PROXY", "http_proxy", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            monkeypatch.setenv(name, elsewhere.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "patient=ZQNAME")
        tracer = tracer_of(Traces(endpoint=collector.url, sample=1.0))
        with span(Name.ACCEPT):
            pass
        await tracer.close()
    assert len(collector.spans) == 1
    assert b"ZQNAME" not in collector.bodies[0]
    assert elsewhere.bodies == []
