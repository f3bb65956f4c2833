"""The style memory of a whole gateway: what an operator sees of it, exports, switches off and takes away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.journal import memory
from tests.support.live import LiveGateway, live, make_site
from tests.support.ris import Ris

FIRST, SECOND, THIRD = (Ris(accession=f"A10000{n}") for n in (1, 2, 3))
PATIENCE = {"wait_s": 30}


async def send(gateway: LiveGateway, *messages: bytes) -> None:
    """Hand messages in over MLLP, each once the one before is acknowledged."""
    host, _, port = gateway.addresses["hl7v2"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for message in messages:
        writer.write(b"\x0b" + message + b"\x1c\r")
        assert b"\rMSA|AA|" in await reader.readuntil(b"\x1c\r")
    writer.close()


def remembered(gateway: LiveGateway) -> int:
    """How many reports the table holds, and none that waits."""
    if gateway.journal.read_now(lambda conn: memory.waiting(conn, 1)):
        return -1
    return gateway.journal.read_now(memory.count)


def can_show(gateway: LiveGateway, count: int) -> bool:
    """Whether so many reports are remembered, and drafts can be shown them: the index lags by a moment."""
    return remembered(gateway) == count and f"\nradbridge_memory_reports {count}.0".encode() in gateway.metrics_page()


async def command(folder: Path, *words: str) -> str:
    """Run `radbridge …` on the gateway's journal; what it prints."""
    config = folder / "site.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{folder}/radbridge.db"\n')
    result = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--config", str(config)])
    assert result.exit_code == 0, result.output
    return result.output


async def export(folder: Path) -> list[Any]:
    """The rows of `radbridge edits`."""
    await command(folder, "edits", "--out", str(folder / "edits.jsonl"))
    return [json.loads(line) for line in (folder / "edits.jsonl").read_text().splitlines()]


async def test_shown_exported_and_forgotten(tmp_path: Path) -> None:
    """`radbridge show` and `radbridge edits` tell what a draft was made beside, until `radbridge memory forget`."""
    async with live(make_site(tmp_path, memory=PATIENCE)) as gateway:
        await send(gateway, FIRST.signed("Nodule. Dr. House was told."))
        await gateway.until(lambda: can_show(gateway, 1))
        await send(gateway, SECOND.dictated())
        await gateway.until(lambda: gateway.drafts("A100002"))
        await send(gateway, SECOND.signed("Nodule."))
        await gateway.until(lambda: can_show(gateway, 2))

        assert "memory m1/1: 1 example: A100001" in await command(tmp_path, "show", "A100002")
        (row,) = await export(tmp_path)
        assert [example["impression"] for example in row["examples"]] == ["Nodule."]
        assert b"radbridge_memory_reports 2.0" in gateway.metrics_page()

        assert "2 reports forgotten" in await command(tmp_path, "memory", "forget", "--signer", "1001")
        assert "memory m1/1: 1 example: (left the memory)" in await command(tmp_path, "show", "A100002")
        assert await export(tmp_path) == []
        await send(gateway, THIRD.dictated())
        await gateway.until(lambda: gateway.drafts("A100003"))
        assert gateway.drafts("A100003")[0].draft.examples == ()
        assert b"radbridge_memory_reports 0.0" in gateway.metrics_page()


async def test_switched_off(tmp_path: Path) -> None:
    """With `enabled = false` no draft is shown an example and nothing is remembered; a correction still forgets."""
    async with live(make_site(tmp_path, memory=PATIENCE)) as gateway:
        await send(gateway, FIRST.signed("Nodule."), SECOND.signed("Small nodule."))
        await gateway.until(lambda: can_show(gateway, 2))
    async with live(make_site(tmp_path, memory={"enabled": False})) as gateway:
        await send(gateway, FIRST.signed("Scar.", status="C", save=2), THIRD.dictated())
        await gateway.until(lambda: gateway.drafts("A100003"))
        (made,) = gateway.drafts("A100003")
        assert (made.draft.examples, made.draft.memory, remembered(gateway)) == ((), "", 1)
