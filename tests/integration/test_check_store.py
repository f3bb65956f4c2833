"""`radbridge check` and a store that several gateways share."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from radbridge.cli.app import app
from tests.support.gateway import free_port
from tests.support.postgres import the_cluster

MODEL = '[model]\nurl = "embedded"\n'


def check(folder: Path, store: str, more: str = MODEL) -> tuple[int, str]:
    """Status, and all that it said."""
    file = folder / "site.toml"
    file.write_text(f'[store]\nurl = "{store}"\n{more}')
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["check", "--config", str(file)])
    return done.exit_code, done.output


def test_a_server_that_answers(tmp_path: Path) -> None:
    """An empty database is well, and stays empty: a check changes nothing."""
    cluster = the_cluster()
    name = cluster.empty_database()
    status, said = check(tmp_path, cluster.url(name))
    assert status == 0, said
    assert "store" in said
    with cluster.connect(name) as conn:
        assert conn.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """It is told as a peer that doesn't answer: status 1."""
    status, said = check(tmp_path, the_cluster().url("radbridge", port=free_port()))
    assert status == 1, said
    [row] = [line for line in said.splitlines() if "│ store" in line]
    assert "│ no" in row


def test_loras_that_no_other_gateway_has(tmp_path: Path) -> None:
    """A folder of LoRAs on one machine beside a store that others share is surely not meant."""
    cluster = the_cluster()
    status, said = check(tmp_path, cluster.url(cluster.empty_database()), MODEL + f'loras = "{tmp_path}"\n')
    assert status == 0, said
    assert "warning: model.loras is a folder of this machine" in said
