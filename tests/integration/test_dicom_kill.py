"""A gateway that is killed between a PACS's commit and its answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hl7.client import MLLPClient
from pydicom.dataset import Dataset

from radbridge.contract import RESPONSE, DraftResponse
from radbridge.draft import Stage
from tests.support.dicom_pacs import Pacs, pacs
from tests.support.gateway import GatewayProcess
from tests.support.http_peer import Asked, answer, run_peer
from tests.support.ris import Ris

DELIVERY = "SELECT {} FROM delivery WHERE destination = 'archive'"


async def draft(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A model server's answer: the first sentence."""
    written = DraftResponse(
        id=asked.body["id"],
        draft=asked.body["findings"].split(".")[0] + ".",
        lora="base",
        model="fake",
        base_digest="0" * 12,
        prompt_version="p1",
        stage=Stage.COARSE,
        ms=1.0,
    )
    await answer(200, RESPONSE.dump_python(written, mode="json"))(asked, writer)


async def test_a_kill_before_the_answer_makes_no_second_object(tmp_path: Path) -> None:
    """The PACS has the SR, the gateway dies before it hears so: the next one sends the very same object again."""
    ris = Ris(accession="A800001")
    replies = {
        "/readyz": answer(200, {}),
        "/v1/prefetch": answer(202, {"lora": "base", "resident": True}),
        "/v1/drafts": draft,
    }
    gateway = GatewayProcess(tmp_path)

    def kill_once(dataset: Dataset, so_far: Pacs) -> int:
        if not so_far.stored:
            gateway.kill()
        return 0x0000

    with pacs(kill_once) as peer:
        async with run_peer(replies) as model:
            gateway.model = f'url = "{model.url}"'
            gateway.dicom = (
                f'[[dicom.peers]]\nname = "pacs"\nae_title = "STORESCP"\naddress = "127.0.0.1:{peer.port}"\n'
                '[[dicom.destinations]]\nname = "archive"\npeer = "pacs"\ntimeout_s = 120\n'
            )
            await gateway.start()
            await asyncio.to_thread(_send, gateway.hl7_port, ris.order(), ris.dictated())
            assert gateway.process is not None
            await asyncio.wait_for(gateway.process.wait(), 120)
            async with gateway:
                await gateway.until(DELIVERY.format("state"), "confirmed")
                assert gateway.query(DELIVERY.format("attempts")) == [(2,)]
    first, second = peer.stored
    assert first == second
    assert len(set(peer.uids)) == 1


def _send(port: int, *messages: bytes) -> None:
    with MLLPClient("127.0.0.1", port) as client:
        for message in messages:
            assert b"MSA|AA|" in client.send_message(message)
