"""DICOM over TLS: certificates of the site's own authority, and nothing in clear."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from radbridge.errors import ConfigError
from tests.support.certificates import Authority
from tests.support.dcmtk import echoscu, storescu
from tests.support.dicom_peer import Notes, Peer, associate_rq, listening
from tests.support.dicom_scu import image


async def test_a_caller_with_a_certificate_is_served(tmp_path: Path) -> None:
    """With `client_ca`, `storescu` that shows a certificate of that authority sends its objects."""
    authority = Authority(tmp_path)
    ours, theirs = authority.issue("gateway"), authority.issue("scanner")
    notes = Notes()
    tls = {"cert": ours, "key": ours, "client_ca": authority.ca}
    async with listening(notes, tls=tls) as (_, port):
        options: list[str | Path] = ["+tls", theirs, theirs, "+cf", authority.ca]
        outcome = await storescu(port, image(), image(), options=options)
    assert outcome.status == 0, outcome.output
    assert len(notes.requests) == 2


async def test_callers_without_a_trusted_certificate_are_kept_out(tmp_path: Path) -> None:
    """No certificate, one of a stranger's authority, or no TLS at all: no association, a line in the log, alive."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    ours, theirs, other = authority.issue("gateway"), authority.issue("scanner"), stranger.issue("intruder")
    tls = {"cert": ours, "key": ours, "client_ca": authority.ca}
    with capture_logs() as logs:
        async with listening(tls=tls, association_timeout_s=60) as (listener, port):
            assert (await echoscu(port, "+tla", "+cf", authority.ca)).status != 0
            assert (await echoscu(port, "+tls", other, other, "+cf", authority.ca)).status != 0
            assert (await echoscu(port)).status != 0
            assert (await echoscu(port, "+tls", theirs, theirs, "+cf", authority.ca)).status == 0
            async with asyncio.timeout(60):
                while listener.connections:
                    await asyncio.sleep(0.01)
    refusals = [line for line in logs if line["event"] == "tls_refused"]
    assert len(refusals) == 1  # once a minute for each host
    assert refusals[0]["peer"] == "127.0.0.1"


async def test_handshakes_that_never_end_are_cut_off(tmp_path: Path) -> None:
    """A flood of callers that don't shake hands is bounded and closed after `association_timeout_s`."""
    ours = Authority(tmp_path).issue("gateway")
    tls = {"cert": ours, "key": ours}
    async with listening(tls=tls, association_timeout_s=0.5, max_associations=1) as (listener, port):
        silent = [await Peer.connect(port) for _ in range(80)]
        for number, peer in enumerate(silent):
            peer.writer.write(associate_rq() if number % 2 else b"\x16\x03\x01")
        for peer in silent:
            await peer.ended()
            await peer.close()
        async with asyncio.timeout(60):
            while listener.connections:
                await asyncio.sleep(0.01)


async def test_a_certificate_that_cannot_be_used_is_a_config_error(tmp_path: Path) -> None:
    """A missing file is told before anything listens."""
    with pytest.raises(ConfigError, match=r"dicom\.tls"):
        async with listening(tls={"cert": tmp_path / "none.pem", "key": tmp_path / "none.pem"}):
            pass
