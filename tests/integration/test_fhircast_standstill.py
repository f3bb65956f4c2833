"""A hub that stood still for longer than an answer may take."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import uvloop
from websockets.sync.client import connect

from radbridge_adapters import fhircast
from tests.support.fhircast import report_context
from tests.support.fhircast_client import Cast, application, owed
from tests.support.limits import Clock, clock_of
from tests.support.live import live, make_site

HEARTBEAT_S = 0.01
ACCESSIONS = tuple(f"A{n}" for n in range(10))


def test_an_answer_at_the_door_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber whose answer had come when its time ran out, but wasn't read yet, stays subscribed.

    The event loop may ring the timers that are due before it reads what came meanwhile; uvloop does, one time in a few.
    """
    clock = clock_of("radbridge_adapters.fhircast.link", monkeypatch)
    uvloop.run(_stand_still(tmp_path, clock))


async def _stand_still(where: Path, clock: Clock) -> None:
    site = make_site(where, fhircast={"ack_timeout_s": 600, "heartbeat_s": HEARTBEAT_S})
    heard, go, said = Queue[None](), Queue[None](), Queue[None]()
    async with live(site, fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as good:
        cast = Cast(url=good.url, topic="topic", http=good.http)
        endpoint = (await cast.form(subscriber_name="OTHER")).json()["hub.channel.endpoint"]
        subscriber = asyncio.create_task(asyncio.to_thread(_subscribe, endpoint, heard, go, said))
        for accession in ACCESSIONS:
            await good.post("DiagnosticReport-open", report_context(accession))
            await asyncio.to_thread(heard.get, timeout=60)
            await gateway.until(lambda: owed(gateway) == 1)  # the other's own answer is no matter here
            go.put(None)
            said.get(timeout=60)  # without the loop: nobody but the subscriber gets on meanwhile
            clock.skip(601)
            time.sleep(2 * HEARTBEAT_S)  # noqa: ASYNC251 - for the hub's timer to be due
        await subscriber
        assert not [one for one in good.events if one["event"]["hub.event"] == "SyncError"]


def _subscribe(endpoint: str, heard: Queue[None], go: Queue[None], said: Queue[None]) -> None:
    """Answer each event that opens a report when told to. Raises ConnectionClosed where the hub ends the session."""
    with connect(endpoint, proxy=None) as socket:
        for _ in ACCESSIONS:
            event: dict[str, Any] = {}
            while event.get("event", {}).get("hub.event") != "DiagnosticReport-open":
                event = json.loads(socket.recv(60))
            heard.put(None)
            go.get(timeout=60)
            socket.send(json.dumps({"id": event["id"], "status": 200}))
            said.put(None)
