"""`radbridge draft`: a batch through a model server, on real files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from radbridge.cli.app import app
from radbridge.contract import RESPONSE, DraftResponse
from radbridge.draft import Flag, FlagKind, Section, Severity, Span, Stage
from tests.support.certificates import Authority
from tests.support.http_peer import answer, run_peer
from tests.support.stub_model import drafting

FLAG = Flag(
    kind=FlagKind.LATERALITY,
    message="made up",
    severity=Severity.CRITICAL,
    spans=(Span(section=Section.DRAFT, start=0, end=4),),
)
ANSWER = DraftResponse(
    id="a",
    draft="Left effusion.",
    lora="base",
    model="m",
    base_digest="b",
    prompt_version="p1",
    stage=Stage.WHOLE,
    flags=(FLAG,),
    ms=1.0,
)


async def run(url: str, in_file: Path, out_file: Path, *more: str) -> Result:
    words = ["draft", "--in", str(in_file), "--out", str(out_file), "--model", url, *more]
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def test_a_row_for_each_line(tmp_path: Path) -> None:
    """Drafts come with their flags and spans; a bad line becomes a row with its number, and the status is 1."""
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"id": "a", "findings": "Right effusion.", "age": null}\n\n{"id": "b"}\n')
    async with run_peer({"/v1/drafts": answer(200, RESPONSE.dump_python(ANSWER, mode="json"))}) as peer:
        result = await run(peer.url, file, out)
    assert result.exit_code == 1, result.output
    drafted, bad = (json.loads(line) for line in out.read_text().splitlines())
    assert drafted["draft"] == "Left effusion."
    assert drafted["flags"] == [
        {
            "kind": "laterality",
            "message": "made up",
            "severity": "critical",
            "spans": [{"section": "draft", "start": 0, "end": 4}],
        }
    ]
    assert (bad["id"], bad["line"]) == ("b", 3)
    assert "findings" in bad["error"]


async def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    """An output that is the input is refused before anything is asked."""
    file = tmp_path / "in.jsonl"
    file.write_text('{"id": "a", "findings": "Right effusion."}\n')
    before = file.read_bytes()
    async with run_peer({}) as peer:
        result = await run(peer.url, file, file)
    assert result.exit_code == 2
    assert (file.read_bytes(), peer.asked) == (before, [])


async def test_a_server_that_wants_a_certificate(tmp_path: Path) -> None:
    """A URL of `https://` is held to what `[model]` says of trust, and gets our certificate."""
    authority = Authority(tmp_path)
    config, file, out = tmp_path / "site.toml", tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    config.write_text(f'[model]\nca_file = "{authority.ca}"\ncert_file = "{authority.issue("gateway")}"\n')
    file.write_text('{"id": "a", "findings": "Right effusion."}\n')
    async with drafting(authority.wants(authority.issue("server"))) as peer:
        assert (await run(peer.url, file, out, "--config", str(config))).exit_code == 0
        assert (await run(peer.url, file, out)).exit_code == 1
    assert len(peer.asked_for("/v1/drafts")) == 1
