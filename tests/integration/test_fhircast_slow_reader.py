"""A subscriber whose WebSocket is open and reads nothing."""

from __future__ import annotations

from pathlib import Path

from radbridge_adapters import fhircast
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import Cast, application, connect
from tests.support.live import live, make_site

EVENTS = 120
TEXT = "x" * 200_000


async def test_who_reads_nothing_is_dropped_and_delays_nobody(tmp_path: Path) -> None:
    """A WebSocket that reads nothing holds at most its queue, is dropped with a SyncError, and delays no other."""
    site = make_site(tmp_path, fhircast={"ack_timeout_s": 600, "queue": 8})
    async with live(site, fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as good:
        slow = Cast(url=good.url, topic="topic", http=good.http)
        slow.endpoint = (await slow.form(subscriber_name="SLOW")).json()["hub.channel.endpoint"]
        async with connect(slow.endpoint, max_queue=1, compression=None) as socket:
            await good.post("DiagnosticReport-open", report_context("A1"))
            for number in range(EVENTS):
                heard = await good.wait(max(number, 1), "DiagnosticReport-update" if number else "")
                heard[-1]["event"].pop("context")  # the test's own memory is not what is measured
                context = update_context(put(observation(f"{number}{TEXT}", code="36643-5")))
                # Neither is waited for as long as an answer may take.
                assert (await good.post("DiagnosticReport-update", context, good.version)).status_code == 202
            [error] = await good.wait(1, "SyncError")
            [issue] = error["event"]["context"][0]["resource"]["issue"]
            assert issue["diagnostics"] == "too many events wait to be read"
            assert issue["details"]["coding"][-1]["code"] == "SLOW"
            assert (await slow.form(hub_channel_endpoint=slow.endpoint)).status_code == 404
            assert good.events.index(error) < EVENTS / 2  # by then the kernel's buffers and a queue of eight are full
            socket.transport.abort()
