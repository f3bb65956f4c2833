"""Sockets that send what no subscriber sends."""

from __future__ import annotations

from pathlib import Path

import pytest
import websockets

from radbridge_adapters import fhircast
from tests.support.fhircast import report_context
from tests.support.fhircast_client import application, connect, hear
from tests.support.live import live, make_site

JUNK: list[str | bytes] = [
    "",
    "{",
    "[]",
    "5",
    '{"id": 5}',
    '{"id": [], "status": {}}',
    '{"status": "x"}',
    b"\x00\xff",
    "[" * 10_000,
]


async def test_junk_on_a_socket_harms_nothing(tmp_path: Path) -> None:
    """Texts and bytes that are no answers are passed over, and the session goes on for that subscriber too."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as good:
        odd = await good.form()
        async with connect(odd.json()["hub.channel.endpoint"]) as socket:
            await hear(socket)
            for junk in JUNK:
                await socket.send(junk)
            await good.post("DiagnosticReport-open", report_context("A1"))
            assert "DiagnosticReport-open" in await hear(socket)
        await good.wait(1)


async def test_a_message_that_is_too_long_ends_only_its_socket(tmp_path: Path) -> None:
    """More than the site's limit in one message closes that socket, which the others are told of."""
    site = make_site(tmp_path, http={"ws_max_bytes": 4096})
    async with live(site, fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as good:
        odd = await good.form(subscriber_name="ODD")
        async with connect(odd.json()["hub.channel.endpoint"], compression=None) as socket:
            await hear(socket)
            await socket.send("x" * 100_000)
            with pytest.raises(websockets.ConnectionClosedError) as caught:
                await hear(socket)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009
        [error] = await good.wait(1, "SyncError")
        assert "ODD" in str(error)


async def test_nobody_gets_in_by_guessing(tmp_path: Path) -> None:
    """An address that was never given is refused before the handshake."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway:
        for path in ("/fhircast/ws/", "/fhircast/ws/guess", "/fhircast", "/fhircast/topic"):
            with pytest.raises(websockets.InvalidStatus):
                await connect(f"{gateway.base.replace('http', 'ws', 1)}{path}")
