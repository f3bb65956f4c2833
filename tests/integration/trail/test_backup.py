"""A backup is one moment of the journal, and either database is filled from it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from radbridge.errors import BackupFault
from radbridge.journal import audit, backup
from radbridge.journal.schema import leases, memory, messages, secrets
from radbridge.journal.stores import Stores, open_store
from tests.support.journals import count
from tests.support.planted import NAME, dump, plant
from tests.support.postgres import the_cluster

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def file(stores: Stores, tmp_path: Path) -> Path:
    with stores.begin() as conn:
        plant(conn, AT)
    made = tmp_path / "backup.tar.gz"
    with stores.connect() as conn:
        backup.write(conn, made)
    return made


@pytest.fixture(params=("sqlite", "postgresql"))
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """An empty journal, on each database."""
    sqlite = f"sqlite:///{tmp_path}/other.db"
    opened = open_store(sqlite if request.param == "sqlite" else the_cluster().url(the_cluster().database()))
    yield opened
    opened.dispose()


def test_every_row_comes_back_on_either_database(stores: Stores, file: Path, other: Stores) -> None:
    """From SQLite to SQLite, to PostgreSQL, and back: the same rows, and a whole audit trail; no lease, no login."""
    with other.begin() as conn:
        manifest = backup.restore(conn, file)
    with stores.connect() as was, other.connect() as now:
        assert dump(now) == dump(was)
        assert manifest.rows["case"] == 1
        assert audit.verify(now, kept=audit.Head.parse(manifest.head)).events == 3
        assert (count(was, "lease"), count(now, "lease")) == (1, 0)


def test_numbers_go_on_where_they_were(stores: Stores, tmp_path: Path, other: Stores) -> None:
    """A number whose row is gone isn't given again after a restore, nor is one that is there."""
    with stores.begin() as conn:
        plant(conn, AT)
        conn.execute(insert(memory), _memory("X2"))
        last = conn.execute(select(memory.c.number).order_by(memory.c.number.desc())).scalars().first()
        conn.execute(memory.delete().where(memory.c.number == last))
    with stores.connect() as conn:
        backup.write(conn, tmp_path / "b")
    with other.begin() as conn:
        backup.restore(conn, tmp_path / "b")
        conn.execute(insert(memory), _memory("X3"))
        given = conn.execute(select(memory.c.number).order_by(memory.c.number.desc())).scalars().first()
    assert last is not None
    assert given == last + 1


def _memory(accession: str) -> dict[str, object]:
    return {
        "accession": accession,
        "issuer": "",
        "signer": "1001",
        "state": "kept",
        "document": b"x",
        "signed_at": AT,
    }


def test_a_backup_is_one_moment(stores: Stores, tmp_path: Path) -> None:
    """What is written while a backup is made isn't half in it: it is read from one snapshot."""
    with stores.begin() as conn:
        plant(conn, AT)
    with stores.connect() as conn:
        conn.execute(select(messages)).all()
        with stores.begin() as writing:
            writing.execute(secrets.insert(), {"name": "late", "value": b"x"})
        manifest = backup.write(conn, tmp_path / "b")
    assert manifest.rows["secret"] == 1


def test_a_full_journal_is_never_overwritten(stores: Stores, file: Path) -> None:
    """Restoring into a journal that holds anything is refused, and changes nothing."""
    with pytest.raises(BackupFault, match="isn't empty"), stores.begin() as conn:
        backup.restore(conn, file)


@pytest.mark.parametrize("junk", [b"", b"no archive", b"\x1f\x8b\x08junk"])
def test_a_file_that_is_no_backup_is_refused(stores: Stores, tmp_path: Path, junk: bytes) -> None:
    """Whatever else it is, the error says so."""
    (tmp_path / "b").write_bytes(junk)
    with pytest.raises(BackupFault), stores.begin() as conn:
        backup.restore(conn, tmp_path / "b")


def test_a_changed_backup_is_refused_whole(file: Path, tmp_path: Path) -> None:
    """A row that was changed in the file isn't restored, and no other one is."""
    changed = tmp_path / "changed"
    with tarfile.open(file) as was, tarfile.open(changed, "w:gz") as now:
        for info in was:
            part = was.extractfile(info)
            assert part is not None
            data = part.read().replace(b'"signed"', b'"opened"')
            info.size = len(data)
            now.addfile(info, BytesIO(data))
    other = open_store(f"sqlite:///{tmp_path}/third.db")
    with pytest.raises(BackupFault, match="case isn't what"), other.begin() as conn:
        backup.restore(conn, changed)
    with other.connect() as conn:
        assert NAME not in dump(conn)
    other.dispose()


def test_a_cut_backup_is_refused_whole(file: Path, tmp_path: Path) -> None:
    """A file that ends early, as a full disk leaves one, is refused."""
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-200])
    other = open_store(f"sqlite:///{tmp_path}/third.db")
    with pytest.raises(BackupFault), other.begin() as conn:
        backup.restore(conn, cut)
    other.dispose()


def test_a_backup_is_for_its_owner_alone(file: Path) -> None:
    """It holds PHI: nobody else on the machine may read it, and nothing else is left beside it."""
    assert file.stat().st_mode & 0o077 == 0
    assert not list(file.parent.glob(".radbridge-backup-*"))


def test_leases_and_logins_stay_behind(stores: Stores, file: Path) -> None:
    """What only holds for running gateways isn't in a backup."""
    with tarfile.open(file) as tar:
        names = tar.getnames()
    assert not {f"{leases.name}.jsonl", "gateway.jsonl", "login_session.jsonl"} & set(names)
    assert {"message.jsonl", "data_key.jsonl", "manifest.json"} <= set(names)
