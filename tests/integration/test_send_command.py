"""`radbridge send` by TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path

from typer.testing import CliRunner, Result

from radbridge.cli.app import app
from radbridge.testing import MemoryIntake
from radbridge_adapters.security.pins import read_pin
from tests.support import mllp
from tests.support.certificates import Authority

MESSAGE = mllp.MESSAGES / "oru_r01_loinc_unsigned.hl7"


async def send(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["send", str(MESSAGE), *words])


async def test_a_listener_that_speaks_tls(tmp_path: Path) -> None:
    """It gets the message from whom it knows; whoever lacks a certificate, the authority or the pinned key fails."""
    authority = Authority(tmp_path)
    server, ours = authority.issue("server"), authority.issue("ours")
    table = {"cert": server, "key": server, "client_ca": authority.ca}
    known = ("--ca-file", str(authority.ca), "--cert-file", str(ours), "--pin", read_pin(server))
    intake = MemoryIntake()
    async with mllp.listening(intake, tls=table) as listener:
        to = ("--to", listener.address, "--timeout", "60")
        sent = await send(*to, "--tls", *known)
        assert sent.exit_code == 0, sent.output
        assert "MSA|AA|ORU1" in sent.output
        for wrong in (("--tls", *known[2:]), ("--tls", *known[:2]), ("--tls", *known[:4], "--pin", read_pin(ours)), ()):
            assert (await send(*to, *wrong)).exit_code == 1
    assert len(intake.accepted) == 1


async def test_options_that_need_tls(tmp_path: Path) -> None:
    """A certificate that would be shown to nobody is an error, and so is a pin that is none."""
    for words, told in ((("--ca-file", "ca.pem"), "need --tls"), (("--tls", "--pin", "sha1/x"), "pins")):
        refused = await send("--to", "127.0.0.1:1", *words)
        assert refused.exit_code == 2
        assert told in refused.output
