"""`radbridge check`: the store, and where a gateway would listen."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.journal.stores import open_store
from tests.support.gateway import free_port
from tests.support.postgres import the_cluster

MODEL = '[model]\nurl = "embedded"\n'


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database on a machine that stands still has its time."""
    monkeypatch.setattr("radbridge.cli.check.PING_S", 600.0)


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


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE alembic_version SET version_num = '9999_future'", "made by a newer RadBridge"),
        ("INSERT INTO secret (name, value) VALUES ('sandbox', x'00')", "a replay's"),
    ],
)
def test_a_journal_that_no_gateway_takes(tmp_path: Path, change: str, told: str) -> None:
    """One of a newer RadBridge, and one that a replay made, are told before the start refuses them."""
    url = f"sqlite:///{tmp_path}/site.db"
    stores = open_store(url)
    assert check(tmp_path, url)[0] == 0
    with stores.writer.begin() as conn:
        conn.exec_driver_sql(change)
    stores.dispose()
    status, said = check(tmp_path, url)
    [row] = [line for line in said.splitlines() if "│ store" in line]
    assert (status != 0, told in row) == (True, True), said


@pytest.mark.parametrize(
    ("wire", "host"),
    [("hl7v2", "192.0.2.77"), ("dicom", "192.0.2.77"), ("http", "192.0.2.77"), ("http", "[2001:db8::77]")],
)
def test_an_address_that_is_not_this_machine_s(tmp_path: Path, wire: str, host: str) -> None:
    """Nothing can listen there (nobody's: RFC 5737, RFC 3849): told, with the key, as a fault of the file."""
    places = dict.fromkeys(("hl7v2", "dicom", "http"), "127.0.0.1") | {wire: host}
    tables = "".join(f'[{name}]\nlisten = "{place}:0"\n' for name, place in places.items())
    open_ones = '[[dicom.peers]]\nname = "pacs"\nae_title = "PACS"\n[access]\nrequired = true\n'
    status, said = check(tmp_path, f"sqlite:///{tmp_path}/site.db", MODEL + tables + open_ones)
    rows = {name: line for line in said.splitlines() for name in places if f"│ {name}.listen" in line}
    assert status == 2, said
    assert {name: host.strip("[]") in line for name, line in rows.items()} == {name: name == wire for name in places}


def test_a_name_with_another_address_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP takes IPv4 of a name, so that its other address can't be had is no fault of the file."""
    resolve = socket.getaddrinfo

    def both(host: Any, port: Any, family: int = 0, *rest: Any, **more: Any) -> list[Any]:
        if host != "localhost":
            return resolve(host, port, family, *rest, **more)
        nobodys = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("2001:db8::77", port, 0, 0))
        found = resolve("127.0.0.1", port, socket.AF_INET, *rest, **more)
        return [nobodys, *found] if family == socket.AF_UNSPEC else found

    monkeypatch.setattr(socket, "getaddrinfo", both)
    listen = '[hl7v2]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "localhost:0"\n'
    status, said = check(tmp_path, f"sqlite:///{tmp_path}/site.db", MODEL + listen)
    assert status == 0, said


def test_a_name_that_is_none(tmp_path: Path) -> None:
    """A label of more than 63 characters (RFC 1035 2.3.4) is told as a fault of the file, for every wire at once."""
    name = "a" * 64
    listen = f'[hl7v2]\nlisten = "{name}:0"\n[http]\nlisten = "{name}:0"\n[access]\nrequired = true\n'
    status, said = check(tmp_path, f"sqlite:///{tmp_path}/site.db", MODEL + listen)
    assert status == 2
    for key in ("hl7v2.listen", "http.listen"):
        assert f"{key}: Value error, is no name that DNS can have" in said.replace("\n", " "), said


def test_a_password_that_is_no_text(tmp_path: Path) -> None:
    """A password's file that isn't UTF-8 is told as any other that can't be read: status 2."""
    secret = tmp_path / "password"
    secret.write_bytes(b"\xff\xfe")
    store = f'postgresql+psycopg://radbridge@127.0.0.1:{free_port()}/radbridge"\npassword_file = "{secret}'
    status, said = check(tmp_path, store)
    assert status == 2, said
    assert f"store.password_file: no UTF-8: {secret}" in said
