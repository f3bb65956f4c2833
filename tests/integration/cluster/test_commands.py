"""What an operator and a subscriber see of a cluster."""

from __future__ import annotations

from pathlib import Path

import httpx
from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.config import load_site
from radbridge.flow.holding import SoleHolder
from radbridge.flow.intake import JournalIntake
from radbridge.journal import Journal
from radbridge.metrics import Metrics
from radbridge_adapters.fhircast import wire
from tests.support.postgres import the_cluster
from tests.support.sharing import NAMES, Elsewhere, members


async def test_the_gateways_are_listed(tmp_path: Path) -> None:
    """`radbridge gateways` shows who was seen, and how much each of them has."""
    config = tmp_path / "site.toml"
    async with members("one", "two") as (first, second):
        await first.holder.start(NAMES)
        await second.holder.start(NAMES)
        await second.forget("one")
        name = first.journal.read_now(lambda conn: conn.exec_driver_sql("SELECT current_database()").scalar_one())
        config.write_text(f'[store]\nurl = "{the_cluster().url(name)}"\n[cluster]\nlease_s = 600\n')
        told = CliRunner().invoke(app, ["gateways", "--config", str(config)])
    assert told.exit_code == 0, told.output
    rows = [line.split() for line in told.output.splitlines() if " one " in line or " two " in line]
    assert [(row[1], row[3]) for row in rows] == [("one", "dead"), ("two", "alive")]


async def test_a_file_has_one_gateway(tmp_path: Path) -> None:
    """On SQLite the one that was seen is listed with all of the work."""
    config = tmp_path / "site.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/site.db"\n')
    journal = await Journal.open(load_site(config).store)
    await journal.close()
    told = CliRunner().invoke(app, ["gateways", "--config", str(config)])
    assert told.exit_code == 0, told.output
    assert "no gateway was seen" in told.output


async def test_the_hub_is_at_one_gateway(tmp_path: Path) -> None:
    """A gateway that hasn't got the hub says 503, and when to try again."""
    config = tmp_path / "site.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/site.db"\n')
    site = load_site(config)
    journal = await Journal.open(site.store)
    here, elsewhere = (
        wire(site, JournalIntake(journal, Metrics(), lambda: None, holder=holder)).mounts[0].app
        for holder in (SoleHolder(), Elsewhere())
    )
    answers = []
    for hub in (here, elsewhere):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(hub), base_url="http://127.0.0.1") as client:
            answers.append(await client.get("/fhircast/topic"))
    await journal.close()
    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[1].headers["retry-after"] == "1"
