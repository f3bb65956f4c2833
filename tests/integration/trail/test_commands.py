"""`radbridge audit` and `radbridge store`, as an operator types them, on each database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, func, make_url, select, type_coerce, update
from typer.testing import CliRunner, Result

from radbridge.audit import What
from radbridge.cli.app import app
from radbridge.cli.common import account
from radbridge.journal import audit, resealing
from radbridge.journal.schema import audit_events, data_keys, gateways, memory, messages
from radbridge.journal.stores import Stores, open_store
from tests.support.journals import make_key
from tests.support.planted import NAME, plant

_STORED = type_coerce(memory.c.document, LargeBinary)
OLD = datetime(2024, 1, 1, tzinfo=UTC)
KILLED = """
import os, signal
from radbridge.cli.app import app
from radbridge.journal import resealing

reseal, turns = resealing.reseal_some, []

def kill(conn, place, *arguments, **more):
    done = reseal(conn, place, *arguments, **more)
    if place.name == "memory.document":
        turns.append(done)
        if len(turns) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return done

resealing.reseal_some = kill
app(prog_name="radbridge")
"""
"""A command that dies when it has sealed the second part of a table's rows anew, and has committed the first."""


@pytest.fixture
def config(url: str, stores: Stores, tmp_path: Path) -> Path:
    """A site whose journal holds a row of everything."""
    with stores.begin() as conn:
        plant(conn, OLD)
    path = tmp_path / "site.toml"
    path.write_text(f'[store]\nurl = "{url}"\n')
    return path


def radbridge(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def encrypt(config: Path, name: str = "kek") -> Path:
    key = config.with_name(name)
    key.write_text(make_key())
    key.chmod(0o600)
    config.write_text(f'{config.read_text()}[encryption]\nkey_file = "{key}"\n')
    return key


def notes_of(stores: Stores) -> list[tuple[str, str]]:
    """Who did what, chained now."""
    with stores.begin() as conn:
        audit.chain_pending(conn)
    with stores.connect() as conn:
        return [(e.note.what, e.note.actor) for e in audit.chained(conn)]


def test_verify_says_whole_or_where_it_broke(config: Path, stores: Stores, tmp_path: Path) -> None:
    """Status 0 and the end of the chain; after a change status 1 and the event, also against a kept head."""
    done = radbridge("audit", "verify", "--config", config)
    assert (done.exit_code, "3 events" in done.output) == (0, True)
    head = radbridge("audit", "head", "--config", config).output.strip()
    assert radbridge("audit", "verify", "--head", head, "--config", config).exit_code == 0
    with stores.begin() as conn:
        audit.allow_purge(conn)
        conn.execute(audit_events.delete().where(audit_events.c.seq == 3))
    assert radbridge("audit", "verify", "--config", config).exit_code == 0
    broken = radbridge("audit", "verify", "--head", head, "--config", config)
    assert (broken.exit_code, "event 3" in broken.output) == (1, True)
    assert radbridge("audit", "verify", "--head", "nonsense", "--config", config).exit_code == 2


def test_the_trail_is_exported_as_fhir(config: Path, tmp_path: Path) -> None:
    """One AuditEvent a line, whose id is the event's number."""
    out = tmp_path / "audit.ndjson"
    assert radbridge("audit", "export", "--out", out, "--from", 2, "--config", config).exit_code == 0
    told = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(t["resourceType"], t["id"]) for t in told] == [("AuditEvent", "2"), ("AuditEvent", "3")]


def test_one_case_is_asked_for(config: Path) -> None:
    """`audit show --accession` shows what was done with it."""
    shown = radbridge("audit", "show", "--accession", "A1", "--config", config)
    assert "case_changed" in shown.output
    assert radbridge("audit", "show", "--accession", "NOWHERE", "--config", config).output.startswith("no event")


def test_a_backup_is_made_and_restored(config: Path, stores: Stores, tmp_path: Path) -> None:
    """The backup goes into a new journal whole, and not over another file or another journal."""
    file = tmp_path / "b.tar.gz"
    assert radbridge("store", "backup", file, "--config", config).exit_code == 0
    assert "exists" in radbridge("store", "backup", file, "--config", config).output
    full = radbridge("store", "restore", file, "--config", config)
    assert (full.exit_code, "isn't empty" in full.output) == (1, True)
    other = tmp_path / "other.toml"
    other.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/other.db"\n')
    done = radbridge("store", "restore", file, "--config", other)
    assert (done.exit_code, "whole up to" in done.output) == (0, True)
    assert (What.BACKUP, account()) in notes_of(stores)


def test_a_purge_is_counted_and_run(config: Path, stores: Stores) -> None:
    """`--dry-run` takes nothing; without retention there is nothing to do, and that is an error of the file."""
    assert radbridge("store", "purge", "--config", config).exit_code == 2
    config.write_text(f"{config.read_text()}[retention]\nmessages_d = 30\n")
    assert "messages: 1 would go" in radbridge("store", "purge", "--dry-run", "--config", config).output
    assert "messages: 1 gone" in radbridge("store", "purge", "--config", config).output
    assert "nothing is old enough" in radbridge("store", "purge", "--dry-run", "--config", config).output
    assert (What.PURGED, account()) in notes_of(stores)


def test_a_journal_is_encrypted_rotated_and_opened_again(config: Path, stores: Stores, url: str) -> None:
    """seal, rotate --rewrite, rewrap, unseal: after each the commands read, and the file says what they did."""
    plain = config.read_text()
    assert radbridge("store", "seal", "--config", config).exit_code == 2
    encrypt(config)
    assert "values sealed" in radbridge("store", "seal", "--config", config).output
    assert _raw(url).startswith(b"\0RB1")
    rotated = radbridge("store", "rotate", "--rewrite", "--config", config)
    assert "key 2 seals from now on" in rotated.output
    status = radbridge("store", "status", "--keys", "--config", config)
    assert "0 values are stored as they are" in status.output
    second = config.with_name("second.toml")
    second.write_text(plain)
    encrypt(second, "kek2")
    wrapped = radbridge("store", "rewrap", "--to-key-file", config.with_name("kek2"), "--config", config)
    assert "2 keys wrapped anew" in wrapped.output
    assert radbridge("audit", "verify", "--config", config).exit_code == 1
    assert radbridge("audit", "verify", "--config", second).exit_code == 0
    assert "values unsealed" in radbridge("store", "unseal", "--config", second).output
    assert _raw(url) == f"PID|{NAME}".encode()
    config.write_text(plain)
    assert radbridge("audit", "verify", "--config", config).exit_code == 0


def test_a_rotation_that_is_killed_is_begun_again(config: Path, stores: Stores) -> None:
    """`kill -9` in the middle of `rotate --rewrite`: every document opens then, and the next run finishes the work."""
    encrypt(config)
    with stores.begin() as conn:
        row = conn.execute(select(memory)).one()._asdict()
        del row["number"]
        conn.execute(memory.insert(), [row | {"accession": f"K{n}"} for n in range(2000)])
    radbridge("store", "seal", "--config", config)
    words = ["store", "rotate", "--rewrite", "--config", str(config)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    under_new = select(func.count()).select_from(memory).where(func.substr(_STORED, 1, 8) == b"\0RB1\0\0\0\2")
    with stores.connect() as conn:
        assert 0 < conn.execute(under_new).scalar_one() < 2000
    assert radbridge("audit", "verify", "--config", config).exit_code == 0
    assert radbridge(*words).exit_code == 0
    with stores.connect() as conn:
        assert set(resealing.count_keys(conn)) == {0, 3}


def test_the_trail_goes_on_after_unseal(config: Path, stores: Stores) -> None:
    """What waits for the chain when the keys go is plain too, also the note that they went: nothing stops the chain."""
    plain = config.read_text()
    encrypt(config)
    radbridge("store", "seal", "--config", config)
    radbridge("audit", "show", "--config", config)
    assert radbridge("store", "unseal", "--config", config).exit_code == 0
    config.write_text(plain)
    did = [what for what, who in notes_of(stores) if who == account()]
    assert did == [What.KEY_ROTATED, What.VIEWED, What.KEY_ROTATED]
    with stores.connect() as conn:
        assert set(resealing.count_keys(conn)) == {0}


def test_a_note_that_cannot_be_opened_is_told(config: Path, stores: Stores) -> None:
    """`audit verify` tells of those under a lost key; given up, they leave a note, and the chain goes on."""
    encrypt(config)
    radbridge("store", "rotate", "--config", config)
    radbridge("audit", "export", "--config", config)
    with stores.begin() as conn:
        conn.execute(data_keys.delete().where(data_keys.c.id == 2))
    told = radbridge("audit", "verify", "--config", config)
    assert (told.exit_code, "1 of them can't be opened" in told.output) == (1, True)
    assert "1 note given up" in radbridge("audit", "give-up", "--reason", "lost", "--config", config).output
    assert radbridge("audit", "verify", "--config", config).exit_code == 0
    with stores.connect() as conn:
        waiting = conn.exec_driver_sql("SELECT count(*) FROM audit_pending").scalar_one()
    assert waiting == 2


def test_no_note_is_given_up_whose_key_may_come_back(config: Path, stores: Stores) -> None:
    """Without [encryption] in the site's file verify and give-up are refused; with it again every note opens."""
    plain = config.read_text()
    encrypt(config)
    assert radbridge("audit", "export", "--config", config).exit_code == 0
    encrypted = config.read_text()
    config.write_text(plain)
    for words in (("verify",), ("give-up", "--reason", "lost")):
        refused = radbridge("audit", *words, "--config", config)
        assert (refused.exit_code, "set encryption.key_file" in refused.output) == (1, True)
    config.write_text(encrypted)
    assert "0 notes given up" in radbridge("audit", "give-up", "--reason", "none", "--config", config).output
    assert radbridge("audit", "verify", "--config", config).exit_code == 0


def test_seal_leaves_nothing_plain_in_the_file(config: Path, stores: Stores, url: str) -> None:
    """On SQLite also what was freed before, without being overwritten, is gone after `store seal`."""
    word = b"what the report said once"
    with stores.writer.connect() as conn:
        if conn.dialect.name != "sqlite":
            return  # PostgreSQL's VACUUM does it
        assert conn.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
        conn.exec_driver_sql("PRAGMA secure_delete=OFF")
        conn.exec_driver_sql("UPDATE message SET raw = ?", (word * 1000,))
        conn.exec_driver_sql("UPDATE message SET raw = x'41'")
        conn.commit()
    whole = Path(make_url(url).database or "")
    assert _holds(whole, word)
    encrypt(config)
    assert radbridge("store", "seal", "--config", config).exit_code == 0
    assert not _holds(whole, word)


def _holds(journal: Path, word: bytes) -> bool:
    return any(word in file.read_bytes() for file in journal.parent.glob(f"{journal.name}*"))


def test_only_their_owner_reads_what_commands_write(config: Path, tmp_path: Path) -> None:
    """A journal and an export hold patients' data, whatever the shell's umask is."""
    before = os.umask(0o022)
    try:
        exported = tmp_path / "audit.ndjson"
        assert radbridge("audit", "export", "--out", exported, "--config", config).exit_code == 0
        os.umask(0o022)
        radbridge("store", "backup", tmp_path / "b", "--config", config)
        other = tmp_path / "other.toml"
        other.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/other.db"\n')
        os.umask(0o022)
        assert radbridge("store", "restore", tmp_path / "b", "--config", other).exit_code == 0
    finally:
        os.umask(before)
    assert [file.stat().st_mode & 0o077 for file in (exported, *tmp_path.glob("other.db*"))][:2] == [0, 0]


def _raw(url: str) -> bytes:
    """A message's bytes as they are stored."""
    opened = open_store(url)
    with opened.connect() as conn:
        found = conn.exec_driver_sql("SELECT raw FROM message").scalar_one()
    opened.dispose()
    return bytes(found)


def test_nothing_is_sealed_under_a_running_gateway(config: Path, stores: Stores) -> None:
    """Whoever has the journal open with other settings would misread it: they and rewrap are refused."""
    encrypt(config)
    with stores.begin() as conn:
        conn.execute(update(gateways).values(seen_at=datetime.now(UTC) + timedelta(hours=1)))
    with stores.claim():
        refused = radbridge("store", "seal", "--config", config)
        key = ("--to-key-file", config.with_name("kek"))
        assert radbridge("store", "rewrap", *key, "--config", config).exit_code == 2
    assert refused.exit_code == 2
    with stores.connect() as conn:
        assert conn.execute(select(messages.c.raw)).scalar_one() == f"PID|{NAME}".encode()
