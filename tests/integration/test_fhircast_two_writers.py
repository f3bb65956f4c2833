"""Two applications that update one context at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from radbridge_adapters import fhircast
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import application
from tests.support.live import live, make_site


async def test_of_updates_with_one_version_exactly_one_wins(tmp_path: Path) -> None:
    """Sixteen updates with the current version: one is taken, fifteen get 409, and the content is the winner's."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway:
        url = f"{gateway.base}/fhircast"
        async with application(url) as one, application(url) as other:
            await one.post("DiagnosticReport-open", report_context("A1"))
            for round_ in range(5):
                version = (await other.context())["context.versionId"]
                casts = [(one, other)[n % 2] for n in range(16)]
                contexts = [
                    update_context(put({**observation("x", f"o{round_}", "36643-5"), "note": [{"text": str(n)}]}))
                    for n in range(16)
                ]
                answers = await asyncio.gather(
                    *(c.post("DiagnosticReport-update", said, version) for c, said in zip(casts, contexts, strict=True))
                )
                codes = [answer.status_code for answer in answers]
                assert sorted(codes) == [202] + [409] * 15
                content = one.content(await one.context())
                assert content[f"Observation/o{round_}"]["note"] == [{"text": str(codes.index(202))}]
            for cast in (one, other):
                updates = [e["event"] for e in await cast.wait(5, "DiagnosticReport-update")]
                versions = [u["context.versionId"] for u in updates]
                assert [u["context.priorVersionId"] for u in updates][1:] == versions[:-1]
