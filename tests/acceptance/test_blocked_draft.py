"""A draft that contradicts its findings, over real sockets: it is kept back, and an operator sees why."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from hl7.client import MLLPClient

from radbridge.contract import RESPONSE, DraftResponse
from radbridge.draft import Flag, FlagKind, Severity, Stage
from radbridge.guard import check_draft
from tests.support.dictation import listening
from tests.support.gateway import GatewayProcess
from tests.support.http_peer import Asked, answer, run_peer
from tests.support.ris import FINDINGS, Ris

EXTRA = (
    Flag(kind=FlagKind.COMPARISON, message="made up, ignored here"),
    Flag(kind=FlagKind.CERTAINTY, message="made up"),
    Flag(kind=FlagKind.OMITTED, message="made up", severity=Severity.CRITICAL),
)
FALSE, TRUE = "6 mm nodule in the left upper lobe.", "6 mm nodule in the right upper lobe."


def draft(asked: Asked) -> object:
    """What a server answers whose model takes one side for the other in one text; in others it is right, with flags."""
    findings = asked.body["findings"]
    text = FALSE if findings == FINDINGS else TRUE
    written = DraftResponse(
        id=asked.body["id"],
        draft=text,
        lora="base",
        model="walking",
        base_digest="0" * 12,
        prompt_version="p1",
        stage=Stage.WHOLE,
        flags=check_draft(text, findings) if text == FALSE else EXTRA,
        ms=1.0,
    )
    return RESPONSE.dump_python(written, mode="json")


async def send(gateway: GatewayProcess, *raw: bytes) -> None:
    def talk() -> list[bytes]:
        with MLLPClient("127.0.0.1", gateway.hl7_port) as client:
            return [client.send_message(message) for message in raw]

    assert all(b"MSA|AA|" in said for said in await asyncio.to_thread(talk))


async def command(gateway: GatewayProcess, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "radbridge", *words, "--config", str(gateway.config)), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return " ".join(said.decode().replace("│", " ").split())


async def test_a_contradicted_side_is_kept_back(tmp_path: Path) -> None:
    """Nothing leaves for the case, and `radbridge show` and `problems` say why.

    A draft that holds is delivered with one NTE a flag, critical ones first, and none for what the site ignores.
    """

    async def reply(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await answer(200, draft(asked))(asked, writer)

    replies = {
        "/readyz": answer(200, {}),
        "/v1/prefetch": answer(202, {"lora": "base", "resident": True}),
        "/v1/drafts": reply,
    }
    async with listening() as dictation, run_peer(replies) as peer:
        gateway = GatewayProcess(
            tmp_path, [dictation.port], model=f'url = "{peer.url}"\n[guard.policy]\ncomparison = "ignore"'
        )
        async with gateway:
            wrong, right = Ris(accession="A200001"), Ris(accession="A200002")
            await send(gateway, wrong.order(), wrong.dictated())
            await gateway.until("SELECT state FROM draft WHERE accession = 'A200001'", "blocked")
            await send(gateway, right.dictated(FINDINGS + " The liver is normal."))
            await dictation.until(1, right.accession)

            [delivered] = dictation.of(right.accession)
            told = ["critical: omitted: made up", "warning: certainty: made up"]
            assert [str(note[3]) for note in delivered.segments("NTE")] == told
            assert dictation.of(wrong.accession) == []
            assert gateway.query("SELECT count(*) FROM delivery WHERE accession = 'A200001'") == [(0,)]
            shown = await command(gateway, "show", wrong.accession)
            for words in (
                "blocked: kept back by the guard: laterality",
                FALSE,
                "critical laterality:",
                "[guard.policy]",
            ):
                assert words in shown
            listed = await command(gateway, "problems")
            assert "A200001" in listed
            assert "A200002" not in listed
            assert b'radbridge_drafts_total{outcome="blocked"} 1.0' in gateway.get("/metrics")[1]

            await send(gateway, wrong.signed(TRUE))
            await gateway.until("SELECT count(*) FROM edit WHERE accession = 'A200001'", 1)
            [(document,)] = gateway.query("SELECT document FROM edit")
            assert json.loads(document)["outcome"] == "blocked"
            assert dictation.of(wrong.accession) == []
        assert [line["reason"] for line in gateway.logged() if line.get("event") == "draft kept back"] == [
            "kept back by the guard: laterality"
        ]
        assert "upper lobe" not in gateway.log
